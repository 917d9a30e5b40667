"""What AWS answers, checked before anything is taken from it.

botocore checks what is asked by its models, and nothing of what comes back: a proxy, a portal of
somebody else's or a stand-in may answer with fields that are missing or of another type.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, TypeVar

import msgspec

from privyseal.errors import UnreachableError

Word = Annotated[str, msgspec.Meta(pattern=r"\A[!-~]+\Z", max_length=16 * 1024)]
"""An id, a key or a token: what fits into a header and a variable."""

Text = Annotated[str, msgspec.Meta(pattern=r"\A[^\ud800-\udfff]*\Z", max_length=16 * 1024)]
"""What people wrote. JSON can spell half of a surrogate pair, which nothing here takes."""

Seconds = Annotated[int, msgspec.Meta(ge=0, le=10**9)]
Instant = Annotated[int, msgspec.Meta(ge=0, le=10**10)]
"""Seconds since 1970, in a year of four digits."""

Milliseconds = Annotated[int, msgspec.Meta(ge=0, le=10**13)]
"""Milliseconds since 1970, likewise."""

When = Annotated[datetime, msgspec.Meta(tz=True)]

_T = TypeVar("_T")


class Answer(msgspec.Struct, frozen=True):
    """Part of an answer; it may hold secrets, so it does not show what it holds."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


def read(answer: Mapping[str, Any], kind: type[_T], what: str) -> _T:
    """Return what an answer holds, of the type `kind`; `what` names that in the error.

    Raises:
        UnreachableError: It does not hold that.
    """
    try:
        return msgspec.convert(answer, kind)
    except msgspec.ValidationError as error:
        raise UnreachableError(
            f"what answers for AWS gives no {what}: {error}",
            hint="look for a proxy between here and AWS, and at the endpoint",
        ) from None
