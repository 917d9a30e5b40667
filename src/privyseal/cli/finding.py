"""Getting secrets by name: find the items, and ask for all of them in one request."""

from __future__ import annotations

from privyseal.cli.fetch import ask
from privyseal.cli.ref import FORMS, Ref, escape
from privyseal.errors import DeniedError, LockedError, NotFoundError, UsageError
from privyseal.model.secret import Secret
from privyseal.runtime.blocking import Json, Keeper

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


def fetch(keeper: Keeper, refs: Sequence[Ref], seconds: float | None) -> list[Secret]:
    """Return the secret of each name, after one decision over all of them.

    Raises:
        NotFoundError: A name fits no item.
        UsageError: A name fits several.
        DeniedError: A person or a rule refused, wholly or for one of the items.
        ExpiredError: Nobody decided in time.
    """
    requester = keeper.register()
    found = _Finder(keeper, requester, seconds)
    wanted = [found.item(ref) for ref in refs]
    unique = list({(i["collection"], i["item"]): i for i in wanted}.values())
    ticket, secrets = ask(keeper, requester, {"kind": "read", "items": unique}, seconds)
    slices = (ticket.get("result") or {}).get("slices", ())
    values = {
        (piece["item"]["collection"], piece["item"]["item"]): secret
        for piece, secret in zip(slices, secrets, strict=True)
    }
    return [_of(values, item, ref) for item, ref in zip(wanted, refs, strict=True)]


def _of(values: dict[tuple[str, str], Secret], item: Json, ref: Ref) -> Secret:
    secret = values.get((item["collection"], item["item"]))
    if secret is None:
        raise DeniedError(f"this item was left out or is locked: {ref.text!r}")
    return secret


class _Finder:
    """Finds items by name; what it learnt about the store serves the next name too."""

    def __init__(self, keeper: Keeper, requester: str, seconds: float | None) -> None:
        self._keeper = keeper
        self._requester = requester
        self._seconds = seconds
        self._items: list[Json] | None = None
        self._aliases: dict[str, str] = {}
        self._labels: dict[str, str] = {}

    def item(self, ref: Ref) -> Json:
        if ref.item:
            return {"collection": ref.collection, "item": ref.item}
        found = self._by_attributes(ref) if ref.attributes else self._by_label(ref)
        if len(found) == 1:
            return found[0]
        if not found:
            raise NotFoundError(
                f"no item fits {ref.text!r}",
                hint=FORMS,
            )
        from privyseal.cli.approval import some  # noqa: PLC0415 - only where a name is not enough

        names = [f"item:{escape(i['collection'])}/{escape(i['item'])}" for i in found]
        raise UsageError(f"{ref.text!r} fits several items: {some(names)}", hint="name one of them")

    def _by_attributes(self, ref: Ref) -> list[Json]:
        search = {"kind": "search", "attributes": dict(ref.attributes)}
        ticket, _ = ask(self._keeper, self._requester, search, self._seconds)
        result = ticket.get("result") or {}
        return [*result.get("open", ()), *result.get("closed", ())]

    def _by_label(self, ref: Ref) -> list[Json]:
        items = self._all()
        found = [item["ref"] for item in items if self._fits(item, ref)]
        if not found and any(item["locked"] and not item["label"] for item in items):
            raise LockedError(
                "the store is locked, labels cannot be read", hint=self._keeper.how_to_unlock
            )
        return found

    def _fits(self, item: Json, ref: Ref) -> bool:
        if not ref.collection:
            return bool(item["label"] == ref.label)
        home = item["ref"]["collection"]
        names = {home, self._labels.get(home)}
        named = ref.collection in names or self._aliases.get(ref.collection) == home
        return bool((named and item["label"] == ref.label) or item["label"] == ref.whole)

    def _all(self) -> list[Json]:
        if self._items is None:
            known = next(self._look([{"look": "collections"}]))
            self._aliases = known["aliases"]
            self._labels = {c["id"]: c["label"] for c in known["collections"]}
            folders = [{"look": "items", "collection": name} for name in self._labels]
            names = zip(self._labels, self._look(folders), strict=True)
            questions = [
                {"look": "item", "item": {"collection": collection, "item": item}}
                for collection, answer in names
                for item in answer["items"]
            ]
            self._items = [answer["item"] for answer in self._look(questions)]
        return self._items

    def _look(self, questions: list[Json]) -> Iterator[Json]:
        return self._keeper.look(self._requester, questions)
