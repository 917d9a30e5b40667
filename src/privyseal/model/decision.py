"""What a person decides: allow or deny, for how long, for which items, having seen what."""

import re
from typing import Annotated, Final, Literal

import msgspec

from privyseal.errors import UsageError
from privyseal.model.keyring import ItemRef
from privyseal.model.value import MAX_ITEMS, Name, Text, Value

ScopeKind = Literal["once", "uses", "minutes", "until-lock", "until-exit"]

MAX_USES: Final = 1000
MAX_MINUTES: Final = 7 * 24 * 60

_AMOUNT: Final = re.compile(r"([1-9][0-9]{0,5})(x|m|h)")


class Scope(Value, frozen=True):
    """How far an allow reaches. `amount` counts uses or minutes and is 0 for the other kinds."""

    kind: ScopeKind = "once"
    amount: int = 0

    @classmethod
    def parse(cls, text: str) -> "Scope":
        """Return the scope written as `once`, `5x`, `15m`, `2h`, `until-lock` or `until-exit`.

        Raises:
            UsageError: The text is none of these, or the amount is past the limit.
        """
        if text == "once":
            return cls()
        if text == "until-lock":
            return cls(kind="until-lock")
        if text == "until-exit":
            return cls(kind="until-exit")
        match = _AMOUNT.fullmatch(text)
        if match is None:
            raise UsageError(
                f"unknown scope {text!r}",
                hint="use once, 5x (uses), 15m, 2h, until-lock or until-exit",
            )
        return cls._counted(int(match[1]), match[2])

    @classmethod
    def _counted(cls, number: int, unit: str) -> "Scope":
        kind: ScopeKind = "uses" if unit == "x" else "minutes"
        amount = number * 60 if unit == "h" else number
        limit = MAX_USES if kind == "uses" else MAX_MINUTES
        if amount > limit:
            raise UsageError(f"a scope of {amount} {kind} exceeds the limit of {limit}")
        return cls(kind=kind, amount=amount)

    def describe(self) -> str:
        """Return the scope in a person's words."""
        match self.kind:
            case "uses":
                return f"{self.amount} times"
            case "minutes":
                return f"{self.amount} minutes"
            case "until-lock":
                return "until the store is locked"
            case "until-exit":
                return "until it exits"
            case _:
                return "once"


Face = Literal["console", "cli", "notification"]


class Decision(Value, frozen=True):
    """One decision on one request, bound to what was on the screen.

    `digest` is the SHA-256 of the content that was drawn; the keeper refuses the decision when the
    content has changed since. `items` narrows an allow to some of the request's items; empty means
    all. `screen` is the text as drawn, line by line, and becomes part of the receipt.
    """

    request: Name
    digest: Name
    allow: bool
    scope: Scope = Scope()
    items: Annotated[tuple[ItemRef, ...], msgspec.Meta(max_length=MAX_ITEMS)] = ()
    face: Face = "cli"
    screen: Annotated[tuple[Text, ...], msgspec.Meta(max_length=200)] = ()
