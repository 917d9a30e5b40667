"""Plans of generated chains of profiles, carried out: AWS refuses none, and asks for few codes."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, Phase, given, settings, strategies as st
from tests.fake_talk import FakeTalk
from tests.fakes import FakeClock
from tests.fakes_aws.aws import FakeAws, fake_aws
from tests.fakes_stores import MemoryStore
from tests.soak import times

from privyseal.aws import items, sts
from privyseal.aws.engine import Engine
from privyseal.aws.flights import Flights
from privyseal.aws.means import Means
from privyseal.model.aws import AccessKey, RoleStep
from privyseal.wire.aws.planning import Purpose, plan
from privyseal.wire.aws.profiles import Flags, load

HOUR = 3600


class Link(NamedTuple):
    """One profile of a chain that ends with a stored key."""

    role: bool
    device: bool
    hours: int


class World:
    """A user with a key and a device, and roles that trust her account."""

    def __init__(self, aws: FakeAws, clock: FakeClock, folder: Path) -> None:
        self.aws, self.clock, self.folder = aws, clock, folder
        self.user = aws.people.add_user(device=True)
        assert self.user.device is not None
        self.device = self.user.device
        self.runs = 0
        self.roles = [
            aws.people.add_role(f"r{number}", max_duration=12 * HOUR).arn for number in range(6)
        ]

    def text(self, chain: list[Link]) -> str:
        lines = []
        for number, link in enumerate(chain):
            lines += [
                f"[profile p{number}]",
                f"endpoint_url = {self.aws.url}",
                "region = eu-west-1",
            ]
            if number < len(chain) - 1:
                lines.append(f"source_profile = p{number + 1}")
            if link.role:
                lines.append(f"role_arn = {self.roles[number]}")
            if link.device:
                lines.append(f"mfa_serial = {self.device.serial}")
            if link.hours:
                lines.append(f"duration_seconds = {link.hours * HOUR}")
        return "\n".join(lines)

    def store(self, name: str) -> MemoryStore:
        key = self.user.key
        kept = AccessKey(access_key_id=key.access_key_id, secret_access_key=key.secret_access_key)
        store = MemoryStore()
        store.write(items.key_item(name, kept, added=self.clock.wall()))
        return store


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    clock = FakeClock()
    with fake_aws(clock) as aws:
        yield World(aws, clock, tmp_path_factory.mktemp("plans"))


LINKS = st.builds(
    Link, role=st.booleans(), device=st.booleans(), hours=st.sampled_from([0, 0, 1, 2, 12])
)
FLAGS = st.tuples(st.booleans(), st.booleans(), st.sampled_from([0, 0, HOUR, 4 * HOUR])).map(
    lambda given: Flags(no_session=given[0], read_only=given[1], duration=given[2])
)


@settings(
    max_examples=times(30, soak=2_000),
    deadline=None,
    phases=[Phase.explicit, Phase.generate],  # to shrink calls of botocore takes minutes
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    chain=st.lists(LINKS, min_size=1, max_size=6),
    purpose=st.sampled_from(["exec", "login"]),
    flags=FLAGS,
)
def test_aws_takes_every_call_of_a_plan_and_one_code_is_enough(
    world: World, chain: list[Link], purpose: Purpose, flags: Flags
) -> None:
    last = f"p{len(chain) - 1}"
    made = plan(
        load(world.text(chain)), "p0", keys=[last], environment={}, flags=flags, purpose=purpose
    )
    talk = FakeTalk(lambda serial, again: world.device.code(), waits=world.clock.advance)
    world.clock.advance(90)  # no code of the run before can be in use still
    world.runs += 1
    flights = Flights(world.folder / str(world.runs))
    store = world.store(last)
    engine = Engine(Means(store, talk, world.clock, flights))

    found = engine.obtain(made)

    assert len(talk.asked) == len([step for step in made.steps if getattr(step, "mfa", "")])
    assert len(talk.asked) <= 1
    who = sts.identity(made.network, found)
    if made.steps:
        assert found.expires <= world.clock.wall() + made.steps[-1].duration
    nearest = [number for number, link in enumerate(chain) if link.role]
    if nearest:
        assert isinstance(made.steps[-1], RoleStep)
        assert f":assumed-role/r{nearest[0]}/" in who.arn
    elif purpose == "login" or flags.read_only:
        assert ":federated-user/alice" in who.arn
    else:
        assert who.user == "alice"
        assert bool(found.session_token) == (not flags.no_session)
