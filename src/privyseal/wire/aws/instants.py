"""Instants as AWS writes them."""

from datetime import UTC, datetime
from typing import Final

LATEST: Final = 253_402_300_799.0
"""The last second that a calendar of four digits has, in seconds since 1970."""


def timestamp(seconds: float) -> str:
    """Return an instant in ISO 8601, in whole seconds and UTC; never later than the instant.

    What no calendar holds (a source may say anything) becomes the nearest year that one does.
    """
    bounded = min(max(seconds, 0.0), LATEST)
    return datetime.fromtimestamp(int(bounded), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
