"""Which entries of the audit log a person looks for."""

import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final, NamedTuple

import msgspec

from privyseal.errors import UsageError
from privyseal.model.approval import Content
from privyseal.model.receipt import Entry

_UNITS: Final = {"s": 1, "min": 60, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_HASH: Final = re.compile(r"[0-9a-f]{64,}")
_AGO: Final = re.compile(r"([0-9]{1,6})(s|min|m|h|d|w)")


class Query(NamedTuple):
    """What an entry must hold, empty for anything; times are wall-clock seconds since 1970."""

    text: str = ""
    program: str = ""
    item: str = ""
    outcome: str = ""
    since: float = 0.0
    until: float = float("inf")

    def matches(self, entry: Entry) -> bool:
        """Return whether the entry fits every part of the query."""
        return (
            self.since <= entry.at <= self.until
            and (not self.outcome or self.outcome == entry.outcome)
            and (not self.program or _holds(_programs(entry), self.program))
            and (not self.item or _holds(_items(entry), self.item))
            and (not self.text or _holds(_strings(msgspec.to_builtins(entry)), self.text))
        )


def moment(text: str, now: float) -> float:
    """Return the instant written as a local date, a date and a time, or a span before `now`.

    Raises:
        UsageError: It is none of these.
    """
    ago = _AGO.fullmatch(text)
    if ago is not None:
        return now - int(ago[1]) * _UNITS[ago[2]]
    try:
        return datetime.fromisoformat(text).astimezone().timestamp()
    except (ValueError, OverflowError) as error:
        raise UsageError(
            f"{text!r} is no point in time",
            hint="write 2026-03-01, '2026-03-01 14:00', or 2h or 3d for that long ago",
        ) from error


def _programs(entry: Entry) -> Iterator[str]:
    yield entry.requester
    for content in _contents(entry):
        yield content.evidence.summary


def _items(entry: Entry) -> Iterator[str]:
    yield from entry.items
    for content in _contents(entry):
        for item in content.items:
            yield item.label
            yield f"{item.ref.collection}/{item.ref.item}"


def _contents(entry: Entry) -> Iterator[Content]:
    if entry.content is not None:
        yield entry.content
    if entry.receipt is not None:
        yield entry.receipt.content


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        # A few letters of a hash are in every second entry.
        yield "" if _HASH.fullmatch(value) else value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from _strings(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _strings(inner)


def _holds(texts: Iterator[str], part: str) -> bool:
    folded = part.casefold()
    return any(folded in text.casefold() for text in texts)
