"""Prompt objects: how a client of the Secret Service waits for a person without a time limit.

A prompt belongs to one peer, is used once and vanishes with its `Completed` signal, which goes to
that peer alone.
"""

import asyncio
import itertools
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from dbus_fast import Variant

from privyseal.agent.peers import Peer
from privyseal.errors import (
    ConflictError,
    DeniedError,
    LimitError,
    NotFoundError,
    PrivysealError,
    UnreachableError,
)
from privyseal.runtime.bus import Connection
from privyseal.wire.secretservice import PROMPT, prompt_path

log = logging.getLogger(__name__)

MAX_PROMPTS: Final = 64

Work = Callable[[], Awaitable[Variant]]
"""Waits for the decision and returns the result of `Completed`."""


@dataclass(eq=False, slots=True)
class Prompt:
    """One prompt: what it waits for, what it answers when dismissed, how it is called off."""

    path: str
    owner: str
    work: Work
    dismissed_result: Variant
    withdraw: Callable[[], None]
    task: "asyncio.Task[None] | None" = None


class Prompts:
    """Every prompt that has not completed."""

    def __init__(self, connection: Connection, group: asyncio.TaskGroup) -> None:
        self._connection = connection
        self._group = group
        self._numbers = itertools.count(1)
        self._prompts: dict[str, Prompt] = {}

    def __len__(self) -> int:
        return len(self._prompts)

    def reserve(self, peer: Peer) -> None:
        """Make sure that the peer may have one more prompt, before anything is asked for it.

        Raises:
            LimitError: It has too many.
        """
        if sum(p.owner == peer.name for p in self._prompts.values()) >= MAX_PROMPTS:
            raise LimitError(f"at most {MAX_PROMPTS} prompts at once", hint="dismiss some")

    def make(
        self, peer: Peer, work: Work, dismissed_result: Variant, withdraw: Callable[[], None]
    ) -> str:
        """Return the path of a new prompt; `withdraw` calls off what was asked before `work`."""
        if peer.gone:
            withdraw()
            raise UnreachableError("the caller has left the bus")
        path = prompt_path(next(self._numbers))
        self._prompts[path] = Prompt(path, peer.name, work, dismissed_result, withdraw)
        return path

    def start(self, peer: Peer, path: str) -> None:
        """Let a prompt wait; `Completed` follows.

        Raises:
            ConflictError: It was started before.
        """
        prompt = self._find(peer, path)
        if prompt.task is not None:
            raise ConflictError("the prompt was used already")
        prompt.task = self._group.create_task(self._run(prompt), name=path)

    def dismiss(self, peer: Peer, path: str) -> None:
        """Call a prompt off; `Completed` says so."""
        prompt = self._find(peer, path)
        self._end(prompt)
        self._complete(prompt, prompt.dismissed_result, dismissed=True)

    def drop(self, peer: Peer) -> None:
        """Call off every prompt of a peer that left."""
        for prompt in [p for p in self._prompts.values() if p.owner == peer.name]:
            self._end(prompt)

    def _find(self, peer: Peer, path: str) -> Prompt:
        prompt = self._prompts.get(path)
        if prompt is None:
            raise NotFoundError("no such prompt")
        if prompt.owner != peer.name:
            raise DeniedError("the prompt belongs to another program")
        return prompt

    def _end(self, prompt: Prompt) -> None:
        self._prompts.pop(prompt.path, None)
        prompt.withdraw()
        if prompt.task is not None:
            prompt.task.cancel()

    async def _run(self, prompt: Prompt) -> None:
        try:
            result, dismissed = await prompt.work(), False
        except PrivysealError:
            result, dismissed = prompt.dismissed_result, True
        except Exception:
            # No call waits here to be told: the client hears that the prompt is over.
            log.exception("internal error in %s", prompt.path)
            result, dismissed = prompt.dismissed_result, True
        # Only one of this task and `dismiss` completes a prompt: whoever takes it out.
        if self._prompts.pop(prompt.path, None) is not None:
            self._complete(prompt, result, dismissed=dismissed)

    def _complete(self, prompt: Prompt, result: Variant, *, dismissed: bool) -> None:
        self._connection.emit(
            prompt.path, PROMPT, "Completed", "bv", [dismissed, result], to=prompt.owner
        )
