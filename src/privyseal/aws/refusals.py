"""What AWS's errors mean, each in one clear line of ours that shows no secret."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from privyseal.errors import (
    DeniedError,
    ExpiredError,
    LimitError,
    NotFoundError,
    PrivysealError,
    UnreachableError,
    UsageError,
)

_MAX_QUOTED: Final = 400
_UNSAID: Final = re.compile(r"token|secret|password|assertion|code|verifier", re.IGNORECASE)


class WrongCodeError(DeniedError):
    """AWS refused the code of an MFA device; another one may do."""


class EndedError(ExpiredError):
    """The session token of the credentials has ended."""


class UnknownKeyError(DeniedError):
    """AWS does not know the access key, or no more."""


class ExpectedError(PrivysealError):
    """AWS answered with one of the errors that the caller can go on with."""

    def __init__(self, code: str) -> None:
        super().__init__(f"AWS answers {code}")
        self.code = code


class _Meaning(NamedTuple):
    """What an error code of AWS means; `quoted` tells whether its message may be shown.

    The message of a bad signature quotes the signed request with its session token.
    """

    kind: type[PrivysealError]
    text: str
    hint: str = ""
    quoted: bool = True


_EXPIRED: Final = _Meaning(
    EndedError, "the credentials have expired", "fetch new ones with `--fresh`", quoted=False
)
_NO_SUCH_KEY: Final = _Meaning(
    UnknownKeyError,
    "AWS does not know the access key: it is deleted, deactivated or of another partition",
    "look at the keys of the user in IAM, or give the key anew with `privy aws add`",
    quoted=False,
)
_SLOW_DOWN: Final = _Meaning(LimitError, "AWS throttles us, several tries long", "wait a minute")
_SKEWED: Final = _Meaning(
    DeniedError,
    "AWS refuses the time of the request",
    "set the clock of this machine (`timedatectl set-ntp true`)",
    quoted=False,
)
_REFUSED: Final = _Meaning(DeniedError, "AWS refuses")
_MEANINGS: Final[Mapping[str, _Meaning]] = {
    "AccessDenied": _REFUSED,
    "AccessDeniedException": _REFUSED,
    "UnauthorizedOperation": _REFUSED,
    "UnauthorizedException": _EXPIRED,
    "ForbiddenException": _REFUSED,
    "InvalidIdentityToken": _Meaning(DeniedError, "AWS refuses the identity token"),
    "IDPRejectedClaim": _Meaning(DeniedError, "the identity provider refuses the token"),
    "PackedPolicyTooLarge": _Meaning(UsageError, "policies and tags are too long together"),
    "MalformedPolicyDocument": _Meaning(UsageError, "AWS cannot read the session policy"),
    "RegionDisabledException": _Meaning(
        DeniedError, "STS is not enabled in this region", "enable it, or choose another region"
    ),
    "ExpiredToken": _EXPIRED,
    "ExpiredTokenException": _EXPIRED,
    "TokenRefreshRequired": _EXPIRED,
    "InvalidClientTokenId": _NO_SUCH_KEY,
    "UnrecognizedClientException": _NO_SUCH_KEY,
    "InvalidAccessKeyId": _NO_SUCH_KEY,
    "AuthFailure": _NO_SUCH_KEY,
    "SignatureDoesNotMatch": _Meaning(
        DeniedError,
        "AWS refuses the signature: the secret key does not belong to the key id",
        "give the key anew with `privy aws add`",
        quoted=False,
    ),
    "RequestExpired": _SKEWED,
    "RequestTimeTooSkewed": _SKEWED,
    "InvalidSignatureException": _SKEWED,
    "Throttling": _SLOW_DOWN,
    "ThrottlingException": _SLOW_DOWN,
    "TooManyRequestsException": _SLOW_DOWN,
    "RequestLimitExceeded": _SLOW_DOWN,
    "SlowDown": _SLOW_DOWN,
    "ValidationError": _Meaning(UsageError, "AWS finds the request malformed"),
    "ValidationException": _Meaning(UsageError, "AWS finds the request malformed"),
    "InvalidRequestException": _Meaning(UsageError, "AWS finds the request malformed"),
    "NoSuchEntity": _Meaning(NotFoundError, "AWS knows no such thing"),
    "ResourceNotFoundException": _Meaning(NotFoundError, "AWS knows no such thing"),
    "LimitExceeded": _Meaning(LimitError, "a limit of AWS is reached"),
    "ServiceUnavailable": _Meaning(UnreachableError, "AWS is not available", "try again"),
    "InternalFailure": _Meaning(UnreachableError, "AWS failed within", "try again"),
}
_OTHER: Final = _Meaning(PrivysealError, "AWS refuses")


def refusal(response: Mapping[str, Any], what: str, inputs: Mapping[str, object]) -> PrivysealError:
    """Return the error for what AWS answered, as botocore has parsed it, to the call `what`.

    What was given as one of the `inputs` that hold a secret is not repeated.
    """
    fault = response.get("Error", {})
    meta = response.get("ResponseMetadata", {})
    code, message = str(fault.get("Code", "")), str(fault.get("Message", ""))
    trace = f"request {quoted(request)}" if (request := str(meta.get("RequestId", ""))) else ""
    for name, value in inputs.items():
        if isinstance(value, str) and value and _UNSAID.search(name):
            message = message.replace(value, "***")
    where = f" ({', '.join(part for part in (what, quoted(code), trace) if part)})"
    if _concerns_code(message):
        return WrongCodeError(f"AWS refuses the code of the MFA device{where}")
    meaning = _MEANINGS.get(code, _OTHER)
    if behind := _skew(meaning, message, meta):
        return _SKEWED.kind(f"{_SKEWED.text}: {behind}{where}", hint=_SKEWED.hint)
    # botocore puts the status for a code that is missing, and a whole body for its message then.
    own = meaning.quoted and not code.isdigit()
    said = f": {quoted(message)!r}" if own and message else ""
    return meaning.kind(f"{meaning.text}{said}{where}", hint=_hint(meaning, message))


def _concerns_code(message: str) -> bool:
    lower = message.lower()
    return "one time pass code" in lower or ("tokencode" in lower and "validation" in lower)


def _hint(meaning: _Meaning, message: str) -> str:
    if "must provide MFA" in message or "MultiFactorAuthentication" in message:
        return "set `mfa_serial` in the profile to the ARN of the user's MFA device"
    if "DurationSeconds" in message:
        return "ask for less with `--duration`, or raise the role's longest session in IAM"
    return meaning.hint


def _skew(meaning: _Meaning, message: str, meta: Mapping[str, Any]) -> str:
    """Return by how much our clock is wrong, when that is why AWS refuses; "" when it is not."""
    named = re.search(r"signature (expired|not yet current)", message, re.IGNORECASE)
    if meaning is not _SKEWED and not named:
        return ""
    from email.utils import parsedate_to_datetime  # noqa: PLC0415 - 7 ms, and rarely wanted

    stamp = re.search(r"(\d{8}T\d{6}Z)", message)
    try:
        theirs = parsedate_to_datetime(str(meta.get("HTTPHeaders", {}).get("date", "")))
        ours = datetime.strptime(stamp[1] if stamp else "", "%Y%m%dT%H%M%S%z")
    except ValueError:
        return "the clock of this machine is wrong"
    late = (theirs.astimezone(UTC) - ours).total_seconds()
    return f"the clock of this machine is {abs(late) / 60:.0f} min {'slow' if late > 0 else 'fast'}"


def quoted(text: str) -> str:
    """Return foreign text fit for a line: printable, and cut where it is long."""
    shown = "".join(char if char.isprintable() else " " for char in text)
    return shown if len(shown) <= _MAX_QUOTED else shown[: _MAX_QUOTED - 1] + "…"
