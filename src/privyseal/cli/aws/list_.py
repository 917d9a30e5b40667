"""`privy aws list`: profiles, keys and sessions; nothing is unlocked and no secret read for it."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from msgspec import to_builtins

from privyseal.cli.aws.door import open_door
from privyseal.cli.aws.environment import outside
from privyseal.cli.aws.files import load_profiles
from privyseal.cli.aws.options import STORE
from privyseal.cli.fetch import TIMEOUT
from privyseal.cli.report import print_json, say
from privyseal.cli.spec import JSON, Option, Spec, Values
from privyseal.errors import PrivysealError
from privyseal.model.aws import KeptSession, KeptToken, Vaulted
from privyseal.runtime.clock import SystemClock
from privyseal.wire.aws import durations
from privyseal.wire.aws.profiles import Profiles
from privyseal.wire.sanitise import fit, width

PROFILES: Final = Option("--profiles", "Print the names of profiles alone.")
SESSIONS: Final = Option("--sessions", "Print the sessions alone.")
CREDENTIALS: Final = Option("--credentials", "Print the names of long-lived keys alone.")

_HEAD: Final = ("Profile", "Credentials", "Sessions")
_DEFAULT: Final = "default"
_LEAST: Final = 25
_GAP: Final = 2
_WIDE: Final = 500


class Row(NamedTuple):
    """One line of the table; "" stands for what there is none of."""

    profile: str
    credentials: str
    sessions: str


def run(values: Values) -> int:
    """Print the table, or one kind of names, or everything as JSON."""
    profiles = load_profiles(os.environ)
    with open_door({TIMEOUT.name: TIMEOUT.absent, **values}, wake=False) as door:
        kept = door.known()
        remark = door.remark
    names = [n for n in profiles.names() if n != _DEFAULT or profiles.own(n)]
    if values["json"]:
        print_json({"profiles": names, **to_builtins(kept)})
        return 0
    rows = list(table(names, kept, _portals(profiles, names), SystemClock().wall()))
    if values["credentials"]:
        lines = [key.name for key in kept.keys]
    elif values["profiles"]:
        lines = names
    elif values["sessions"]:
        lines = [label for row in rows for label in row.sessions.split(", ") if label]
    else:
        lines = list(drawn(rows))
        if remark and not kept.keys:
            say(remark)
    for each in lines:
        print(fit(each, _WIDE * len(_HEAD)))
    return 0


def table(
    names: Sequence[str], kept: Vaulted, portals: Mapping[str, str], now: float
) -> Iterator[Row]:
    """Yield a row for each profile, then for keys without one, then for sessions without one.

    `portals` are the start URLs of profiles that sign in at one.
    """
    keys = {key.name for key in kept.keys}
    sessions: dict[str, list[KeptSession | KeptToken]] = {}
    for session in kept.sessions:
        sessions.setdefault(session.profile, []).append(session)
    tokens = {token.start_url: token for token in kept.tokens}
    for name in names:
        token = tokens.get(portals[name]) if name in portals else None
        own = [*sessions.get(name, ()), *([token] if token else [])]
        yield Row(name, name if name in keys else "", _labels(own, now))
    for key in sorted(keys - set(names)):
        yield Row("", key, "")
    listed, signed_in = set(names), set(portals.values())
    others: list[KeptSession | KeptToken] = [s for s in kept.sessions if s.profile not in listed]
    others += [token for token in kept.tokens if token.start_url not in signed_in]
    for each in others:
        yield Row("", "", _label(each, now))


def drawn(rows: Iterable[Row]) -> Iterator[str]:
    """Yield the lines of the table, in the widths that scripts for aws-vault know."""
    cells = [_HEAD, tuple("=" * len(name) for name in _HEAD)]
    cells += [tuple(fit(text, _WIDE) or "-" for text in row) for row in rows]
    wide = [max(_LEAST, _GAP + max(map(width, column))) for column in zip(*cells, strict=True)]
    for row in cells:
        padded = (text + " " * (room - width(text)) for text, room in zip(row, wide, strict=True))
        yield "".join(padded)


def _labels(sessions: Iterable[KeptSession | KeptToken], now: float) -> str:
    return ", ".join(_label(each, now) for each in sessions)


def _label(each: KeptSession | KeptToken, now: float) -> str:
    if isinstance(each, KeptSession):
        return f"{each.kind}:{durations.written(int(each.expires - now))}"
    return f"oidc:{each.session or urlsplit(each.start_url).netloc or each.start_url}"


def _portals(profiles: Profiles, names: Iterable[str]) -> dict[str, str]:
    found = {}
    for name in names:
        try:
            profile = profiles.resolve(name, outside(os.environ))
        except PrivysealError:
            continue  # a profile that cannot be used is listed all the same
        if profile["sso_start_url"]:
            found[name] = profile["sso_start_url"]
    return found


SPEC: Final = Spec(
    "List profiles, keys and sessions.",
    run,
    (PROFILES, SESSIONS, CREDENTIALS, JSON, *STORE),
)
