"""How a store's entries are named and written: aws-vault's form, so that either program reads both.

The name of an entry alone says what it is, until when it holds, and for whom; a value is read only
where the value itself is wanted. What more may be known without the value lies in notes:

    credential   tail, mark, account, mfa, added      of the long-lived key
    session      source, mark                         the stored key that it was made from
    token        session, expires, refreshable        of a portal
"""

import base64
import binascii
import hashlib
import json
import re
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from privyseal.aws.ports import Item
from privyseal.errors import CorruptError
from privyseal.model.secret import Secret
from privyseal.wire.aws.instants import timestamp

if TYPE_CHECKING:
    from privyseal.model.aws import AccessKey, Credentials

KeyClass = Literal["credential", "session", "old-session", "token", "client", "journal", "seed"]
"""What an entry is: an "old-session" is in a form that aws-vault gave up, fit to be deleted only."""

SESSION_LABEL: Final = "aws-vault session"
"""Description of every cached session."""

_SESSION: Final = re.compile(r"([^,]+),([^,]+),([^,]*),([0-9]{1,18})")
_OURS: Final = re.compile(r"(.*)#([0-9a-f]+)", re.DOTALL)
_OLD_SESSIONS: Final = (
    re.compile(r"session,[^,]+,[^,]*,[0-9]+"),
    re.compile(r"session:[^:]+:.*:[0-9]+"),
    re.compile(r".+ session \([0-9]+\)"),
)
_PORTAL: Final = "oidc:"
# To aws-vault a registration looks like a token, which it may clear, and a journal like a
# credential, which it leaves alone: a journal may hold the only copy of a new key.
_CLIENT: Final = "oidc:client:"
_SEED: Final = "totp:"
_JOURNAL: Final = "privy-rotation:"
_PREFIXES: Final[Mapping[str, KeyClass]] = {
    _JOURNAL: "journal",
    _SEED: "seed",
    _CLIENT: "client",
    _PORTAL: "token",
}
_ZERO_TIME: Final = "0001-01-01T00:00:00Z"


class SessionKey(NamedTuple):
    """The parts of a session's name; `digest` is "" in those that aws-vault wrote."""

    kind: str
    profile: str
    serial: str
    digest: str
    expiry: int


def session_key(kind: str, profile: str, serial: str, digest: str, expiry: float) -> str:
    """Return the name of a cached session; `expiry` is seconds since 1970.

    The digest of everything that went into the session lies beside the serial number, in the field
    by which aws-vault looks up its own: it lists and clears ours, and never uses one by mistake.
    """
    third = f"{serial}#{digest}" if digest else serial
    return f"{kind},{_b64(profile)},{_b64(third)},{int(expiry)}"


def parse_session(key: str) -> SessionKey | None:
    """Return the parts of a session's name, None when the name is of something else."""
    found = _SESSION.fullmatch(key)
    if found is None or found[1] == "session":
        return None
    profile, third = _text(found[2]), _text(found[3])
    if profile is None or third is None:
        return None
    # The start URL of a portal may itself end in "#/".
    ours = _OURS.fullmatch(third)
    serial, digest = (ours[1], ours[2]) if ours else (third, "")
    return SessionKey(found[1], profile, serial, digest, int(found[4]))


def classify(key: str) -> KeyClass:
    """Return what the entry of this name is."""
    for prefix, kind in _PREFIXES.items():
        if key.startswith(prefix):
            return kind
    if any(pattern.fullmatch(key) for pattern in _OLD_SESSIONS):
        return "old-session"
    return "session" if parse_session(key) is not None else "credential"


def is_text(text: str) -> bool:
    """Return whether it can be written anywhere.

    JSON and file names can spell half of a surrogate pair, which no bus and no encoding takes.
    """
    return not any("\ud800" <= each <= "\udfff" for each in text)


def token_key(start_url: str) -> str:
    """Return the name of a portal's token."""
    return _PORTAL + start_url


def token_url(key: str) -> str:
    """Return the start URL of the portal whose token has this name."""
    return key.removeprefix(_PORTAL)


def client_key(start_url: str, region: str) -> str:
    """Return the name of our registration as a client of a portal."""
    return f"{_CLIENT}{region}:{start_url}"


def journal_key(name: str) -> str:
    """Return the name of the journal of a rotation of the stored key `name`."""
    return _JOURNAL + name


def journal_name(key: str) -> str:
    """Return the stored key whose rotation this journal is of."""
    return key.removeprefix(_JOURNAL)


def seed_key(serial: str) -> str:
    """Return the name of the seed of a virtual MFA device."""
    return _SEED + serial


def seed_serial(key: str) -> str:
    """Return the serial number of the device whose seed has this name."""
    return key.removeprefix(_SEED)


def mark(access_key_id: str) -> str:
    """Return what stands for a key id in notes: enough to recognise it, too little to use it."""
    return hashlib.sha256(access_key_id.encode()).hexdigest()[:16]


def key_notes(key: "AccessKey", *, added: float) -> dict[str, str]:
    """Return what may be known of a long-lived key; `added` is seconds since 1970."""
    return {
        "tail": key.access_key_id[-4:],
        "mark": mark(key.access_key_id),
        "account": key.account,
        "mfa": key.mfa,
        "added": str(int(added)),
    }


def session_notes(source: str, key_mark: str) -> dict[str, str]:
    """Return what may be known of a session made from the stored key `source` of this mark."""
    return {"source": source, "mark": key_mark}


def key_item(name: str, key: "AccessKey", *, added: float) -> Item:
    """Return the entry for a long-lived key."""
    value = Secret(encode_access_key(key))
    return Item(name, value, f"aws-vault ({name})", "", key_notes(key, added=added))


def session_item(key: str, session: "Credentials", notes: Mapping[str, str]) -> Item:
    """Return the entry for cached credentials under the name that `session_key` made."""
    parts = parse_session(key)
    whose = parts.profile if parts else key
    label = f"{SESSION_LABEL} for {whose} (expires {_rfc3339(session.expires)})"
    return Item(key, Secret(encode_session(session)), label, SESSION_LABEL, notes)


def encode_access_key(key: "AccessKey") -> bytes:
    """Return the payload of a credential."""
    fields = {
        "AccessKeyID": key.access_key_id,
        "SecretAccessKey": key.secret_access_key,
        "SessionToken": "",
        "Source": "",
        "CanExpire": False,
        "Expires": _ZERO_TIME,
        "AccountID": key.account,
    }
    # aws-vault keeps no serial number with a key, and ignores what it does not know.
    return _json(fields | ({"MfaSerial": key.mfa} if key.mfa else {}))


def decode_access_key(payload: bytes) -> "AccessKey":
    """Return the long-lived key that a payload holds.

    Raises:
        CorruptError: It holds none, or one that ends.
    """
    from privyseal.model.aws import AccessKey  # noqa: PLC0415 - msgspec: not on the way to a hit

    fields = _fields(payload, "a stored key")
    if _string(fields, "sessiontoken", "a stored key"):
        raise CorruptError("a stored key is a temporary one: it has a session token")
    return AccessKey(
        access_key_id=_needed(fields, "accesskeyid", "a stored key"),
        secret_access_key=_needed(fields, "secretaccesskey", "a stored key"),
        account=_string(fields, "accountid", "a stored key"),
        mfa=_string(fields, "mfaserial", "a stored key"),
    )


def encode_session(session: "Credentials") -> bytes:
    """Return the payload of cached credentials."""
    fields = {
        "AccessKeyId": session.access_key_id,
        "Expiration": _rfc3339(session.expires),
        "SecretAccessKey": session.secret_access_key,
        "SessionToken": session.session_token,
    }
    return _json(fields | ({"AccountId": session.account} if session.account else {}))


def decode_session(payload: bytes) -> "Credentials":
    """Return the credentials that the payload of a session holds.

    Raises:
        CorruptError: It holds none.
    """
    from privyseal.model.aws import Credentials  # noqa: PLC0415 - msgspec: not on the way to a hit

    what = "a cached session"
    fields = _fields(payload, what)
    return Credentials(
        access_key_id=_needed(fields, "accesskeyid", what),
        secret_access_key=_needed(fields, "secretaccesskey", what),
        session_token=_string(fields, "sessiontoken", what),
        expires=_seconds(_string(fields, "expiration", what), what),
        account=_string(fields, "accountid", what),
    )


def encode_item(item: Item) -> bytes:
    """Return the JSON text of an entry, for stores that keep one text for each."""
    return _json(
        {
            "Key": item.key,
            "Data": base64.b64encode(item.value.expose()).decode(),
            "Label": item.label,
            "Description": item.description,
            "KeychainNotTrustApplication": classify(item.key) == "credential",
            "KeychainNotSynchronizable": False,
        }
    )


def decode_item(text: bytes) -> Item:
    """Return the entry that a JSON text holds; notes are not part of it.

    Raises:
        CorruptError: It is not an entry.
    """
    what = "an entry of the store"
    fields = _fields(text, what)
    data = _needed(fields, "data", what)
    try:
        value = base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        raise CorruptError(f"{what} has no payload in base64") from None
    return Item(
        _needed(fields, "key", what),
        Secret(value),
        _string(fields, "label", what),
        _string(fields, "description", what),
    )


def _b64(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _text(field: str) -> str | None:
    if "=" in field:
        return None
    try:
        padded = field.translate({ord("-"): "+", ord("_"): "/"}) + "=" * (-len(field) % 4)
        return base64.b64decode(padded, validate=True).decode()
    except ValueError:
        return None


def _json(fields: Mapping[str, object]) -> bytes:
    return json.dumps(fields, separators=(",", ":"), ensure_ascii=False).encode()


def _fields(text: bytes, what: str) -> dict[str, object]:
    # The error of the parser holds the text: it must not travel on with ours.
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        raise CorruptError(f"{what} is not JSON") from None
    if not isinstance(found, dict):
        raise CorruptError(f"{what} is not a JSON object")
    return {str(name).lower(): value for name, value in found.items()}


def _string(fields: Mapping[str, object], name: str, what: str) -> str:
    value = fields.get(name)
    if value is None:
        return ""
    if not isinstance(value, str) or not is_text(value):
        raise CorruptError(f"{what} has no text in {name!r}")
    return value


def _needed(fields: Mapping[str, object], name: str, what: str) -> str:
    value = _string(fields, name, what)
    if not value:
        raise CorruptError(f"{what} has no {name!r}")
    return value


def _rfc3339(seconds: float) -> str:
    return timestamp(seconds) if seconds else _ZERO_TIME


def _seconds(text: str, what: str) -> float:
    if text in {"", _ZERO_TIME}:
        return 0.0
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise CorruptError(f"{what} ends at no time that can be read") from None
    if moment.tzinfo is None:
        raise CorruptError(f"{what} ends at a time without a zone")
    return moment.timestamp()
