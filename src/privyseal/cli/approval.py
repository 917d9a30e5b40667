"""A request as the command line tells it: as lines for a person, and as JSON for a program."""

from collections.abc import Iterator, Sequence
from typing import Final, TextIO

from privyseal.cli.report import AMBER, paint, span
from privyseal.errors import NotFoundError, UsageError
from privyseal.runtime.blocking import Json
from privyseal.wire.sanitise import fit

MARKS: Final = {"verified": "=", "reported": "?", "warning": "!"}
WIDE: Final = 400
"""Longest foreign text on one line, in cells; longer ones lose their middle, visibly."""

_SHORTEST: Final = 4
_CANDIDATES: Final = 8


def short_ids(approvals: Sequence[Json]) -> list[str]:
    """Return for each request the shortest prefix of its identifier that names no other."""
    names = sorted({str(a["id"]) for a in approvals})
    shortest: dict[str, str] = {}
    for before, name, after in zip(["", *names], names, [*names[1:], ""], strict=False):
        common = max(_common(before, name), _common(name, after))
        shortest[name] = name[: max(_SHORTEST, common + 1)]
    return [shortest[str(a["id"])] for a in approvals]


def find(
    approvals: Sequence[Json],
    prefix: str,
    *,
    what: str = "request",
    where: str = "list them with `privy list`",
) -> Json:
    """Return the one request, or lease, whose identifier starts with `prefix`.

    Raises:
        NotFoundError: None does.
        UsageError: Several do; the message lists them.
    """
    found = [a for a in approvals if str(a["id"]).startswith(prefix)] if prefix else []
    exact = [a for a in found if a["id"] == prefix]
    if len(found) == 1 or exact:
        return (exact or found)[0]
    if not found:
        raise NotFoundError(f"no {what} {prefix!r}", hint=where)
    names = [name for a, name in zip(approvals, short_ids(approvals), strict=True) if a in found]
    raise UsageError(f"{prefix!r} names several {what}s: {some(names)}")


def some(names: Sequence[str]) -> str:
    """Return the first few names and how many more there are."""
    more = len(names) - _CANDIDATES
    listed = ", ".join(names[:_CANDIDATES])
    return f"{listed} and {more} more" if more > 0 else listed


def what(approval: Json) -> str:
    """Return what is asked for, in a few words: the badge and what it is about."""
    content, ask = approval["content"], approval["ask"]
    about = [
        item["label"] or f"{item['ref']['collection']}/{item['ref']['item']}"
        for item in content["items"]
    ]
    if not about and ask.get("label"):
        about = [ask["label"]]
    if not about:
        about = [f"{name}={value}" for name, value in (ask.get("attributes") or {}).items()]
    if not about and ask["kind"].startswith("aws-"):
        about = [fact["value"] for fact in content["details"][:1]]
    named = ", ".join(about or content["collections"]) or content["title"]
    return f"{str(content['badge']).lower()} {named}"


def who(approval: Json) -> str:
    """Return who asks, in a few words, with a warning mark where one is due."""
    evidence = approval["content"]["evidence"]
    doubtful = any(fact["grade"] == "warning" for fact in evidence["facts"])
    return f"! {evidence['summary']}" if doubtful else str(evidence["summary"])


def lines(approval: Json) -> list[str]:
    """Return the content of a request as it is put before a person, one text a line.

    These very lines become part of the receipt when the request is decided from here.
    """
    content = approval["content"]
    return [f"{content['badge']}  {content['title']}", *_subject(content), *_asker(content)]


def screen(drawn: Sequence[str], most: int = 200) -> list[str]:
    """Return lines as a decision carries them: at most `most`, long lists joined, none lost."""
    per = -(-len(drawn) // most) or 1
    return ["\n".join(drawn[i : i + per]) for i in range(0, len(drawn), per)]


def coloured(line: str, stream: TextIO) -> str:
    """Return a line of `lines`, amber where it is a warning."""
    return paint(line, AMBER, stream) if line.startswith("  !") else line


def public(approval: Json) -> Json:
    """Return a request in the documented JSON schema."""
    content = approval["content"]
    keys = (
        "id", "state", "digest", "created", "expires", "resolved", "reason", "decided_by",
        "needs_unlock", "blocking",
    )  # fmt: skip
    return {
        **{key: approval[key] for key in keys},
        "kind": approval["ask"]["kind"],
        "badge": content["badge"],
        "title": content["title"],
        "requester": content["evidence"]["summary"],
        "pid": (content["evidence"].get("process") or {}).get("pid"),
        "trusted": content["evidence"]["trusted"],
        "evidence": content["evidence"]["facts"],
        "items": [public_item(item) for item in content["items"]],
        "collections": content["collections"],
        "details": content["details"],
        "before": content["before"],
    }


def public_item(item: Json) -> Json:
    """Return an item in the documented JSON schema."""
    return {
        "collection": item["ref"]["collection"],
        "item": item["ref"]["item"],
        "label": item["label"],
        "attributes": item["attributes"],
        "locked": item["locked"],
    }


def left(approval: Json, now: float) -> str:
    """Return how long a request still waits."""
    return span(float(approval["expires"]) - now)


def _subject(content: Json) -> Iterator[str]:
    for number, item in enumerate(content["items"], 1):
        ref = item["ref"]
        place = f"{ref['collection']}/{ref['item']}"
        locked = "  (locked)" if item["locked"] else ""
        yield f"{number:3}  {fit(item['label'] or '(no label)', WIDE)}  in {fit(place, WIDE)}{locked}"
        for name, value in sorted(item["attributes"].items()):
            yield f"       {fit(name, WIDE)} = {fit(value, WIDE)}"
    for name in content["collections"]:
        yield f"     collection  {fit(name, WIDE)}"
    yield from _facts(content["details"])


def _asker(content: Json) -> Iterator[str]:
    yield f"asked by {fit(content['evidence']['summary'], WIDE)}"
    yield from _facts(content["evidence"]["facts"])
    if content["before"]:
        yield f"before: {fit(content['before'], WIDE)}"


def _facts(facts: Sequence[Json]) -> Iterator[str]:
    for fact in facts:
        mark = MARKS.get(fact["grade"], "!")
        yield f"  {mark}  {fit(fact['name'], WIDE)}: {fit(fact['value'], WIDE)}"


def _common(one: str, other: str) -> int:
    for length, (a, b) in enumerate(zip(one, other, strict=False)):
        if a != b:
            return length
    return min(len(one), len(other))
