"""The house with a key for AWS in its store, and a fake AWS that knows the key."""

import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.fakes_aws.aws import FakeAws, fake_aws
from tests.fakes_aws.people import User
from tests.integration.rig import PASSPHRASE, House, Outcome, ended, house

from privyseal.aws.items import encode_item, key_item
from privyseal.model.ask import Ask, UseAws
from privyseal.model.aws import AccessKey, Network, Obtain, Plan, SessionStep, Step, StoredKey
from privyseal.model.secret import Secret
from privyseal.model.value import encode
from privyseal.runtime.clock import SystemClock
from privyseal.runtime.embedded import EmbeddedBackend
from privyseal.wire.vault import Cost

CLIENT = Path(__file__).with_name("keeper_client.py")


@dataclass(frozen=True)
class AwsHouse:
    """A keeper whose store holds the key `prod` of `user`."""

    house: House
    aws: FakeAws
    user: User

    def plan(self, *steps: Step, profile: str = "prod") -> Plan:
        return Plan(
            profile=profile,
            source=StoredKey(name="prod"),
            steps=steps or (SessionStep(duration=3600),),
            network=Network(region="eu-west-1", endpoints={"sts": self.aws.url}),
        )

    def obtain(self, *steps: Step, command: str = "terraform") -> UseAws:
        return UseAws(order=Obtain(plan=self.plan(*steps), command=(command, "apply")))

    async def ask(self, ask: Ask, value: str = "", code: str = "") -> Process:
        """Start a command that asks; its person knows a code of her device, or the one given."""
        assert self.user.device is not None
        code = code or self.user.device.code()
        words = [encode(ask).decode(), code, *(["value"] if value else [])]
        return await self.house.client(sys.executable, str(CLIENT), *words, value=value.encode())

    async def granted(self, ask: Ask, scope: str = "once") -> Outcome:
        """Ask, let the person allow it, and return how the command ended."""
        process = await self.ask(ask)
        await self.house.decide(scope=scope)
        return await ended(process)


async def put_key(folder: Path, name: str, key: AccessKey) -> None:
    """Keep a key in the store of a keeper that does not run yet."""
    clock = SystemClock()
    backend = EmbeddedBackend(folder / "store", clock=clock, cost=Cost(log2_n=10))
    await backend.unlock(PASSPHRASE)
    item = key_item(name, key, added=clock.wall())
    collection = await backend.create_collection("awsvault", "")
    attributes = {"profile": name, **item.notes}
    await backend.create(collection, name, attributes, Secret(encode_item(item)), replace=False)
    await backend.close()


@asynccontextmanager
async def aws_house(folder: Path, *arguments: str) -> AsyncIterator[AwsHouse]:
    """Start a fake AWS, and a keeper that has a key for it."""
    with fake_aws(SystemClock()) as aws:
        user = aws.people.add_user(device=True)
        key = user.keys[-1]
        kept = AccessKey(
            access_key_id=key.access_key_id,
            secret_access_key=key.secret_access_key,
            account=user.account,
        )
        await put_key(folder, "prod", kept)
        async with house(folder) as made:
            await made.start_keeper(*arguments)
            yield AwsHouse(made, aws, user)
