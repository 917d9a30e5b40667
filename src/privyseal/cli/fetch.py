"""Getting secrets from the keeper: find the items, ask for them in one request, wait for a person."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Final

from privyseal.cli.approval import some
from privyseal.cli.ref import FORMS, Ref, escape
from privyseal.cli.report import say
from privyseal.cli.spec import Option
from privyseal.errors import (
    DeniedError,
    ExpiredError,
    LockedError,
    NotFoundError,
    PrivysealError,
    UnreachableError,
    UsageError,
)
from privyseal.model.secret import Secret
from privyseal.runtime.blocking import Json, Keeper

TIMEOUT: Final = Option("--timeout", "Give up after so many seconds.", "SECONDS")
LONGEST_WAIT: Final = 7 * 24 * 3600

_GRANTED: Final = frozenset({"allowed", "leased", "ruled", "ignored"})


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


def ask(
    keeper: Keeper,
    requester: str,
    wish: Json,
    seconds: float | None,
    inputs: Sequence[int] = (),
    *,
    grace: float = 0,
    told: Callable[[str], None] = say,
) -> tuple[Json, list[Secret]]:
    """Return the ticket of a request that was granted, with what it released.

    `grace` is how many seconds to wait in silence: under a lease only the work takes time. `told`
    gets what is said then.

    Raises:
        DeniedError: A person or a rule refused.
        ExpiredError: Nobody decided in time; the request is withdrawn.
    """
    ticket, secrets = keeper.submit(requester, wish, inputs)
    if ticket["state"] == "pending":
        request = str(ticket["id"])
        try:
            if not (grace and _soon(keeper, request, grace)):
                where = keeper.how_to_decide.format(request)
                told(ticket.get("reason") or f"waiting for a decision: {where}")
                keeper.resolved(request, seconds)
        except (KeyboardInterrupt, ExpiredError):
            with suppress(PrivysealError):
                keeper.cancel(request)
            raise
        ticket, secrets = keeper.collect(request)
    if ticket["state"] not in _GRANTED:
        raise _refused(ticket)
    return ticket, secrets


def _soon(keeper: Keeper, request: str, seconds: float) -> bool:
    try:
        keeper.resolved(request, seconds)
    except ExpiredError:
        return False
    return True


def _refused(ticket: Json) -> PrivysealError:
    state, reason = ticket["state"], ticket.get("reason") or ""
    text = f"{reason}: {ticket['id']}" if reason else f"the request was {state}: {ticket['id']}"
    if state == "expired":
        return ExpiredError(f"nobody decided in time: {ticket['id']}")
    if state == "denied":
        return DeniedError(text)
    if state == "abandoned":
        return UnreachableError(text)
    return PrivysealError(text)


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
