"""The pages for newcomers and for movers from aws-vault, word for word, with a keeper and a person."""

import asyncio
import json
import re
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from jwcrypto.common import json_encode
from jwcrypto.jwe import JWE
from jwcrypto.jwk import JWK
from tests.fakes_aws.aws import FakeAws, fake_aws
from tests.fakes_aws.people import Key
from tests.integration.cli.aws.desk import Desk, Done
from tests.integration.cli.aws.person import at_terminal
from tests.integration.rig import House, house

from privyseal.aws.items import encode_access_key, encode_item
from privyseal.aws.ports import Item
from privyseal.model.aws import AccessKey
from privyseal.model.secret import Secret
from privyseal.runtime.clock import SystemClock

GUIDE = Path(__file__).parents[4] / "docs" / "guide"
PASSPHRASE = "correct horse"
_COMMAND = re.compile(r"^    ((?:privy aws|aws-vault|eval) .*)$", re.MULTILINE)


class Newcomer:
    """Types the lines of a page, and allows what they ask for."""

    def __init__(self, world: House, aws: FakeAws) -> None:
        self.world = world
        self.aws = aws
        self.allowed = 0
        (world.folder / ".aws").mkdir(mode=0o700)
        self.config = world.folder / ".aws" / "config"
        self.environment = {
            **world.environment,
            "PATH": f"{Path(sys.executable).parent}:{world.environment['PATH']}",
            "AWS_ENDPOINT_URL": aws.url,
            "AWS_EC2_METADATA_DISABLED": "true",
            "SHELL": "/bin/true",
        }

    async def types(self, line: str, *answers: tuple[str, str]) -> Done:
        """Type one line at a terminal, answer what it asks, and wait for its end."""
        desk = cast("Desk", SimpleNamespace(environment=self.environment))
        return await asyncio.to_thread(
            at_terminal, desk, ["bash", "-c", 'cd "$HOME" && eval "$0"', line], answers
        )

    async def allow_all(self) -> None:
        """Allow whatever is asked, until cancelled."""
        while True:
            await self.world.decide()
            self.allowed += 1


@asynccontextmanager
async def newcomer(folder: Path) -> AsyncIterator[Newcomer]:
    with fake_aws(SystemClock()) as aws:
        async with house(folder) as world, asyncio.TaskGroup() as group:
            await world.start_keeper()
            person = Newcomer(world, aws)
            deciding = group.create_task(person.allow_all())
            yield person
            deciding.cancel()


@pytest.fixture
async def person(tmp_path: Path) -> AsyncIterator[Newcomer]:
    async with newcomer(tmp_path) as found:
        yield found


def lines(page: str, heading: str = "") -> Iterator[str]:
    """Yield the commands of a page, or of one part of it."""
    text = (GUIDE / page).read_text()
    if heading:
        text = text.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    yield from _COMMAND.findall(text)


def keep_as_aws_vault(folder: Path, name: str, key: Key) -> None:
    """Write a file as aws-vault does, with a JOSE library that is neither its nor ours."""
    payload = encode_access_key(
        AccessKey(access_key_id=key.access_key_id, secret_access_key=key.secret_access_key)
    )
    jwe = JWE(
        encode_item(Item(name, Secret(payload), f"aws-vault ({name})")),
        json_encode({"alg": "PBES2-HS256+A128KW", "enc": "A256GCM", "p2c": 8192}),
        algs=["PBES2-HS256+A128KW", "A256GCM"],
    )
    jwe.add_recipient(JWK.from_password(PASSPHRASE))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(jwe.serialize(compact=True))
    (folder / name).chmod(0o600)


async def test_a_mover_from_aws_vault_gets_there_word_for_word(person: Newcomer) -> None:
    user = person.aws.people.add_user("jon")
    keys = person.world.folder / ".awsvault" / "keys"
    keep_as_aws_vault(keys, "jon", user.key)
    person.config.write_text("[profile jon]\nregion = eu-west-1\n")
    passphrase = ("assphrase", PASSPHRASE)
    answers = {
        "privy aws migrate": [passphrase],
        "privy aws migrate --apply": [passphrase, ("Delete jon from", "n")],
    }
    said: dict[str, Done] = {}

    for line in lines("aws-vault.md", "The move"):
        given = answers.get(line, [passphrase] if "migrate" in line else [])
        said[line] = await person.types(line, *given)
        assert said[line].status == 0, (line, said[line])

    assert "would be kept" in said["privy aws migrate"].out
    identities = [done.out for line, done in said.items() if "get-caller-identity" in line]
    assert [json.loads(out)["Arn"] for out in identities] == [user.arn] * 2
    assert json.loads(said["aws-vault export --format=json jon"].out)["Version"] == 1
    assert not (keys / "jon").exists()
    assert user.key.secret_access_key not in str(said)


async def test_a_newcomer_has_credentials_in_five_minutes(person: Newcomer) -> None:
    user = person.aws.people.add_user("dev")
    role = person.aws.people.add_role("deploy")
    person.config.write_text("")
    asked = [("Access Key ID", user.key.access_key_id), ("Secret", user.key.secret_access_key),
             ("MFA", "")]  # fmt: skip
    said: dict[str, Done] = {}

    for line in lines("aws.md"):
        if "config explain" in line:
            page = (GUIDE / "aws.md").read_text()
            block = page[page.index("    [profile deploy]") :].partition("\n\n")[0]
            section = re.sub("^    ", "", block, flags=re.MULTILINE)
            person.config.write_text(f"{person.config.read_text()}\n{section}\n")
            assert role.arn in section
        said[line] = await person.types(line, *(asked if "aws add" in line else []))
        expected = {0, 1} if line == "privy aws status" else {0}
        assert said[line].status in expected, (line, said[line])

    identities = {line: done.out for line, done in said.items() if "caller-identity" in line}
    assert json.loads(identities["privy aws exec dev -- aws sts get-caller-identity"])["Arn"] == (
        user.arn
    )
    deploy = identities["privy aws exec deploy -- aws sts get-caller-identity"]
    assert ":assumed-role/deploy/" in json.loads(deploy)["Arn"]
