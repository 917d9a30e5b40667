"""`privy provision --import`: move the secrets of a user's old keyring into the companion.

Two couriers, one with each user's UID, read and write; root only carries entries from one to the
other and compares what comes back. Nothing old is deleted unless every item was found in its new
place, the same in every part, and a person wants it; an import that broke off is simply run again.
"""

import pwd
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final, NamedTuple

import click

from privyseal.cli.lower import account_uid
from privyseal.cli.migration_link import Courier
from privyseal.cli.migration_move import DONE, MAIN, Move, Moved, Outcome, row_of
from privyseal.cli.migration_words import Shelf
from privyseal.cli.passphrase import passphrase
from privyseal.cli.report import print_json, print_table, say
from privyseal.errors import (
    DeniedError,
    LockedError,
    NotFoundError,
    PrivysealError,
    UnreachableError,
)
from privyseal.model.secret import Secret
from privyseal.runtime.companion import Companion

_WORDS: Final[dict[Outcome, str]] = {
    "old": "to be moved",
    "moved": "moved",
    "replaced": "moved over an older one",
    "there": "there already",
    "newer": "a newer one is there: left alone",
    "failed": "failed",
    "locked": "locked",
    "deleted": "verified, old copy deleted",
    "kept": "verified, old copy could not be deleted",
}
_COLUMNS: Final = (24, 40, 120)


class Wishes(NamedTuple):
    """The options of the command."""

    dry_run: bool = False
    delete_old: bool = False
    passphrase_fd: int | None = None
    as_json: bool = False


class Sides(NamedTuple):
    """Whom the couriers work as, and on which bus. `way_in` leads to the console."""

    old_uid: int
    old_bus: str
    home: Path
    new_uid: int
    new_bus: str
    way_in: str


def sides_of(companion: Companion) -> Sides:
    """Return both sides of a companion's import.

    Raises:
        NotFoundError: The user or the second user does not exist.
    """
    try:
        home = Path(pwd.getpwuid(companion.uid).pw_dir)
    except KeyError:
        raise NotFoundError(f"there is no user {companion.uid}") from None
    return Sides(
        old_uid=companion.uid,
        old_bus=f"unix:path=/run/user/{companion.uid}/bus",
        home=home,
        new_uid=account_uid(companion.account),
        new_bus=companion.private_bus,
        way_in=companion.way_in,
    )


def import_secrets(sides: Sides, wishes: Wishes) -> int:
    """Move everything, print what became of it; return the exit status.

    That is 0 when every item is verified in its new place, 7 when a locked collection is all that
    is missing, and else 1.

    Raises:
        NotFoundError: There is no old keyring.
        LockedError: The companion's store is locked.
        UnreachableError: The companion does not run.
    """
    with ExitStack() as couriers:
        old = couriers.enter_context(
            Courier.started("old", sides.old_uid, sides.old_bus, sides.home)
        )
        who, shelves = old.collections()
        if wishes.dry_run:
            return _report(who, list(_names(old, shelves)), as_json=wishes.as_json)
        new = couriers.enter_context(
            Courier.started("new", sides.new_uid, sides.new_bus, Path("/"))
        )
        move = Move(old, new, _opened(new, sides.way_in))
        secret = None
        if wishes.passphrase_fd is not None:
            secret = passphrase(
                "Passphrase of the old keyring", wishes.passphrase_fd, option="--passphrase-fd"
            )
        for shelf in shelves:
            if _unlocked(old, shelf, secret, move.rows):
                move.shelf(shelf)
        if move.complete and _wants_deletion(wishes, len(move.twins)):
            move.delete_old()
    return _report(who, move.rows, as_json=wishes.as_json)


def _names(old: Courier, shelves: Sequence[Shelf]) -> Iterator[Moved]:
    for shelf in shelves:
        if shelf.locked:
            yield Moved(shelf.title, "", "locked", "its items are not known before it is unlocked")
            continue
        for path in old.items(shelf.path):
            yield row_of(shelf, old.look(path), "old")


def _opened(new: Courier, way_in: str) -> tuple[Shelf, ...]:
    try:
        _, shelves = new.collections()
    except UnreachableError as error:
        error.hint = f"let the user log in and unlock the store on the console ({way_in})"
        raise
    if not any(set(shelf.aliases) & MAIN for shelf in shelves):
        raise LockedError(
            "the companion has no store yet", hint=f"make it on the console ({way_in})"
        )
    if any(shelf.locked for shelf in shelves):
        raise LockedError(
            "the companion's store is locked",
            hint=f"unlock it on the console ({way_in}), then run it again",
        )
    return shelves


def _unlocked(old: Courier, shelf: Shelf, secret: Secret | None, rows: list[Moved]) -> bool:
    if not shelf.locked:
        return True
    try:
        try:
            old.unlock(shelf.path, secret.expose() if secret is not None else b"")
        except DeniedError:
            if secret is not None or not sys.stdin.isatty():
                raise
            asked = passphrase(f"Passphrase of {shelf.title!r}", None, option="--passphrase-fd")
            old.unlock(shelf.path, asked.expose())
    except PrivysealError as error:
        text = f"{error}; unlock it in the session, or give its passphrase with --passphrase-fd"
        rows.append(Moved(shelf.title, "", "locked", text))
        return False
    return True


def _wants_deletion(wishes: Wishes, count: int) -> bool:
    if wishes.delete_old or not count:
        return wishes.delete_old
    if wishes.as_json or not sys.stdin.isatty():
        return False
    return click.confirm(
        f"All {count} items are verified in their new place. Delete the old copies?",
        default=False,
        err=True,
    )


def _report(who: str, rows: Sequence[Moved], *, as_json: bool) -> int:
    counts = Counter(row.outcome for row in rows)
    if as_json:
        print_json(
            {"provider": who, "items": [row._asdict() for row in rows], "counts": dict(counts)}
        )
    else:
        said = [
            (row.collection, row.item, _WORDS[row.outcome] + (f": {row.text}" if row.text else ""))
            for row in rows
        ]
        if said:
            print_table(("COLLECTION", "ITEM", "OUTCOME"), said, _COLUMNS)
        words = [f"{number} {_WORDS[outcome]}" for outcome, number in counts.items()]
        say(f"from {who}: {', '.join(words) or 'nothing to move'}")
        if counts.keys() & {"moved", "replaced", "there"} and set(counts) <= DONE:
            say("the old copies are still there: run it again with --delete-old")
    bad = set(counts) - DONE - {"old"}
    if not bad:
        return 0
    return LockedError.exit_status if bad == {"locked"} else 1
