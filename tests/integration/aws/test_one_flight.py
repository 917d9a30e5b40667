"""Fifty programs at the instant of expiry: one call to AWS, one code asked of the person."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from tests.fakes_aws.access import Assignment
from tests.fakes_aws.aws import FakeAws, fake_aws
from tests.integration.aws.asking import waiting
from tests.soak import times
from tests.waiting import until

from privyseal.aws import items
from privyseal.aws.cache import Cache, Stage
from privyseal.aws.stores.file import FileStore
from privyseal.model.aws import (
    AccessKey,
    Credentials,
    Network,
    Plan,
    Portal,
    PortalRole,
    RoleStep,
    SessionStep,
    StoredKey,
)
from privyseal.model.secret import Secret
from privyseal.model.value import encode
from privyseal.runtime.clock import SystemClock

MANY = times(50, soak=200)


class World:
    """A stored key whose sessions have just expired, and programs that want new ones."""

    def __init__(self, aws: FakeAws, folder: Path, stack: ExitStack) -> None:
        self.aws, self.folder, self._stack = aws, folder, stack
        clock = SystemClock()
        user = aws.people.add_user(device=True)
        assert user.device is not None
        self.seed = user.device.seed
        self.plan = Plan(
            profile="prod",
            source=StoredKey(name="base"),
            steps=(
                SessionStep(duration=8 * 3600, mfa=user.device.serial),
                RoleStep(arn=aws.people.add_role().arn, duration=3600),
            ),
            network=Network(region="eu-central-1", endpoints={"sts": aws.url}),
        )
        self.store = FileStore(folder / "keys", lambda *, new: Secret(b"words"), clock, rounds=1000)
        key = AccessKey(
            access_key_id=user.key.access_key_id, secret_access_key=user.key.secret_access_key
        )
        self.store.write(items.key_item("base", key, added=clock.wall()))
        ended = Credentials(
            access_key_id="ASIAOLD", secret_access_key="x", expires=clock.wall() - 1
        )
        for number in (1, 2):
            mark = items.mark(key.access_key_id)
            Cache(self.store, clock).keep(Stage(self.plan, number), ended, mark, {})

    def begin(
        self, count: int, person: str, plan: Plan | None = None
    ) -> list[subprocess.Popen[str]]:
        """Start programs; return when each has loaded all it needs and waits for a line."""
        text = encode(plan or self.plan).decode()
        words = [str(self.folder), text, self.seed.hex(), person, str(count - 1)]
        programs = [
            self._stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-m", "tests.integration.aws.asking", *words],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                )
            )
            for _ in range(count)
        ]
        for program in programs:
            self._stack.callback(program.kill)
            assert program.stdout is not None
            assert program.stdout.readline() == "ready\n"
        return programs

    def prompts(self) -> list[str]:
        path = self.folder / "prompts"
        return path.read_text().splitlines() if path.exists() else []

    def sessions(self) -> list[str]:
        return [key for key in self.store.entries() if items.classify(key) == "session"]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with ExitStack() as stack:
        aws = stack.enter_context(fake_aws(SystemClock()))
        yield World(aws, tmp_path, stack)


def go(programs: list[subprocess.Popen[str]]) -> None:
    for program in programs:
        assert program.stdin is not None
        program.stdin.write("\n")
        program.stdin.flush()


def answers(programs: list[subprocess.Popen[str]]) -> set[str]:
    return {program.communicate(timeout=200)[0].strip() for program in programs}


def test_fifty_programs_make_one_call_and_ask_for_one_code(world: World):
    programs = world.begin(MANY, "answers")

    go(programs)

    (answer,) = answers(programs)
    assert answer.startswith("ASIA")
    assert world.aws.calls == {"GetSessionToken": 1, "AssumeRole": 1}
    assert len(world.prompts()) == 1
    assert len(world.sessions()) == 2  # the expired ones are swept out


def test_twenty_one_programs_open_one_tab_for_two_roles(world: World):
    start = world.aws.access.add_portal(
        Assignment("111122223333", "Sandbox", "reader"),
        Assignment("111122223333", "Sandbox", "admin"),
    )
    address = world.aws.url
    plans = [
        Plan(
            profile=role,
            source=PortalRole(
                portal=Portal(start_url=start, region="eu-central-1"),
                account="111122223333",
                role=role,
            ),
            network=Network(endpoints={"sso": address, "sso-oidc": address}),
        )
        for role in ("reader", "admin")
    ]
    programs = world.begin(11, "never", plans[0]) + world.begin(10, "never", plans[1])

    go(programs)

    assert len(answers(programs)) == 2
    assert world.aws.calls["authorize"] == 1
    assert world.aws.calls["GetRoleCredentials"] == 2


def test_one_refusal_answers_all_who_waited(world: World):
    programs = world.begin(10, "refuses")

    go(programs)

    assert answers(programs) == {"DeniedError she closed the window"}
    assert len(world.prompts()) == 1
    assert world.aws.calls == {}


def test_the_next_takes_over_when_the_one_who_asks_is_killed(world: World):
    first, *rest = world.begin(1, "never") + world.begin(4, "answers")
    go([first])
    until(lambda: len(world.prompts()) == 1)
    go(rest)
    until(lambda: waiting(world.folder / "flights") == len(rest))

    os.kill(first.pid, signal.SIGKILL)

    (answer,) = answers(rest)
    assert answer.startswith("ASIA")
    assert world.aws.calls == {"GetSessionToken": 1, "AssumeRole": 1}
    assert len(world.prompts()) == 2
