"""`privy approve`: allow a request, having seen what it asks for."""

import sys
from contextlib import suppress
from typing import Final

from privyseal.cli import approval as told
from privyseal.cli.reach import reach, way_in
from privyseal.cli.report import GREEN, paint, say
from privyseal.cli.spec import Argument, Option, Spec, Values
from privyseal.errors import ConflictError, DeniedError, PrivysealError, UsageError
from privyseal.runtime.blocking import Json, Keeper
from privyseal.runtime.wayin import ConsoleOnlyError, console_only

SCOPE: Final = Option(
    "--scope", "How far it reaches: once, 5x, 15m, 2h, until-lock or until-exit.", "SCOPE",
    complete="scopes",
)  # fmt: skip
ITEM: Final = Option(
    "--item", "Allow only item number N of the list; repeat for more.", "N", many=True
)

ON_CONSOLE: Final = "{} can only be decided on the console (Ctrl+Alt+F8): this is companion mode."


def run(values: Values) -> int:
    """Print what is approved, and approve exactly that."""
    scope = _scope(values["scope"] or "once")
    refuse_in_companion_mode(values["id"])
    try:
        with Keeper.open() as keeper:
            approval = waiting(keeper, values["id"])
            drawn = told.lines(approval)
            for line in drawn:
                print(told.coloured(line, sys.stdout))
            sys.stdout.flush()
            ended = keeper.decide(
                decision(approval, drawn, allow=True)
                | {"scope": scope, "items": _items(approval, values["item"])}
            )
    except ConsoleOnlyError as error:
        raise DeniedError(ON_CONSOLE.format(values["id"])) from error
    if ended["state"] != "allowed":
        raise ConflictError(f"the request is {ended['state']}: {ended['id']}")
    if ended["reason"]:
        raise PrivysealError(f"{ended['reason']}: {ended['id']}")
    say(f"{paint('allowed', GREEN, sys.stderr)} {ended['id']}")
    return 0


def refuse_in_companion_mode(prefix: str) -> None:
    """Say where the request that `prefix` means is decided, if that is not here.

    Raises:
        ConsoleOnlyError: This is companion mode.
        NotFoundError: So it is, and no such request waits.
    """
    found = way_in()
    if found is None:
        return
    name, pending = prefix, None
    with suppress(PrivysealError), reach() as keeper:
        pending = keeper.pending()
    if pending is not None:
        one = told.find(pending, prefix)
        name = dict(zip((a["id"] for a in pending), told.short_ids(pending), strict=True))[
            one["id"]
        ]
    raise console_only(f"{name} can only be decided", found.keys)


def waiting(keeper: Keeper, prefix: str) -> Json:
    """Return the request to decide: one that waits, else the past one, for a clear refusal.

    Raises:
        UsageError: Several waiting ones start with `prefix`.
    """
    pending = keeper.pending()
    if prefix and any(str(a["id"]).startswith(prefix) for a in pending):
        return told.find(pending, prefix)
    return keeper.show(prefix)


def decision(approval: Json, drawn: list[str], *, allow: bool) -> Json:
    """Return a decision on `approval` as the keeper takes it, bound to what was drawn.

    Raises:
        ConflictError: It has ended already.
    """
    if approval["state"] != "pending":
        raise ConflictError(f"the request is {approval['state']} already: {approval['id']}")
    return {
        "request": approval["id"],
        "digest": approval["digest"],
        "allow": allow,
        "face": "cli",
        "screen": told.screen(drawn),
    }


def _scope(text: str) -> Json:
    from privyseal.model.decision import Scope  # noqa: PLC0415 - msgspec costs 18 ms

    scope = Scope.parse(text)
    return {"kind": scope.kind, "amount": scope.amount}


def _items(approval: Json, numbers: tuple[str, ...]) -> list[Json]:
    items = approval["content"]["items"]
    chosen = []
    for text in numbers:
        if not (text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= len(items)):
            raise UsageError(f"--item wants a number from 1 to {len(items)}, not {text!r}")
        chosen.append(items[int(text) - 1]["ref"])
    return chosen


SPEC: Final = Spec(
    "Allow a request.",
    run,
    (SCOPE, ITEM),
    (Argument("id", complete="waiting"),),
    "Prints what the request asks for, who asks, and allows exactly that: when the request has "
    "changed since, nothing is allowed. ID is any unique beginning of its identifier.",
)
