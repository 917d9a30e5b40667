"""What a store keeps for AWS, as far as names and notes tell: no value is read."""

from privyseal.aws import items
from privyseal.aws.ports import Entries
from privyseal.model.aws import KeptKey, KeptSession, KeptToken, Vaulted


def known(entries: Entries) -> Vaulted:
    """Return what the names and notes of a store's entries tell."""
    keys, sessions, tokens, journals = [], [], [], []
    for name, notes in sorted(entries.items()):
        match items.classify(name):
            case "credential":
                keys.append(
                    KeptKey(
                        name=name,
                        tail=notes.get("tail", ""),
                        account=notes.get("account", ""),
                        mfa=notes.get("mfa", ""),
                        added=_number(notes.get("added", "")),
                    )
                )
            case "session" if parts := items.parse_session(name):
                sessions.append(
                    KeptSession(
                        profile=parts.profile,
                        kind=parts.kind,
                        expires=float(parts.expiry),
                        mfa=parts.serial,
                    )
                )
            case "token":
                tokens.append(
                    KeptToken(
                        start_url=items.token_url(name),
                        session=notes.get("session", ""),
                        expires=_number(notes.get("expires", "")),
                        refreshable=notes.get("refreshable", "") not in {"", "0", "no", "false"},
                    )
                )
            case "journal":
                journals.append(items.journal_name(name))
            case _:
                pass
    return Vaulted(
        keys=tuple(keys), sessions=tuple(sessions), tokens=tuple(tokens), journals=tuple(journals)
    )


def _number(text: str) -> float:
    try:
        return max(float(text), 0.0)
    except ValueError:
        return 0.0
