"""What a shell may offer while a person types: identifiers the keeper knows, or a few words."""

from typing import Final

from privyseal.cli.approval import what
from privyseal.cli.aws.formats import FORMATS
from privyseal.cli.reach import reach, way_in
from privyseal.errors import PrivysealError
from privyseal.wire.sanitise import fit

_HISTORY: Final = 50
_WORDS: Final = {
    "scopes": ("once", "5x", "15m", "2h", "until-lock", "until-exit"),
    "shells": ("bash", "zsh", "fish"),
    "formats": FORMATS,
}


def candidates(source: str) -> list[tuple[str, str]]:
    """Return the texts to offer and what each means; nothing when the keeper is out of reach."""
    if source in _WORDS:
        return [(word, "") for word in _WORDS[source]]
    if source == "profiles":
        from privyseal.cli.aws.completion import profiles  # noqa: PLC0415 - for `privy aws` alone

        return [(name, "") for name in profiles()]
    if source not in {"waiting", "requests", "leases"}:
        return []
    try:
        with reach() as keeper:
            if source == "leases":
                return [
                    (lease["id"], fit(", ".join(lease["labels"]), 60)) for lease in keeper.leases()
                ]
            past = keeper.history(_HISTORY) if source == "requests" and way_in() is None else []
            return [(a["id"], fit(what(a), 60)) for a in [*keeper.pending(), *past]]
    except PrivysealError:
        return []  # a completion has no place for an error
