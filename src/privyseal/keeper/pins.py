"""Programs of the companion, such as gpg-agent, that wait for a passphrase from the console."""

import asyncio
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

from privyseal.errors import DeniedError, ExpiredError, LimitError, LockedError, NotFoundError
from privyseal.model.approval import PinAsk
from privyseal.model.secret import Secret

MAX_WAITING: Final = 8


@dataclass(frozen=True, slots=True)
class _Waiting:
    ask: PinAsk
    caller: str
    answer: asyncio.Future[Secret]


class Pins:
    """Who waits for a passphrase; `told` is called whenever that changes."""

    def __init__(self, told: Callable[[], None]) -> None:
        self._told = told
        self._waiting: dict[str, _Waiting] = {}

    def waiting(self) -> list[PinAsk]:
        """Return what waits, oldest first."""
        return [each.ask for each in self._waiting.values()]

    async def ask(
        self, caller: str, text: str, patience: float, of: Literal["GnuPG", "AWS"] = "GnuPG"
    ) -> Secret:
        """Return the passphrase that a person types within `patience` seconds.

        Raises:
            DeniedError: The person cancelled, or the caller has left.
            ExpiredError: Nobody typed one in time.
            LimitError: Too many wait already.
        """
        if len(self._waiting) >= MAX_WAITING:
            raise LimitError(f"{MAX_WAITING} programs wait for a passphrase already")
        answer: asyncio.Future[Secret] = asyncio.get_running_loop().create_future()
        ask = PinAsk(id=secrets.token_hex(8), text=text, of=of)
        self._waiting[ask.id] = _Waiting(ask, caller, answer)
        self._told()
        try:
            async with asyncio.timeout(patience):
                return await answer
        except TimeoutError:
            raise ExpiredError("nobody typed the passphrase in time") from None
        finally:
            self._waiting.pop(ask.id, None)
            self._told()

    def answer(self, pin: str, passphrase: Secret | None) -> None:
        """Hand a passphrase over, or None: the person cancelled.

        Raises:
            NotFoundError: Nobody waits for it any more.
        """
        waiting = self._waiting.pop(pin, None)
        if waiting is None or waiting.answer.done():
            raise NotFoundError("nobody waits for this passphrase any more")
        if passphrase is None:
            waiting.answer.set_exception(DeniedError("the person at the console cancelled"))
        else:
            waiting.answer.set_result(passphrase)

    def forget(self, caller: str) -> None:
        """Stop waiting for a connection that has left."""
        for waiting in self._waiting.values():
            if waiting.caller == caller and not waiting.answer.done():
                waiting.answer.set_exception(DeniedError("the caller has left"))

    def close(self) -> None:
        """Send all away: the keeper ends."""
        for waiting in self._waiting.values():
            if not waiting.answer.done():
                waiting.answer.set_exception(LockedError("the keeper ends"))
