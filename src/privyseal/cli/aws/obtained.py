"""Credentials that were got, and what a command is told besides."""

import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from privyseal.errors import PrivysealError


class Obtained:
    """Credentials as JSON of `privyseal.model.aws.Credentials`, and what goes with them."""

    __slots__ = ("credentials", "endpoint", "region")

    def __init__(self, credentials: Mapping[str, Any], *, region: str, endpoint: str) -> None:
        self.credentials = credentials
        self.region = region
        self.endpoint = endpoint

    def __repr__(self) -> str:
        return f"Obtained(region={self.region!r}, endpoint={self.endpoint!r})"


def parse(result: bytes) -> dict[str, Any]:
    """Return the credentials that an order gave."""
    with suppress(ValueError):
        found = json.loads(result)
        if isinstance(found, dict):
            return found
    raise PrivysealError("the result of the order is malformed")
