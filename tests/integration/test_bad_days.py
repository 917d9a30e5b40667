"""Denied, expired, killed, restarted: every waiting client gets one right answer, none hangs."""

import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.integration.rig import House, ended, house

GET_SECRET = """
import sys, jeepney, jeepney.io.blocking as io
connection = io.open_dbus_connection()
service = jeepney.DBusAddress("/org/freedesktop/secrets", "org.freedesktop.secrets",
                              "org.freedesktop.Secret.Service")
open_session = jeepney.new_method_call(service, "OpenSession", "sv", ("plain", ("s", "")))
session = connection.send_and_get_reply(open_session).body[1]
item = jeepney.DBusAddress(sys.argv[1], "org.freedesktop.secrets", "org.freedesktop.Secret.Item")
reply = connection.send_and_get_reply(jeepney.new_method_call(item, "GetSecret", "o", (session,)))
name = reply.header.fields.get(jeepney.HeaderFields.error_name)
sys.exit(f"{name}: {reply.body[0]}" if name else 0)
"""


@pytest.fixture
async def home(tmp_path: Path) -> AsyncIterator[House]:
    async with house(tmp_path) as made:
        await made.start_keeper()
        await made.start_agent()
        yield made


async def test_a_secret_is_released_after_a_person_allowed_it(home: House) -> None:
    await home.store(b"s3cret", service="demo")
    client = await home.client("secret-tool", "lookup", "service", "demo")
    approval = await home.decide()
    assert approval.state == "allowed"
    assert [info.label for info in approval.content.items] == ["demo"]
    outcome = await ended(client)
    assert (outcome.status, outcome.out) == (0, b"s3cret")


async def test_one_lookup_is_one_question(home: House) -> None:
    await home.store(b"s3cret", service="demo")
    client = await home.client("secret-tool", "search", "--all", "service", "demo")
    await home.decide()
    outcome = await ended(client)
    assert b"secret = s3cret" in outcome.out + outcome.err.encode()
    assert await home.person.pending() == []
    reads = [past for past in await home.person.history(100) if past.content.badge == "READ"]
    assert len(reads) == 1


async def test_a_denied_client_ends_at_once_without_the_secret(home: House) -> None:
    await home.store(b"s3cret", service="demo")
    client = await home.client("secret-tool", "lookup", "service", "demo")
    await home.decide(allow=False)
    outcome = await ended(client)
    assert outcome.status == 1
    assert outcome.out == b""
    again = await home.run("secret-tool", "lookup", "service", "demo")  # the denial sticks
    assert (again.status, again.out) == (1, b"")


async def test_a_killed_requester_cancels_its_request(home: House) -> None:
    await home.store(b"s3cret", service="demo")
    client = await home.client("secret-tool", "lookup", "service", "demo")
    approval = (await home.waiting())[0]
    client.kill()
    await client.wait()
    await home.nothing_waits()
    assert (await home.person.show(approval.id)).state == "cancelled"


async def test_a_killed_keeper_ends_every_waiting_client(home: House) -> None:
    await home.store(b"s3cret", service="demo")
    client = await home.client("secret-tool", "lookup", "service", "demo")
    await home.waiting()
    await home.kill("keeper")
    outcome = await ended(client)
    assert outcome.status == 1
    assert outcome.out == b""

    await home.start_keeper()
    retry = await home.client("secret-tool", "lookup", "service", "demo")
    await home.decide()
    assert (await ended(retry)).out == b"s3cret"


async def test_a_client_that_asks_while_the_keeper_is_away_is_told_why(home: House) -> None:
    await home.kill("keeper")
    outcome = await home.run("secret-tool", "lookup", "service", "demo")
    assert outcome.status == 1
    assert "keeper" in outcome.err


async def test_a_killed_agent_cancels_what_came_through_it(home: House) -> None:
    await home.store(b"s3cret", service="demo")
    client = await home.client("secret-tool", "lookup", "service", "demo")
    approval = (await home.waiting())[0]
    await home.kill("agent")
    await home.nothing_waits()
    assert (await home.person.show(approval.id)).state == "cancelled"
    client.kill()  # libsecret 0.20.5 waits for ever once any provider dies under a prompt
    await ended(client)


async def test_a_keeper_that_stops_in_good_order_answers_everybody(home: House) -> None:
    await home.store(b"s3cret", service="demo")
    client = await home.client("secret-tool", "lookup", "service", "demo")
    await home.waiting()
    assert await home.stop("keeper") == 0
    assert (await ended(client)).status == 1


async def test_a_writers_own_lease_ends_with_its_process(home: House) -> None:
    await home.store(b"s3cret", service="demo")
    await home.leases_are(0)


async def test_a_request_that_nobody_decides_expires_and_its_client_ends(home: House) -> None:
    await home.store(b"s3cret", service="demo")
    await home.stop("keeper")
    home.environment["PRIVYSEAL_TIMING_PENDING"] = "2"
    await home.start_keeper()
    prompted = await home.run("secret-tool", "lookup", "service", "demo")
    assert (prompted.status, prompted.out) == (1, b"")
    (approval,) = await home.person.history(100)
    assert (approval.content.badge, approval.state) == ("READ", "expired")
    item = approval.content.items[0].ref
    path = f"/org/freedesktop/secrets/collection/{item.collection}/{item.item}"
    blocked = await home.run(sys.executable, "-c", GET_SECRET, path)
    assert "org.freedesktop.DBus.Error.Timeout: nobody decided in time" in blocked.err
