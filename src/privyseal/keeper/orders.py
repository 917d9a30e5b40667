"""Turns an AWS order into what a person reads: the order itself, field by field, with nothing left out."""

import shlex
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from typing import Final

from privyseal.errors import UsageError
from privyseal.model import aws
from privyseal.model.evidence import Fact, Grade
from privyseal.model.secret import Secret
from privyseal.model.value import Value, decode, encode
from privyseal.wire.broker import MAX_PACKET, is_endpoint

_TAGGED: Final = aws.StoredKey | aws.SessionStep | aws.RoleStep | aws.FederationStep
"""What stands under its own name, whatever its first field says."""

_ALWAYS: Final = {"profile", "start_url"}
_CALLED: Final = {"endpoints", "federation"}
_SECONDS: Final = {"duration", "grace"}
_SAID: Final = {"profile", "session", "notes", "command"}
"""What the command says of the order, and the broker does not act on."""

_SEED: Final = "totp:"
"""What the name of an MFA device's seed begins with: it comes as its text, and is no key."""

_MAX_ORDER: Final = MAX_PACKET - 16 * 1024
"""In bytes; beside it a broker is told which endpoints it may call."""

_MATCHED: Final = {"profile", "stored key", "account", "role", "name"}


def order_facts(order: aws.Order, value: Secret | None = None) -> tuple[Fact, ...]:
    """Return everything that an order says, and which key comes with it, one line each.

    Raises:
        UsageError: The value is no key, or the order is longer than a broker takes.
    """
    if len(encode(order)) > _MAX_ORDER:
        raise UsageError("the order is too long", hint="shorten its policies, or its command")
    facts = list(_facts(order))
    if value is not None and not getattr(order, "name", "").startswith(_SEED):
        key = decode(value.expose(), aws.AccessKey, what="the key")
        said = {"key id": key.access_key_id, "account": key.account, "mfa": key.mfa}
        facts[1:1] = [Fact(grade="reported", name=n, value=v) for n, v in said.items() if v]
    match order:
        case aws.Obtain(plan=aws.Plan(source=aws.StoredKey(), steps=())):
            facts.append(Fact(grade="warning", name="gives", value="the long-lived key itself"))
        case aws.Clear(name="", portal=None):
            facts.append(Fact(grade="verified", name="forgets", value="all sessions and tokens"))
        case _:
            pass
    return tuple(facts)


def matches(order: aws.Order, patterns: Sequence[str]) -> bool:
    """Return whether a pattern matches a profile, key, account or role of the order."""
    names = [fact.value for fact in _facts(order) if fact.name in _MATCHED]
    return any(fnmatchcase(name, pattern) for name in names for pattern in patterns)


def _facts(part: Value) -> Iterator[Fact]:
    for number, field in enumerate(part.__struct_fields__):
        value, tagged = getattr(part, field), number == 0 and isinstance(part, _TAGGED)
        name = str(part.__struct_config__.tag).replace("-", " ") if tagged else _name(part, field)
        for each in value if field == "steps" else [value]:
            if isinstance(each, Value):
                yield from _facts(each)
            elif (each or tagged or field in _ALWAYS) and field != "least":
                yield Fact(grade=_grade(field, each), name=name, value=_words(field, each))
        if field == "arn" and (account := [*value.split(":"), *[""] * 5][4]):
            yield Fact(grade="verified", name="account", value=account)


def _name(part: Value, field: str) -> str:
    if isinstance(part, aws.Portal):
        return "portal" if field == "start_url" else f"portal {field}"
    return "calls" if field in _CALLED else field.replace("_", " ")


def _grade(field: str, value: object) -> Grade:
    urls = value.values() if isinstance(value, dict) else [value]
    if field in _CALLED and not all(is_endpoint(str(url)) for url in urls):
        return "warning"
    return "reported" if field in _SAID else "verified"


def _words(field: str, value: object) -> str:
    if field in _SECONDS and isinstance(value, int):
        parts = ((value // 3600, "h"), (value // 60 % 60, "min"), (value % 60, "s"))
        return " ".join(f"{n} {unit}" for n, unit in parts if n) or "as AWS decides"
    if isinstance(value, dict):
        return ", ".join(f"{name}: {text}" for name, text in value.items())
    if isinstance(value, tuple):
        return shlex.join(value) if field == "command" else ", ".join(value)
    return "yes" if value is True else str(value)
