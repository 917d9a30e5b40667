"""Programs that pretend to be others, against the whole house."""

import asyncio
import os
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from pathlib import Path
from shutil import copy, which

import pytest
from tests.integration.rig import House, ended, house

from privyseal.errors import ConflictError
from privyseal.model.approval import Approval
from privyseal.model.ask import SetAlias
from privyseal.model.decision import Decision
from privyseal.model.evidence import Fact
from privyseal.runtime.requestlink import RequestLink

TOOL = which("secret-tool") or "/usr/bin/secret-tool"
LOOKUP = (TOOL, "lookup", "service", "demo")

ASK_AND_EXECUTE = """
import os
from jeepney import DBusAddress, new_method_call
from jeepney.io.blocking import open_dbus_connection

bus = open_dbus_connection()
service = DBusAddress(
    "/org/freedesktop/secrets", "org.freedesktop.secrets", "org.freedesktop.Secret.Service"
)


def call(member, signature, *body):
    return new_method_call(service, member, signature, body)


_, session = bus.send_and_get_reply(call("OpenSession", "sv", "plain", ("s", ""))).body
found = bus.send_and_get_reply(call("SearchItems", "a{ss}", {"service": "demo"})).body
bus.send(call("GetSecrets", "aoo", [*found[0], *found[1]], session))
os.set_inheritable(bus.sock.fileno(), True)
os.read(0, 1)
os.execv("/bin/cat", ["cat"])
"""


@pytest.fixture
async def home(tmp_path: Path) -> AsyncIterator[House]:
    async with house(tmp_path) as made:
        await made.start_keeper()
        await made.start_agent()
        await made.store(b"s3cret", service="demo")
        yield made


def told(approval: Approval, name: str) -> list[tuple[str, str]]:
    facts = approval.content.evidence.facts
    return [(fact.grade, fact.value) for fact in facts if fact.name == name]


async def test_the_genuine_program_is_shown_and_its_lease_serves_it_again(home: House) -> None:
    first = await home.client(*LOOKUP)
    approval = await home.decide(scope="15m")
    outcomes = [await ended(first), await home.run(*LOOKUP)]

    assert told(approval, "program") == [("verified", TOOL)]
    assert approval.content.evidence.summary == "secret-tool lookup"
    assert [outcome.out for outcome in outcomes] == [b"s3cret", b"s3cret"]


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to mount over a program")
async def test_a_fake_under_the_same_path_is_unmasked_and_gets_no_lease(
    home: House, tmp_path: Path
) -> None:
    first = await home.client(*LOOKUP)
    await home.decide(scope="15m")
    await ended(first)
    fake = str(copy(TOOL, tmp_path / "fake"))

    spoof = await home.client(
        "unshare", "-m", "sh", "-c", 'mount --bind "$0" "$1" && exec "$@"', fake, *LOOKUP
    )
    (approval,) = await home.waiting()
    await home.decide(allow=False)
    outcome = await ended(spoof)

    assert approval.content.evidence.summary == "unknown program (calls itself secret-tool)"
    ((grade, value),) = told(approval, "program")
    assert grade == "warning"
    assert value.endswith(f"what it calls {TOOL} is NOT the file of that name here")
    assert (outcome.status, outcome.out) == (1, b"")


async def test_a_program_that_executes_another_after_asking_gets_nothing_from_the_old_screen(
    home: House,
) -> None:
    client = await asyncio.create_subprocess_exec(
        sys.executable, "-c", ASK_AND_EXECUTE, env=home.environment, stdin=PIPE, stdout=PIPE
    )
    assert client.stdin is not None
    assert client.stdout is not None
    (before,) = await home.waiting()
    client.stdin.write(b"\nrunning\n")
    await client.stdout.readline()  # it is `cat` now, with the connection of the one that asked

    with pytest.raises(ConflictError, match="changed since it was shown"):
        await home.person.decide(Decision(request=before.id, digest=before.digest, allow=True))
    after = await home.person.show(before.id)
    client.kill()
    await client.communicate()

    assert told(before, "changed") == []
    assert told(after, "changed") == [("warning", "it has executed another program since it asked")]
    assert after.state == "pending"


async def test_what_a_face_claims_is_shown_as_a_claim_and_no_longer_than_a_fact(
    tmp_path: Path,
) -> None:
    claim = Fact(grade="verified", name="says it is", value="root" * 4000)
    async with house(tmp_path) as home:
        await home.start_keeper()
        link = RequestLink(home.connection)
        pidfd = os.pidfd_open(os.getppid())
        requester = await link.register(pidfd, [claim])
        os.close(pidfd)
        await link.submit(requester, SetAlias(alias="default", collection="login"))
        approval = (await home.waiting())[0]

    [(grade, value)] = told(approval, "says it is")
    assert grade == "reported"
    assert len(value) == 2000
