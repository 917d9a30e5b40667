"""The keeper's door: an order is a request like any other, and a person decides it."""

from __future__ import annotations

import os

from privyseal.cli.aws.talkend import TalkEnd
from privyseal.cli.fetch import ask
from privyseal.cli.reach import reach
from privyseal.errors import LockedError, PrivysealError, UnreachableError
from privyseal.model.secret import Secret
from privyseal.runtime.blocking import Json, Keeper
from privyseal.runtime.memfd import seal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Final, Self

    from privyseal.aws.ports import Talk

USES: Final = frozenset({"obtain", "link", "roles"})
"""The orders that use what is kept; the others change it."""

ALLOWED: Final = "it is allowed, and AWS is asked now"
"""What the keeper says as well, of an order that was allowed before anybody was told to decide."""

GRACE: Final = 0.4
"""Seconds before a person is told that she has to decide: what a lease covers takes a tenth."""

COMMAND_WORDS: Final = 64
"""The limit of `privyseal.model.aws.Command`; a test holds them equal."""

COMMAND_SHOWN: Final = 4 * 1024
"""How many characters of a command an order carries: a screen shows fewer, and orders have limits."""


class NoKeeperError(UnreachableError):
    """No keeper is within reach."""


class _Progress:
    """What a person is told while she waits for an order, each thing once.

    Whoever was told to decide sees that this has been done. Of what a lease allows nothing is said,
    least of all in the middle of a dialogue.
    """

    def __init__(self, under_way: str) -> None:
        self._under_way = under_way
        self._begun = False
        self._said = ""

    def begun(self) -> None:
        """Note that the broker begins."""
        self._begun = True
        self.told(self._under_way)

    def told(self, text: str) -> None:
        """Say what there is to wait for: the person, until the broker begins."""
        if self._begun or text == ALLOWED:
            text = self._under_way if self._said else ""
        if text != self._said:
            self._said = text
            from privyseal.cli.report import say  # noqa: PLC0415 - only where a person waits

            say(text)


class KeeperLink:
    """A connection to the keeper for orders; orders and results are JSON."""

    def __init__(self, keeper: Keeper, person: Callable[[], Talk], seconds: float | None) -> None:
        self._keeper = keeper
        self._person = person
        self._seconds = seconds
        self._requester = ""

    def carry_out(self, order: Json, value: Secret | None = None) -> bytes:
        """Ask for an order, wait for a person, and talk with her; return the result."""
        kind = "aws-use" if order["order"] in USES else "aws-change"
        progress = _Progress(ALLOWED if kind == "aws-use" else "it is allowed, and under way")
        with TalkEnd(self._person, progress.begun) as talk:
            memory = [seal(value.expose())] if value is not None else []
            self._keeper.beside(talk.fileno(), talk.ready)
            try:
                _, secrets = ask(
                    self._keeper,
                    self._registered(),
                    {"kind": kind, "order": order},
                    self._seconds,
                    [talk.theirs, *memory],
                    grace=GRACE,
                    told=progress.told,
                )
            finally:
                self._keeper.alone()
                for fd in memory:
                    os.close(fd)
        if len(secrets) != 1:
            raise PrivysealError("the keeper's answer is malformed")
        return secrets[0].expose()

    def known(self) -> Json:
        """Return what the store keeps, without a secret: the JSON of `Vaulted`."""
        [answer] = self._keeper.look(self._registered(), [{"look": "aws"}])
        return dict(answer["vaulted"])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        self._keeper.close()
        if isinstance(error, LockedError):  # a hint does not travel over the bus
            error.hint = error.hint or self._keeper.how_to_unlock

    def _registered(self) -> str:
        self._requester = self._requester or self._keeper.register()
        return self._requester


def keeper_link(
    person: Callable[[], Talk], *, wake: bool, seconds: float | None = None
) -> KeeperLink:
    """Connect to the keeper of this user; with `wake` a companion that is logged out is started.

    Raises:
        NoKeeperError: There is none within reach.
    """
    try:
        keeper = reach(wake=wake)
    except UnreachableError as error:
        raise NoKeeperError(str(error), hint=error.hint) from error
    return KeeperLink(keeper, person, seconds)


def shown(command: Sequence[str]) -> list[str]:
    """Return the words of a command as an order carries them, cut where they are long or many."""
    words: list[str] = []
    room = COMMAND_SHOWN
    for number, word in enumerate(command):
        if not room or len(words) == COMMAND_WORDS - 1 < len(command) - 1:
            return [*words, f"… and {len(command) - number} more"]
        # What is not UTF-8 can be an argument, yet not a part of an order.
        text = word.encode(errors="surrogateescape").decode(errors="backslashreplace")
        words.append(text[:room])
        room -= len(words[-1])
    return words
