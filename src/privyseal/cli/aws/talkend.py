"""The command's end of a talk: what the broker asks of the person reaches her here.

The words are those of `privyseal.wire.broker`, as plain JSON: msgspec takes 18 ms to load, and most
orders need nothing of the person.
"""

from __future__ import annotations

import _socket as socket  # what `socket` adds costs 3 ms: enums of all its constants

from privyseal.errors import PrivysealError
from privyseal.wire import jsontext

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Final, Self

    from privyseal.aws.ports import Talk

MAX_PACKET: Final = 64 * 1024
"""`privyseal.wire.broker.MAX_PACKET`; a test holds them equal."""


class TalkEnd:
    """A pair of sockets: one end goes to the broker, what comes out of the other is answered.

    `person` makes the talk when it is needed first; `begun` is called when the broker begins.
    """

    def __init__(
        self, person: Callable[[], Talk], begun: Callable[[], None] = lambda: None
    ) -> None:
        self._person = person
        self._begun = begun
        self._talk: Talk | None = None
        self._ours, self._theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)

    def fileno(self) -> int:
        """Return our end's descriptor, to wait for what is said."""
        return self._ours.fileno()

    @property
    def theirs(self) -> int:
        """The descriptor of the broker's end."""
        return self._theirs.fileno()

    def ready(self) -> bool:
        """Answer one thing that was said; return False when nothing more will be."""
        try:
            packet = self._ours.recv(MAX_PACKET)
            saying = jsontext.read(packet.decode()) if packet else None
            if not isinstance(saying, dict):
                return False
            answer = self._answer(saying)
            if answer is not None:
                self._ours.send(jsontext.write(answer).encode())
        except (OSError, ValueError):  # it has left: how it ended is told elsewhere
            return False
        return True

    def _answer(self, saying: dict[str, Any]) -> dict[str, str] | None:
        if saying == {"say": "told", "text": ""}:
            self._begun()
            return None
        if self._talk is None:
            self._talk = self._person()
        talk = self._talk
        try:
            match saying.get("say"):
                case "code":
                    return {"text": talk.code(str(saying["serial"]), str(saying.get("again", "")))}
                case "redirect":
                    return {"text": talk.redirect()}
                case "page":
                    code, redirect = str(saying.get("code", "")), bool(saying.get("redirect"))
                    return {"text": talk.page(str(saying["url"]), code=code, redirect=redirect)}
                case _:
                    talk.tell(str(saying.get("text", "")))
                    return None
        except PrivysealError as error:
            return {"refused": str(error) or "no answer"}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._ours.close()
        self._theirs.close()
