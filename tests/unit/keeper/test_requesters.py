"""Who is behind a connection, and which control groups are the agent's own."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

import pytest
from tests.waiting import eventually

from privyseal.errors import DeniedError
from privyseal.keeper import unaided
from privyseal.keeper.requesters import Callers, in_agent_unit
from privyseal.keeper.testimony import unaided as evidence_of
from privyseal.model.evidence import Evidence
from privyseal.runtime.bus import Connection

UNIT = "privyseal-agent@1000.service"


@pytest.mark.parametrize(
    "group",
    [f"/system.slice/{UNIT}", rf"/system.slice/system-privyseal\x2dagent.slice/{UNIT}"],
)
def test_the_agent_is_where_the_system_puts_it(group: str) -> None:
    assert in_agent_unit(group, 1000)


@pytest.mark.parametrize(
    "group",
    [
        "",
        "/",
        UNIT,
        f"/{UNIT}",
        f"/user.slice/user-1000.slice/user@1000.service/app.slice/{UNIT}",
        f"/user.slice/user-1000.slice/user@1000.service/system.slice/{UNIT}",
        f"/user.slice/system.slice/{UNIT}",
        f"/system.slice/docker.service/{UNIT}",
        f"/system.slice/system-other.slice/{UNIT}",
        f"/system.slice/{UNIT}/below",
        f"/system.slice/{UNIT}\n",
        "/system.slice/privyseal-agent@1001.service",
        "/system.slice/privyseal-agent@1000xservice",
    ],
)
def test_no_other_control_group_is_taken_for_the_agents(group: str) -> None:
    assert not in_agent_unit(group, 1000)


class _Bus:
    """A bus that says of each connection that this process opened it."""

    pid = 0
    asked: list[str]

    def __init__(self) -> None:
        self.asked = []

    async def process_of(self, name: str) -> tuple[int, int]:
        self.asked.append(name)
        return self.pid, os.getuid()

    async def owner(self, _name: str) -> str:
        return ":1.1"


@contextmanager
def _process() -> Iterator[int]:
    with subprocess.Popen(["sleep", "60"]) as child:
        yield child.pid
        child.kill()


async def _look(pidfd: int) -> Evidence:
    return evidence_of(unaided.read(pidfd))


async def _next_tick() -> None:
    began = time.clock_gettime(time.CLOCK_BOOTTIME)
    later = began + 2 / os.sysconf("SC_CLK_TCK")
    await eventually(lambda: time.clock_gettime(time.CLOCK_BOOTTIME) > later)


@pytest.mark.parametrize("told", [":1.7", ""], ids=["noticed", "there before us"])
async def test_a_process_younger_than_its_connection_did_not_open_it(told: str) -> None:
    bus = _Bus()
    callers = Callers(cast("Connection", bus), _look, os.getuid())
    with _process() as bus.pid:
        await _next_tick()
        callers.came(told)
        evidence = await callers.of(":1.7")
        assert evidence.process is not None
        assert evidence.process.pid == bus.pid
    again = Callers(cast("Connection", bus), _look, os.getuid())
    again.came(told)
    await _next_tick()
    # As if the number had been given to it anew.
    with _process() as bus.pid, pytest.raises(DeniedError, match="has exited"):
        await again.of(":1.7")


_WATCH = """
import os, select, sys
from privyseal.errors import UsageError
from privyseal.keeper import unaided
opened = []
sys.addaudithook(lambda event, args: event == "open" and opened.append(str(args[0])))
epoll = select.epoll()
for fd in (epoll.fileno(), os.memfd_create("x"), os.open("/dev/null", os.O_RDONLY)):
    try:
        unaided.pid_of(fd)
        sys.exit("taken for a pidfd")
    except UsageError:
        pass
assert unaided.pid_of(os.pidfd_open(os.getpid())) == os.getpid()
print(sum("fdinfo" in path for path in opened))
"""


def test_the_kernel_is_asked_about_no_descriptor_but_pidfds() -> None:
    # Others may keep whoever asks waiting: their sender decides how long.
    run = subprocess.run(
        [sys.executable, "-c", _WATCH], capture_output=True, text=True, check=True, timeout=30
    )
    assert run.stdout == "1\n"


class _LeavingBus(_Bus):
    """A bus on which whoever asks leaves while the owner of the Secret Service is looked up."""

    callers: Callers

    async def process_of(self, name: str) -> tuple[int, int]:
        if self.asked:
            self.callers.forget(self.asked[0])
        return await super().process_of(name)


@pytest.mark.parametrize(("kind", "noted"), [(_Bus, True), (_LeavingBus, False)])
async def test_an_agent_that_leaves_while_it_is_looked_up_is_not_noted(
    kind: type[_Bus], *, noted: bool
) -> None:
    bus = kind()
    bus.pid = os.getpid()
    callers = Callers(cast("Connection", bus), _look, os.getuid())
    if isinstance(bus, _LeavingBus):
        bus.callers = callers
    await callers.admit(":1.1")
    assert await callers.speaks_for_others(":1.1") == noted
    assert callers.is_agent(":1.1") == noted
