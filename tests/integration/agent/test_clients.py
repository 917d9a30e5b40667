"""Unchanged clients against the face: what they do with a provider, they do with us."""

import sys

import pytest
from tests.fake_keeper import Verdict
from tests.integration.agent.stage import Stage

from privyseal.wire.secretservice import item_path


async def test_secret_tool_stores_and_looks_up_through_a_prompt(stage: Stage) -> None:
    stored = await stage.run("secret-tool", "store", "--label=demo", "a", "b", stdin=b"hunter2")
    found = await stage.run("secret-tool", "lookup", "a", "b")

    assert (stored.status, stored.err) == (0, "")
    assert (found.status, found.out) == (0, "hunter2")
    # The read without delivery is the prompt: libsecret waits there without limit.
    assert stage.keeper.kinds() == ["create", "read", "read"]


async def test_secret_tool_waits_at_the_prompt_for_a_person(stage: Stage) -> None:
    item = stage.keeper.put("demo", service="demo")
    stage.keeper.verdicts["read"] = "wait"
    looking = await stage.start("secret-tool", "lookup", "service", "demo")
    asked = await stage.keeper.waiting("read")
    assert getattr(asked.ask, "deliver", None) is False
    assert len(stage.face.prompts) == 1
    stage.keeper.resolve(asked, "allowed")
    out, _ = await looking.communicate()

    assert (looking.returncode, out) == (0, b"s3cret")
    assert len(stage.face.prompts) == 0
    assert (asked.requester, item) in stage.keeper.readable


async def test_secret_tool_search_shows_attributes_and_secrets(stage: Stage) -> None:
    stage.keeper.put("one", b"first", service="demo", user="ann")
    stage.keeper.put("two", b"second", service="demo", user="bob")

    found = await stage.run("secret-tool", "search", "--all", "--unlock", "service", "demo")

    assert found.status == 0
    assert "secret = first" in found.out
    assert "secret = second" in found.out
    assert "attribute.user = ann" in found.err + found.out


async def test_secret_tool_clear_deletes(stage: Stage) -> None:
    stage.keeper.put("one", service="demo")

    cleared = await stage.run("secret-tool", "clear", "service", "demo")

    assert (cleared.status, cleared.err) == (0, "")
    assert stage.keeper.collections["login"].items == {}


@pytest.mark.parametrize("verdict", ["at-once", "allow"])
async def test_secret_tool_lock_locks(stage: Stage, verdict: Verdict) -> None:
    stage.keeper.verdicts["lock"] = verdict

    # libsecret 0.20 frees something twice once all is done, with gnome-keyring as well: its exit
    # status says nothing.
    await stage.run("secret-tool", "lock", "--collection=login")

    assert stage.keeper.collections["login"].locked
    assert stage.keeper.kinds() == ["lock"]


@pytest.mark.parametrize("verdict", ["deny", "refuse", "expire"])
async def test_secret_tool_ends_at_once_when_denied(stage: Stage, verdict: Verdict) -> None:
    stage.keeper.put("one", service="demo")
    stage.keeper.verdicts["read"] = verdict

    found = await stage.run("secret-tool", "lookup", "service", "demo")

    assert (found.status, found.out) == (1, "")


async def test_secret_tool_unlocks_a_locked_store_through_a_prompt(stage: Stage) -> None:
    stage.keeper.put("one", service="demo")
    stage.keeper.collections["login"].locked = True
    stage.keeper.verdicts["read"] = "wait"
    looking = await stage.start("secret-tool", "lookup", "service", "demo")
    asked = await stage.keeper.waiting("read")
    stage.keeper.collections["login"].locked = False
    stage.keeper.resolve(asked, "allowed")
    out, _ = await looking.communicate()

    assert (looking.returncode, out) == (0, b"s3cret")


async def test_secretstorage_creates_finds_reads_and_deletes(stage: Stage) -> None:
    script = """
import secretstorage
with secretstorage.dbus_init() as bus:
    collection = secretstorage.get_default_collection(bus)
    print(collection.get_label(), collection.is_locked())
    made = collection.create_item("mail", {"app": "x"}, b"\\0\\xffbinary", content_type="a/b")
    (item,) = collection.search_items({"app": "x"})
    print(item.item_path == made.item_path, item.is_locked(), item.unlock(), item.is_locked())
    print(item.get_secret(), item.get_secret_content_type(), item.get_attributes())
    item.set_label("post"); item.set_attributes({"app": "y"}); item.set_secret(b"new")
    print(item.get_label(), item.get_attributes(), item.get_secret())
    item.delete()
    print(list(collection.search_items({})))
    other = secretstorage.create_collection(bus, "Other", "other")
    print(other.get_label(), secretstorage.create_collection(bus, "x", "other") .get_label())
    other.delete()
    print(len(list(secretstorage.get_all_collections(bus))))
"""
    ran = await stage.run(sys.executable, "-c", script)

    assert ran.err == ""
    assert ran.out.splitlines() == [
        "Login False",
        "True True False False",
        "b'\\x00\\xffbinary' text/plain {'app': 'x'}",
        "post {'app': 'y'} b'new'",
        "[]",
        "Other Other",
        "1",
    ]


async def test_secretstorage_sees_a_denial_as_a_dismissed_prompt(stage: Stage) -> None:
    stage.keeper.put("one", service="demo")
    stage.keeper.verdicts |= {"read": "deny", "delete": "deny"}
    script = """
import secretstorage
with secretstorage.dbus_init() as bus:
    (item,) = secretstorage.search_items(bus, {"service": "demo"})
    print(item.unlock(), item.is_locked())
"""
    ran = await stage.run(sys.executable, "-c", script)

    assert (ran.err, ran.out) == ("", "True True\n")


async def test_keyring_sets_and_gets_a_password(stage: Stage) -> None:
    script = """
from keyring.backends.SecretService import Keyring
ring = Keyring()
ring.set_password("mail", "ann", "pa55")
print(ring.get_password("mail", "ann"), ring.get_password("mail", "nobody"))
ring.delete_password("mail", "ann")
print(ring.get_password("mail", "ann"))
"""
    ran = await stage.run(sys.executable, "-c", script)

    assert ran.err == ""
    assert ran.out.splitlines() == ["pa55 None", "None"]


async def test_gdbus_introspects_every_object(stage: Stage) -> None:
    item = stage.keeper.put("one", service="demo")
    shown = await stage.run(
        *("gdbus", "introspect", "--session", "--recurse"),
        *("-d", "org.freedesktop.secrets", "-o", "/org/freedesktop/secrets"),
    )

    assert (shown.status, shown.err) == (0, "")
    assert item_path(item) in shown.out
    assert "/org/freedesktop/secrets/aliases/session" in shown.out
    assert "readwrite s Label = 'One';" in shown.out


async def test_gdbus_reads_an_item_by_waiting_in_the_call(stage: Stage) -> None:
    script = """
import jeepney, jeepney.io.blocking as io
bus = io.open_dbus_connection()
def call(path, interface, member, signature, *body):
    address = jeepney.DBusAddress(path, "org.freedesktop.secrets", interface)
    return bus.send_and_get_reply(jeepney.new_method_call(address, member, signature, body)).body
root = "/org/freedesktop/secrets"
_, session = call(root, "org.freedesktop.Secret.Service", "OpenSession", "sv", "plain", ("s", ""))
secret, = call(root + "/aliases/default/one", "org.freedesktop.Secret.Item", "GetSecret", "o", session)
print(secret[0] == session, secret[2])
"""
    stage.keeper.put("one", service="demo")

    ran = await stage.run(sys.executable, "-c", script)

    assert (ran.err, ran.out) == ("", "True b's3cret'\n")
    assert stage.keeper.kinds() == ["read"]
