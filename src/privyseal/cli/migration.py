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
from typing import Final, Literal, NamedTuple, TypeVar

import click

from privyseal.cli.lower import account_uid
from privyseal.cli.migration_link import Courier
from privyseal.cli.migration_words import Entry, Shelf
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

Outcome = Literal[
    "moved", "replaced", "there", "newer", "failed", "locked", "deleted", "kept", "old"
]

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
_DONE: Final = frozenset({"moved", "replaced", "there", "deleted"})
_T = TypeVar("_T")
_COLUMNS: Final = (24, 40, 120)
_MAIN: Final = frozenset({"default", "login"})


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


class Moved(NamedTuple):
    """What became of one item, or of one collection that stays shut."""

    collection: str
    item: str
    outcome: Outcome
    text: str = ""


class _Twin(NamedTuple):
    """An item that was found the same in both places."""

    row: int
    old: str
    new: str


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
        move = _Move(old, new, _opened(new, sides.way_in))
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


class _Move:
    """Carries items from one courier to the other and remembers what became of each."""

    def __init__(self, old: Courier, new: Courier, shelves: Sequence[Shelf]) -> None:
        self.rows: list[Moved] = []
        self.twins: list[_Twin] = []
        self._old = old
        self._new = new
        self._shelves = list(shelves)
        self._claimed: set[str] = set()

    @property
    def complete(self) -> bool:
        """Whether every item was found the same in its new place."""
        return all(row.outcome in _DONE for row in self.rows)

    def shelf(self, shelf: Shelf) -> None:
        """Move one collection."""
        # The one time that is kept is the order: new items are made in the order of the old ones.
        entries = sorted(self._read(shelf), key=lambda e: (e.created, len(e.path), e.path))
        if not entries:
            return
        try:
            target = self._target(shelf)
            places = self._index(target)
        except PrivysealError as error:
            rows = [_row(shelf, entry, "failed", str(error)) for entry in entries]
            self.rows += rows
            return
        rest = []
        # Items that share their attributes are told apart by being the same in every part; those
        # have to be found before any other takes their place.
        for entry in entries:
            twin = next((p for p in self._free(places, entry) if self._is_at(p, entry)), "")
            if twin:
                self._keep(shelf, entry, twin, "there")
            else:
                rest.append(entry)
        for entry in _shown(rest, f"moving {shelf.label or shelf.name}"):
            try:
                self._put(shelf, target, places, entry)
            except PrivysealError as error:
                self.rows.append(_row(shelf, entry, "failed", str(error)))

    def delete_old(self) -> None:
        """Delete the old copy of each item, if it and its twin are still the same."""
        for twin in _shown(self.twins, "deleting the old copies"):
            row = self.rows[twin.row]
            try:
                entry = self._old.read(twin.old)
                if not self._new.read(twin.new).same(entry):
                    self.rows[twin.row] = row._replace(outcome="kept", text="it has changed since")
                    continue
                self._old.delete(twin.old)
                self.rows[twin.row] = row._replace(outcome="deleted")
            except PrivysealError as error:
                self.rows[twin.row] = row._replace(outcome="kept", text=str(error))

    def _read(self, shelf: Shelf) -> Iterator[Entry]:
        for path in self._old.items(shelf.path):
            try:
                yield self._old.read(path)
            except PrivysealError as error:
                self.rows.append(Moved(shelf.label or shelf.name, path, "failed", str(error)))

    def _target(self, shelf: Shelf) -> str:
        """Return the collection of the same alias or label, making it where there is none."""
        aliases = {*shelf.aliases, *({shelf.name} & _MAIN)}
        main = [s for s in self._shelves if set(s.aliases) & _MAIN]
        if aliases & _MAIN and main:
            named = [s for s in main if set(s.aliases) & aliases]
            return (named or main)[0].path
        for found in self._shelves:
            if found.label == (shelf.label or shelf.name):
                return found.path
        label = shelf.label or shelf.name
        path = self._new.create_collection(label)
        self._shelves.append(Shelf(path=path, label=label))
        return path

    def _index(self, target: str) -> dict[frozenset[tuple[str, str]], list[str]]:
        places: dict[frozenset[tuple[str, str]], list[str]] = {}
        for path in self._new.items(target):
            places.setdefault(self._new.look(path).known_by, []).append(path)
        return places

    def _free(
        self, places: dict[frozenset[tuple[str, str]], list[str]], entry: Entry
    ) -> Iterator[str]:
        yield from (p for p in places.get(entry.known_by, ()) if p not in self._claimed)

    def _put(
        self,
        shelf: Shelf,
        target: str,
        places: dict[frozenset[tuple[str, str]], list[str]],
        entry: Entry,
    ) -> None:
        outcome: Outcome = "moved"
        place = next(self._free(places, entry), "")
        if not place:
            place = self._new.create(target, entry)
        elif self._new.look(place).modified > entry.modified:
            self._claimed.add(place)
            self.rows.append(_row(shelf, entry, "newer"))
            return
        else:
            self._new.write(place, entry)
            outcome = "replaced"
        if self._is_at(place, entry):
            self._keep(shelf, entry, place, outcome)
        else:
            text = "what was read back is not what was written"
            self.rows.append(_row(shelf, entry, "failed", text))

    def _is_at(self, place: str, entry: Entry) -> bool:
        return self._new.read(place).same(entry)

    def _keep(self, shelf: Shelf, entry: Entry, place: str, outcome: Outcome) -> None:
        self._claimed.add(place)
        self.twins.append(_Twin(len(self.rows), entry.path, place))
        self.rows.append(_row(shelf, entry, outcome))


def _row(shelf: Shelf, entry: Entry, outcome: Outcome, text: str = "") -> Moved:
    return Moved(shelf.label or shelf.name, entry.label or entry.path, outcome, text)


def _names(old: Courier, shelves: Sequence[Shelf]) -> Iterator[Moved]:
    for shelf in shelves:
        name = shelf.label or shelf.name
        if shelf.locked:
            yield Moved(name, "", "locked", "its items are not known before it is unlocked")
            continue
        for path in old.items(shelf.path):
            yield _row(shelf, old.look(path), "old")


def _opened(new: Courier, way_in: str) -> tuple[Shelf, ...]:
    try:
        _, shelves = new.collections()
    except UnreachableError as error:
        error.hint = f"let the user log in and unlock the store on the console ({way_in})"
        raise
    if not any(set(shelf.aliases) & _MAIN for shelf in shelves):
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
    name = shelf.label or shelf.name
    try:
        try:
            old.unlock(shelf.path, secret.expose() if secret is not None else b"")
        except DeniedError:
            if secret is not None or not sys.stdin.isatty():
                raise
            asked = passphrase(f"Passphrase of {name!r}", None, option="--passphrase-fd")
            old.unlock(shelf.path, asked.expose())
    except PrivysealError as error:
        text = f"{error}; unlock it in the session, or give its passphrase with --passphrase-fd"
        rows.append(Moved(name, "", "locked", text))
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


def _shown(things: Sequence[_T], label: str) -> Iterator[_T]:
    with click.progressbar(
        things, file=sys.stderr, label=label, hidden=not sys.stderr.isatty()
    ) as progress:
        yield from progress


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
        if counts.keys() & {"moved", "replaced", "there"} and set(counts) <= _DONE:
            say("the old copies are still there: run it again with --delete-old")
    bad = set(counts) - _DONE - {"old"}
    if not bad:
        return 0
    return LockedError.exit_status if bad == {"locked"} else 1
