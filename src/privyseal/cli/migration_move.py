"""The carrying of an import: each item read, put into its place, read back and compared."""

import sys
from collections.abc import Iterator, Sequence
from typing import Final, Literal, NamedTuple, TypeAlias, TypeVar

import click

from privyseal.cli.migration_link import Courier
from privyseal.cli.migration_words import Entry, Shelf
from privyseal.errors import PrivysealError

Outcome = Literal[
    "moved", "replaced", "there", "newer", "failed", "locked", "deleted", "kept", "old"
]

DONE: Final = frozenset({"moved", "replaced", "there", "deleted"})
"""What became of items that are in their new place."""

MAIN: Final = frozenset({"default", "login"})
"""The aliases of the collection that programs use when they name none."""

_T = TypeVar("_T")

_Places: TypeAlias = dict[frozenset[tuple[str, str]], list[str]]


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


class Move:
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
        return all(row.outcome in DONE for row in self.rows)

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
            rows = [row_of(shelf, entry, "failed", str(error)) for entry in entries]
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
        for entry in _shown(rest, f"moving {shelf.title}"):
            try:
                self._put(shelf, target, places, entry)
            except PrivysealError as error:
                self.rows.append(row_of(shelf, entry, "failed", str(error)))

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
                self.rows.append(Moved(shelf.title, path, "failed", str(error)))

    def _target(self, shelf: Shelf) -> str:
        """Return the collection of the same alias or label, making it where there is none."""
        aliases = {*shelf.aliases, *({shelf.name} & MAIN)}
        main = [s for s in self._shelves if set(s.aliases) & MAIN]
        if aliases & MAIN and main:
            named = [s for s in main if set(s.aliases) & aliases]
            return (named or main)[0].path
        for found in self._shelves:
            if found.label == shelf.title:
                return found.path
        path = self._new.create_collection(shelf.title)
        self._shelves.append(Shelf(path=path, label=shelf.title))
        return path

    def _index(self, target: str) -> _Places:
        places: _Places = {}
        for path in self._new.items(target):
            places.setdefault(self._new.look(path).known_by, []).append(path)
        return places

    def _free(self, places: _Places, entry: Entry) -> Iterator[str]:
        yield from (p for p in places.get(entry.known_by, ()) if p not in self._claimed)

    def _put(
        self,
        shelf: Shelf,
        target: str,
        places: _Places,
        entry: Entry,
    ) -> None:
        outcome: Outcome = "moved"
        place = next(self._free(places, entry), "")
        if not place:
            place = self._new.create(target, entry)
        elif self._new.look(place).modified > entry.modified:
            self._claimed.add(place)
            self.rows.append(row_of(shelf, entry, "newer"))
            return
        else:
            self._new.write(place, entry)
            outcome = "replaced"
        if self._is_at(place, entry):
            self._keep(shelf, entry, place, outcome)
        else:
            text = "what was read back is not what was written"
            self.rows.append(row_of(shelf, entry, "failed", text))

    def _is_at(self, place: str, entry: Entry) -> bool:
        return self._new.read(place).same(entry)

    def _keep(self, shelf: Shelf, entry: Entry, place: str, outcome: Outcome) -> None:
        self._claimed.add(place)
        self.twins.append(_Twin(len(self.rows), entry.path, place))
        self.rows.append(row_of(shelf, entry, outcome))


def row_of(shelf: Shelf, entry: Entry, outcome: Outcome, text: str = "") -> Moved:
    """Return what became of an item of a collection."""
    return Moved(shelf.title, entry.label or entry.path, outcome, text)


def _shown(things: Sequence[_T], label: str) -> Iterator[_T]:
    with click.progressbar(
        things, file=sys.stderr, label=label, hidden=not sys.stderr.isatty()
    ) as progress:
        yield from progress
