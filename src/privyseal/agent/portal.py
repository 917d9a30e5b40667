"""The portal backend org.freedesktop.impl.portal.Secret: one master secret for each application.

gnome-keyring serves it at the Secret Service's own bus name, so whoever takes that name has to.
The application's name is what the portal says: it is reported, not verified.
"""

import asyncio
import os
import re
import select
from collections.abc import Callable
from typing import Any, Final

from privyseal.agent.desk import Desk, Sight, Visit
from privyseal.agent.requests import Requester
from privyseal.errors import (
    ConflictError,
    DeniedError,
    ExpiredError,
    LimitError,
    NotFoundError,
    PrivysealError,
    UsageError,
)
from privyseal.model.ask import Create, Read, Search
from privyseal.model.keyring import ItemRef
from privyseal.model.secret import Secret
from privyseal.runtime.bus import Reply
from privyseal.wire.keeper import Found
from privyseal.wire.secretservice import SCHEMA

PORTAL_SCHEMA: Final = "org.freedesktop.portal.Secret"
MAX_HANDLES: Final = 256

# Response codes of org.freedesktop.portal.Request::Response.
_SUCCESS: Final = 0
_CANCELLED: Final = 1
_FAILED: Final = 2

_SECRET_BYTES: Final = 64
_APPLICATION: Final = re.compile(r"[A-Za-z0-9_.-]{1,255}")


class Portal:
    """Answers RetrieveSecret, and Close on the handles it is asked with."""

    def __init__(self, desk: Desk, random: Callable[[int], bytes] = os.urandom) -> None:
        self._desk = desk
        self._random = random
        self._handles: dict[tuple[str, str], asyncio.Task[Any]] = {}

    async def retrieve(self, visit: Visit) -> Reply:
        """RetrieveSecret: write the application's master secret to the descriptor."""
        handle, application, index, _options = visit.body
        if not _APPLICATION.fullmatch(application):
            raise UsageError(f"{application[:80]!r} is no application identifier")
        key = (visit.peer.name, handle)
        self._admit(key)
        fd = visit.call.take_fd(index)
        try:
            async with asyncio.TaskGroup() as group:
                task = group.create_task(self._deliver(visit, application, fd), name=handle)
                self._handles[key] = task
            code = task.result()
        finally:
            os.close(fd)
            self._handles.pop(key, None)
        return Reply([code, {}])

    async def close(self, visit: Visit) -> Reply:
        """Request.Close: the portal gives up."""
        task = self._handles.get((visit.peer.name, visit.call.path))
        if task is None:
            raise NotFoundError("no such request")
        task.cancel()
        return Reply()

    def _admit(self, key: tuple[str, str]) -> None:
        if key in self._handles:
            raise ConflictError("the handle is in use")
        if len(self._handles) >= MAX_HANDLES:
            raise LimitError("too many portal requests at once")

    async def _deliver(self, visit: Visit, application: str, fd: int) -> int:
        try:
            requester = self._desk.peers.application(visit.peer, application)
            item = await self._find(requester, application)
            if item is None:
                secret = await self._create(requester, application)
            else:
                secret = await self._read(requester, item)
            _write(fd, secret)
        except (DeniedError, ExpiredError, asyncio.CancelledError):
            return _CANCELLED
        except PrivysealError:
            return _FAILED
        return _SUCCESS

    async def _find(self, requester: Requester, application: str) -> ItemRef | None:
        ask = Search(attributes=_attributes(application))
        outcome = await self._desk.requests.ask(requester, ask, patient=True)
        if not isinstance(outcome.result, Found):
            return None
        return next(iter((*outcome.result.open, *outcome.result.closed)), None)

    async def _read(self, requester: Requester, item: ItemRef) -> Secret:
        outcome = await self._desk.requests.ask(requester, Read(items=(item,)), patient=True)
        if not outcome.values:
            raise DeniedError("the secret was not released")
        return outcome.values[0]

    async def _create(self, requester: Requester, application: str) -> Secret:
        collection = (await Sight(self._desk.requests, requester).known()).aliases.get("default")
        if collection is None:
            raise NotFoundError("there is no default collection")
        secret = Secret(self._random(_SECRET_BYTES), "application/octet-stream")
        ask = Create(
            collection=collection,
            label=f"Application key for {application}",
            attributes=_attributes(application),
            content_type=secret.content_type,
        )
        await self._desk.requests.ask(requester, ask, secret, patient=True)
        return secret


def _attributes(application: str) -> dict[str, str]:
    return {"app_id": application, SCHEMA: PORTAL_SCHEMA}


def _write(fd: int, secret: Secret) -> None:
    """Write a short secret to a foreign descriptor without ever blocking on it.

    A pipe that polls as writable takes at least PIPE_BUF bytes (pipe(7)), more than a secret here.
    """
    poller = select.poll()
    poller.register(fd, select.POLLOUT)
    ready = poller.poll(0)
    if not ready or not ready[0][1] & select.POLLOUT:
        raise UsageError("the descriptor takes no data")
    value = secret.expose()
    try:
        if len(value) > select.PIPE_BUF or os.write(fd, value) != len(value):
            raise UsageError("the descriptor took only part of the secret")
    except OSError as error:
        raise UsageError("the descriptor takes no data") from error
