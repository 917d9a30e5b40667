"""What a store keeps for AWS, as far as names and notes tell: no value is read.

Other programs write into stores, too: a name that is no text or longer than any of ours is left
out, and so is such a note.
"""

from collections.abc import Mapping
from math import isfinite
from typing import Final

from privyseal.aws import items
from privyseal.aws.ports import Entries
from privyseal.model.aws import KeptKey, KeptSession, KeptToken, Vaulted

_LONGEST: Final = 255
_LONGEST_URL: Final = 16 * 1024


def known(entries: Entries) -> Vaulted:
    """Return what the names and notes of a store's entries tell."""
    keys, sessions, tokens, journals = [], [], [], []
    for name, notes in sorted(entries.items()):
        if not items.is_text(name):
            continue
        match items.classify(name):
            case "credential" if len(name) <= _LONGEST:
                keys.append(_key(name, notes))
            case "session" if (parts := items.parse_session(name)) and _is_short(parts):
                sessions.append(
                    KeptSession(
                        profile=parts.profile,
                        kind=parts.kind,
                        expires=float(parts.expiry),
                        mfa=parts.serial,
                    )
                )
            case "token" if len(name) <= _LONGEST_URL:
                tokens.append(_token(name, notes))
            case "journal" if len(items.journal_name(name)) <= _LONGEST:
                journals.append(items.journal_name(name))
            case _:
                pass
    return Vaulted(
        keys=tuple(keys), sessions=tuple(sessions), tokens=tuple(tokens), journals=tuple(journals)
    )


def _key(name: str, notes: Mapping[str, str]) -> KeptKey:
    return KeptKey(
        name=name,
        tail=_note(notes, "tail"),
        account=_note(notes, "account"),
        mfa=_note(notes, "mfa"),
        added=_number(notes, "added"),
    )


def _token(name: str, notes: Mapping[str, str]) -> KeptToken:
    return KeptToken(
        start_url=items.token_url(name),
        session=_note(notes, "session"),
        expires=_number(notes, "expires"),
        refreshable=_note(notes, "refreshable") not in {"", "0", "no", "false"},
    )


def _is_short(parts: items.SessionKey) -> bool:
    return (
        max(len(parts.profile), len(parts.kind)) <= _LONGEST and len(parts.serial) <= _LONGEST_URL
    )


def _note(notes: Mapping[str, str], name: str) -> str:
    text = notes.get(name, "")
    return text if len(text) <= _LONGEST and items.is_text(text) else ""


def _number(notes: Mapping[str, str], name: str) -> float:
    try:
        number = float(notes.get(name, ""))
    except ValueError:
        return 0.0
    return max(number, 0.0) if isfinite(number) else 0.0
