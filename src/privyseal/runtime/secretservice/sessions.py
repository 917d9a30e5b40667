"""Secret Service sessions: who may use which, and what each does with a secret."""

import itertools
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from dbus_fast import Variant

from privyseal.errors import LimitError, NoSessionError, UnsupportedError
from privyseal.model.secret import Secret
from privyseal.wire.secretservice import WireSecret, parse_secret, session_path
from privyseal.wire.sessioncrypto import DH, PLAIN, Cipher, PlainCipher, Random, agree

MAX_SESSIONS: Final = 64

# D-Bus allows arrays of 64 MiB; a longer reply would cost us the connection.
_MAX_REPLY: Final = 48 * 1024 * 1024
_OVERHEAD: Final = 1024


class Peer(Protocol):
    """A connection on the bus; its unique name is never used again."""

    @property
    def name(self) -> str:
        """The unique name."""
        ...


@dataclass(frozen=True, slots=True)
class Session:
    """One session of one peer."""

    path: str
    owner: str
    cipher: Cipher


class Sessions:
    """Every open session, bound to the peer that opened it."""

    def __init__(self, random: Random = os.urandom) -> None:
        self._random = random
        self._numbers = itertools.count(1)
        self._sessions: dict[str, Session] = {}

    def __len__(self) -> int:
        return len(self._sessions)

    def open(self, peer: Peer, algorithm: str, offer: Variant) -> tuple[Variant, str]:
        """Open a session; return our half of the agreement and the session's path.

        Raises:
            UnsupportedError: The algorithm is unknown or the offer does not fit it.
            LimitError: The peer has too many sessions open.
        """
        if sum(s.owner == peer.name for s in self._sessions.values()) >= MAX_SESSIONS:
            raise LimitError(f"at most {MAX_SESSIONS} sessions at once", hint="close some")
        output = Variant("s", "")
        cipher: Cipher
        if algorithm == PLAIN and offer.signature == "s":
            cipher = PlainCipher()
        elif algorithm == DH and offer.signature == "ay":
            cipher, public = agree(bytes(offer.value), self._random)
            output = Variant("ay", public)
        else:
            raise UnsupportedError(
                f"no session with algorithm {algorithm[:80]!r} and input {offer.signature[:80]!r}"
            )
        path = session_path(next(self._numbers))
        self._sessions[path] = Session(path, peer.name, cipher)
        return output, path

    def find(self, peer: Peer, path: str) -> Session:
        """Return the peer's session.

        Raises:
            NoSessionError: It is not there; nothing says whether somebody else has it.
        """
        session = self._sessions.get(path)
        if session is None or session.owner != peer.name:
            raise NoSessionError("no such session")
        return session

    def close(self, peer: Peer, path: str) -> None:
        """Close the peer's session."""
        del self._sessions[self.find(peer, path).path]

    def drop(self, peer: Peer) -> None:
        """Close every session of a peer that left."""
        for path in [p for p, s in self._sessions.items() if s.owner == peer.name]:
            del self._sessions[path]

    def seal(self, session: Session, secret: Secret) -> list[object]:
        """Return a secret as a `(oayays)` struct for its session."""
        parameters, value = session.cipher.seal(secret.expose(), self._random)
        return [session.path, parameters, value, secret.content_type]

    def seal_many(self, session: Session) -> Callable[[Secret], list[object]]:
        """Return what seals the secrets of one reply; it raises `LimitError` once that is full."""
        size = 0

        def seal(secret: Secret) -> list[object]:
            nonlocal size
            size += len(secret) + _OVERHEAD
            if size > _MAX_REPLY:
                raise LimitError("these secrets do not fit in one reply", hint="ask for fewer")
            return self.seal(session, secret)

        return seal

    def unseal(self, peer: Peer, struct: list[object]) -> Secret:
        """Return the secret in a `(oayays)` struct that the peer sent.

        Raises:
            NoSessionError: The session in it is not the peer's.
            UsageError: It does not fit the session.
        """
        wire: WireSecret = parse_secret(struct)
        cipher = self.find(peer, wire.session).cipher
        return Secret(cipher.unseal(wire.parameters, wire.value), wire.content_type)
