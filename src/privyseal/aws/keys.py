"""Orders that change what a store keeps: a key is kept, forgotten, or what came from it cleared."""

import re
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Final

import msgspec

from privyseal.aws import items
from privyseal.aws.ports import Entries, KeyStore
from privyseal.aws.sts import of_key
from privyseal.errors import (
    ConflictError,
    CorruptError,
    NotFoundError,
    UnreachableError,
    UsageError,
)
from privyseal.model.aws import AccessKey, Clear, Credentials, Keep, Network, Remove
from privyseal.model.clock import Clock
from privyseal.model.secret import Secret
from privyseal.model.value import decode

Whose = Callable[[Network, Credentials], tuple[str, str]]
"""Returns account and ARN of who credentials belong to (STS GetCallerIdentity)."""

_LONG_LIVED: Final = re.compile(r"AKIA[A-Z0-9]{12,28}")
_TEMPORARY: Final = "ASIA"
_SECRET: Final = re.compile(r"[!-~]{16,128}")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
_RESERVED: Final = "privy-"
_UNSEEN: Final = "add `--no-verify` to store it unseen"
_AGAIN: Final = f"copy it again; if it really looks like that, {_UNSEEN}"


def keep(order: Keep, value: Secret, store: KeyStore, whose: Whose, clock: Clock) -> list[str]:
    """Keep a long-lived key; return the lines that say so.

    AWS is asked first whose it is, so that a slip of the keyboard ends here and not at two in the
    night. What was made from the key before, or from the one in its place, is forgotten.

    Raises:
        UsageError: It is no long-lived key, or cannot have this name; nothing was stored.
        ConflictError: There is a key of this name, and the order does not replace it.
        DeniedError: AWS does not know the key; nothing was stored.
    """
    key = _key(value)
    checked_name(order.name)
    # A name can talk a person into typing another secret, and what is known of an id is no secret.
    check_shape(key, strict=order.typed or not order.unverified)
    before = store.entries()
    if order.name in before and not order.replace:
        raise ConflictError(
            f"there is a key named {order.name!r} already", hint="add `--replace` to replace it"
        )
    if not order.unverified:
        key = _verified(key, order.network, whose)
    marks = {items.mark(key.access_key_id), _mark_before(order.name, before, store)} - {""}
    store.write(items.key_item(order.name, key, added=clock.wall()))
    lines = [f'Added credentials to profile "{order.name}" in vault']
    if count := _drop(store, _made_from(order.name, marks, before, replaced=order.name in before)):
        lines.append(f"Deleted {count} existing sessions.")
    return lines


def remove(order: Remove, store: KeyStore) -> list[str]:
    """Forget a long-lived key and what was made from it; return the lines that say so.

    Raises:
        NotFoundError: There is no key of this name.
        ConflictError: A rotation of it is unfinished, and its journal may hold the only new key.
    """
    before = store.entries()
    made = _made_from(order.name, set(), before)
    if items.journal_key(order.name) in before:
        raise ConflictError(
            f"a rotation of {order.name!r} is unfinished",
            hint=f"finish it with `privy aws rotate {order.name}`",
        )
    if items.classify(order.name) != "credential" or order.name not in before:
        raise NotFoundError(f"there is no key named {order.name!r} in {store.description}")
    store.remove(order.name)
    lines = ["Deleted credentials."]
    if count := _drop(store, made):
        lines.append(f"Deleted {count} sessions.")
    return lines


def clear(order: Clear, store: KeyStore) -> list[str]:
    """Forget sessions and tokens, of one profile and its portal or of all; return what it says."""
    before = store.entries()
    if order.name or order.portal is not None:
        wanted = _made_from(order.name, set(), before) if order.name else []
        token = items.token_key(order.portal.start_url) if order.portal else ""
        wanted += [token] if token in before else []
    else:
        classes = {"session", "old-session", "token"}
        wanted = [key for key in before if items.classify(key) in classes]
        # A registration is no session, but without its tokens it is of no use.
        _drop(store, [key for key in before if items.classify(key) == "client"])
    return [f"Cleared {_drop(store, wanted)} sessions."]


def checked_name(name: str) -> str:
    """Return a name that a key can be kept under.

    Raises:
        UsageError: It is empty, or would be read as the name of something else.
    """
    if not name or _CONTROL.search(name) or name != name.strip():
        raise UsageError(f"{name!r} cannot be the name of a key")
    if items.classify(name) != "credential" or name.startswith(_RESERVED):
        raise UsageError(
            f"{name!r} cannot be the name of a key: it is how sessions and tokens are named",
            hint="give the profile another name",
        )
    return name


def check_shape(key: AccessKey, *, strict: bool) -> None:
    """Check that a key looks like a long-lived one of AWS; `strict` also where others differ.

    Raises:
        UsageError: It does not; the message holds nothing of the secret.
    """
    check_id(key.access_key_id, strict=strict)
    if not key.secret_access_key:
        raise UsageError("a key has an access key id and a secret access key")
    if not strict:
        return
    if not _SECRET.fullmatch(key.secret_access_key):
        raise UsageError(
            f"what was given as secret access key has {len(key.secret_access_key)} characters: "
            "one has 40, and no spaces among them",
            hint=_AGAIN,
        )


def check_id(access_key_id: str, *, strict: bool) -> None:
    """Check that this looks like the id of a long-lived key; `strict` as in `check_shape`.

    Raises:
        UsageError: It does not.
    """
    if access_key_id.startswith(_TEMPORARY):
        raise UsageError(
            "an access key id that begins with ASIA is of temporary credentials, which end",
            hint="store the long-lived key, which begins with AKIA",
        )
    if not access_key_id:
        raise UsageError("a key has an access key id and a secret access key")
    if strict and not _LONG_LIVED.fullmatch(access_key_id):
        raise UsageError(
            "what was given as access key id is none: one begins with AKIA and has 20 capital letters "
            "and digits",
            hint=_AGAIN,
        )


def _key(value: Secret) -> AccessKey:
    try:
        return decode(value.expose(), AccessKey, what="the key")
    except UsageError as error:
        raise UsageError(str(error)) from None


def _verified(key: AccessKey, network: Network, whose: Whose) -> AccessKey:
    try:
        account, _ = whose(network, of_key(key))
    except UnreachableError as error:
        raise UnreachableError(f"{error}; nothing was stored", hint=_UNSEEN) from error
    return msgspec.structs.replace(key, account=account)


def _mark_before(name: str, entries: Entries, store: KeyStore) -> str:
    """Return what stands for the key that is to be replaced, "" when there is none."""
    notes = entries.get(name)
    if notes is None or notes.get("mark"):
        return "" if notes is None else notes["mark"]
    with suppress(NotFoundError, CorruptError):
        return items.mark(items.decode_access_key(store.read(name).value.expose()).access_key_id)
    return ""


def _made_from(
    name: str, marks: set[str], entries: Entries, *, replaced: bool = False
) -> list[str]:
    """Return the sessions that came from the stored key `name`, or from one of these marks.

    Of aws-vault's own it is not known where they came from, so with a key replaced they all go.
    """
    found = []
    for key, notes in entries.items():
        parts = items.parse_session(key)
        if parts is None:
            continue
        foreign = replaced and not parts.digest and parts.kind.startswith("sts.")
        ours = name in {parts.profile, notes.get("source")} or notes.get("mark") in marks
        if ours or foreign:
            found.append(key)
    return found


def _drop(store: KeyStore, wanted: Iterable[str]) -> int:
    count = 0
    for key in wanted:
        # Another process may have swept it out since.
        with suppress(NotFoundError):
            store.remove(key)
            count += 1
    return count
