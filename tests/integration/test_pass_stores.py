"""pass, gopass and we on one store: each reads what the others wrote, exactly."""

import asyncio
import base64
import os
from collections.abc import AsyncIterator

import pytest
from tests import soak
from tests.integration.passworld import PASSPHRASE, World, gopass, world
from tests.waiting import eventually

from privyseal.errors import CorruptError, DeniedError, LockedError, PrivysealError
from privyseal.model.keyring import ItemRef
from privyseal.model.secret import Secret
from privyseal.provider.passtree import changes
from privyseal.provider.stores import open_store
from privyseal.runtime.clock import SystemClock
from privyseal.wire.keeper import StoreChange
from privyseal.wire.passnames import escape, identifier

LABELS = [
    "Zürich 東京 🔑",
    "e\u0301 is not \u00e9",
    "line\nline\ttab",
    "\x1b]52;c;AAAA\x07\x1b[2J",
    "\u202egnp.exe\u2066\u200b",
    "../../etc/passwd",
    "..",
    ".git",
    "-rf",
    "~root",
    "100%",
    "%2F",
    "a/b//c",
    "back\\slash",
    " blank ",
    "'; $(id) `id` *?[a]",
    "privyseal: 1",
    "x.gpg",
]
VALUES = [
    b"hunter2",
    b"",
    b"one\ntwo\n\nthree\n",
    b"-----BEGIN X-----\nProc-Type: 4\n\nAA==\n-----END X-----\n",
    bytes(range(256)),
    b"\r\n",
    "Zürich 🔑".encode(),
    b"x\nprivyseal: 1\ny",
    b"---\na: b\n",
    b"GOPASS-SECRET-1.0\n",
]

# A pinentry whose person thinks until there is something to read.
_PINENTRY = """\
#!/bin/sh
echo OK
while read -r word rest; do
  if [ "$word" = GETPIN ]; then
    touch {asked}
    echo "D $(cat {answer})"
  fi
  echo OK
done
"""


@pytest.fixture(autouse=True)
def _attentive(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changes, "FOLLOW_SECONDS", 0.5)


@pytest.fixture
async def there() -> AsyncIterator[World]:
    async with world() as made:
        yield made


async def test_pass_shows_our_entry_as_its_lines(there: World) -> None:
    await there.put("Mail", b"hunter2", service="imap", user="eve")
    shown = (await there.run("pass", "show", "Mail")).decode().splitlines()
    assert shown[:2] == ["hunter2", "privyseal: 1"]
    assert shown[3:] == ["service: imap", "user: eve"]


async def test_gopass_shows_our_value_and_attributes(there: World) -> None:
    await there.put("Mail", b"hunter2", service="imap", user="eve: x")
    assert await there.run(gopass(), "show", "-o", "-n", "Mail") == b"hunter2"
    assert await there.run(gopass(), "show", "-n", "Mail", "user") == b"eve: x"
    assert b"Mail" in await there.run(gopass(), "ls", "--flat")


@pytest.mark.parametrize("value", VALUES, ids=repr)
async def test_every_value_comes_back_from_every_side(there: World, value: bytes) -> None:
    ref = await there.put("item", value, service="x")
    assert (await there.backend.read(ref)).expose() == value
    shown = await there.run("pass", "show", "item")
    if b"Content-Transfer-Encoding: Base64" in shown:
        assert base64.b64decode(shown.splitlines()[-1]) == value
        assert await there.run(gopass(), "cat", "item") == value
    else:
        assert shown.startswith(value + b"\nprivyseal: 1\n")


@pytest.mark.parametrize("value", VALUES, ids=repr)
async def test_what_gopass_stores_as_binary_is_our_value(there: World, value: bytes) -> None:
    await there.run(gopass(), "cat", "dir/bin", given=value)
    info, read = await there.look("dir_2fbin")
    assert read == value
    assert info.label == "dir/bin"


async def test_an_entry_of_pass_is_an_item_with_its_path(there: World) -> None:
    await there.run("pass", "insert", "-m", "web/site", given=b"secret\nusername: alice\nnote\n")
    info, value = await there.look("web_2fsite")
    assert value == b"secret"
    assert info.label == "web/site"
    assert dict(info.attributes) == {"path": "web/site", "username": "alice"}
    assert await there.backend.search({"username": "alice"}) == (info.ref,)
    assert await there.backend.search({"path": "web/site"}) == (info.ref,)


async def test_several_lines_of_pass_are_one_exact_value(there: World) -> None:
    await there.run("pass", "insert", "-m", "key", given=b"one\n\ntwo\n")
    assert (await there.look("key"))[1] == b"one\n\ntwo\n"


async def test_attributes_that_gopass_adds_are_ours_at_once(there: World) -> None:
    ref = await there.put("Mail", b"hunter2", service="imap")
    await there.run(gopass(), "insert", "-f", "Mail", "user", given=b"eve")
    assert dict((await there.backend.describe(ref)).attributes) == {
        "service": "imap",
        "user": "eve",
    }
    assert await there.backend.search({"user": "eve"}) == (ref,)
    assert (await there.backend.read(ref)).expose() == b"hunter2"


async def test_our_new_password_keeps_the_rest_of_a_foreign_entry(there: World) -> None:
    await there.run("pass", "insert", "-m", "site", given=b"old\nuser: alice\n\nmy note\n")
    await there.backend.write(ItemRef(collection="login", item="site"), Secret(b"new"))
    assert await there.run("pass", "show", "site") == b"new\nuser: alice\n\nmy note\n"


@pytest.mark.parametrize("label", LABELS, ids=range(len(LABELS)))
async def test_a_hostile_label_is_one_file_and_comes_back(there: World, label: str) -> None:
    ref = await there.put(label, b"value", name=label)
    files = [path for path in there.folder.rglob("*.gpg") if path.name != "trustdb.gpg"]
    assert [path.parent for path in files] == [there.store]
    assert (await there.backend.describe(ref)).label == label
    assert (await there.run("pass", "show", "--", escape(label))).startswith(b"value\n")
    assert await there.run(gopass(), "show", "-o", "-n", "--", escape(label)) == b"value"
    assert await there.backend.search({"name": label}) == (ref,)


@pytest.mark.parametrize("name", ["a b", "Zürich/x.y", "100%", "%2F", "a%zz", "x_y-z", "'$(id)'"])
async def test_a_name_that_pass_gave_is_found_by_its_identifier(there: World, name: str) -> None:
    await there.run("pass", "insert", "-e", name, given=b"value\n")
    info, value = await there.look(identifier(name))
    assert (info.label, value) == (name, b"value")


async def test_every_change_of_ours_is_one_commit(there: World) -> None:
    before = len(await there.commits())
    ref = await there.put("Mail", b"1", a="b")
    await there.backend.write(ref, Secret(b"2"))
    await there.backend.change(ref, label="Post", attributes={"a": "c"})
    await there.backend.delete(ref)
    assert len(await there.commits()) == before + 4
    assert await there.run("git", "-C", str(there.store), "status", "--porcelain") == b""


async def test_nothing_that_a_repository_brings_along_is_run(there: World) -> None:
    ran = there.folder / "ran"
    for name in ("pre-commit", "post-commit", "reference-transaction"):
        hook = there.store / ".git" / "hooks" / name
        hook.write_text(f"#!/bin/sh\ntouch {ran}\n")
        hook.chmod(0o700)
    script = f"sh -c 'touch {ran}; cat'"
    for key in ("filter.evil.clean", "filter.evil.process", "core.fsmonitor", "diff.gpg.textconv"):
        await there.run("git", "-C", str(there.store), "config", key, script)
    (there.store / ".gitattributes").write_text("* filter=evil\n")
    before = len(await there.commits())
    ref = await there.put("Mail", b"1")
    await there.backend.write(ref, Secret(b"2"))
    assert len(await there.commits()) == before + 2
    assert not ran.exists()


async def test_objects_that_a_repository_lacks_are_fetched_by_no_program_of_its(
    there: World,
) -> None:
    await there.put("Mail", b"1")
    ran, program = there.folder / "ran", there.folder / "fetch"
    program.write_text(f"#!/bin/sh\ntouch {ran}\n")
    program.chmod(0o700)
    for key, value in {
        "core.repositoryformatversion": "1",
        "extensions.partialClone": "origin",
        "remote.origin.promisor": "true",
        "remote.origin.url": str(there.store),
        "remote.origin.uploadpack": str(program),
    }.items():
        await there.run("git", "-C", str(there.store), "config", key, value)
    blob = await there.run("git", "-C", str(there.store), "rev-parse", "HEAD:Mail.gpg")
    name = blob.decode().strip()
    (there.store / ".git" / "objects" / name[:2] / name[2:]).unlink()
    await there.put("Web", b"2")
    assert not ran.exists()


async def test_recipients_are_read_neither_through_a_link_nor_from_a_pipe(there: World) -> None:
    phrase = there.folder / "phrase"
    phrase.write_text("quiet meadow\n")
    for name in ("link", "pipe"):
        await there.run("pass", "insert", "-m", f"{name}/old", given=b"1\n")
    (there.store / "link" / ".gpg-id").symlink_to(phrase)
    os.mkfifo(there.store / "pipe" / ".gpg-id")
    for name in ("link", "pipe"):
        with pytest.raises(PrivysealError) as refused:
            await there.backend.write(
                ItemRef(collection="login", item=f"{name}_2fold"), Secret(b"2")
            )
        assert "meadow" not in str(refused.value)


async def test_a_collection_is_a_folder_and_goes_with_its_files(there: World) -> None:
    work = await there.backend.create_collection("Work / play", "")
    item = await there.backend.create(work, "x", {"a": "b"}, Secret(b"1"), replace=False)
    folder = there.store / "Work %2F play"
    assert (folder / "x.gpg").exists()
    assert (await there.run("pass", "show", "Work %2F play/x")).startswith(b"1\n")
    await there.run("pass", "mv", "Work %2F play/x", "Work %2F play/y")
    (moved,) = await there.backend.search({"a": "b"}, work)
    assert moved != item
    assert (await there.backend.describe(moved)).label == "y"
    await there.backend.delete_collection(work)
    assert not folder.exists()
    assert await there.run("git", "-C", str(there.store), "status", "--porcelain") == b""


async def test_a_label_changed_on_a_foreign_entry_keeps_its_path(there: World) -> None:
    await there.run("pass", "insert", "-m", "web/site", given=b"secret\nuser: alice\nnote\n")
    ref = ItemRef(collection="login", item="web_2fsite")
    await there.backend.change(ref, label="My site", attributes=None)
    info, value = await there.look("web_2fsite")
    assert (info.label, value) == ("My site", b"secret")
    assert dict(info.attributes) == {"path": "web/site", "user": "alice"}
    assert b"\nnote\n" in await there.run("pass", "show", "web/site")


async def test_a_plain_store_gets_no_history() -> None:
    async with world("pass") as there:
        await there.put("Mail", b"1")
        assert not (there.store / ".git").exists()


async def test_the_nearest_recipients_are_asked(there: World) -> None:
    elsewhere = await there.put("elsewhere", b"1")
    await there.put("seed", b"1")
    (there.store / "team").mkdir()
    (there.store / "seed.gpg").rename(there.store / "team" / "seed.gpg")
    (there.store / "team" / ".gpg-id").write_text("nobody@example.invalid # who left\n")
    with pytest.raises(PrivysealError, match=r"nobody@example\.invalid'"):
        await there.backend.write(ItemRef(collection="login", item="team_2fseed"), Secret(b"2"))
    await there.backend.write(elsewhere, Secret(b"2"))


async def test_what_others_change_is_told(there: World) -> None:
    told: list[StoreChange] = []
    there.backend.listen(told.append)
    await there.run("pass", "insert", "-e", "new", given=b"value\n")
    wanted = StoreChange(what="created", collection="login", item="new")
    await eventually(lambda: wanted in told)


async def test_a_damaged_entry_spoils_no_other(there: World) -> None:
    good = await there.put("good", b"value", a="b")
    (there.store / "bad.gpg").write_bytes(b"no OpenPGP")
    (there.store / "empty.gpg").write_bytes(b"")
    assert await there.backend.search({"a": "b"}) == (good,)
    bad = ItemRef(collection="login", item="bad")
    assert (await there.backend.describe(bad)).label == "bad"
    with pytest.raises(CorruptError):
        await there.backend.read(bad)


async def test_links_lead_nowhere(there: World) -> None:
    outside = there.folder / "outside.gpg"
    (there.store / "item.gpg").symlink_to(outside)
    (there.store / "folder").symlink_to(there.folder)
    outside.write_bytes(b"x")
    assert await there.backend.items("login") == ()


async def test_a_search_after_a_restart_needs_no_key_for_what_was_read_before() -> None:
    async with world() as there:
        ref = await there.put("Mail", b"hunter2", service="imap")
        await there.backend.close()
        async with (
            asyncio.TaskGroup() as group,
            open_store("gopass", there.store, group, SystemClock()) as store,
        ):
            again = store.backend
            assert await again.locked()
            assert await again.search({"service": "imap"}) == (ref,)
            assert await again.search({"service": "smtp"}) == ()
            with pytest.raises(LockedError):
                await again.read(ref)
            with pytest.raises(DeniedError):
                await again.unlock(Secret(b"wrong"))
            await again.unlock(PASSPHRASE)
            assert (await again.read(ref)).expose() == b"hunter2"


async def test_the_index_holds_neither_labels_nor_attributes(there: World) -> None:
    await there.put("a label of ours", b"hunter2", service="an attribute of ours")
    await there.backend.close()
    index = (there.folder / ".store.index").read_bytes()
    assert b"attribute" not in index
    assert b"hunter2" not in index
    assert (there.folder / ".store.index").stat().st_mode & 0o77 == 0


async def test_many_entries_of_each_side_are_read_by_the_others(there: World) -> None:
    count = soak.times(20, soak=1000)
    for number in range(count):
        label = f"{LABELS[number % len(LABELS)]} {number}"
        await there.put(label, VALUES[number % len(VALUES)], number=str(number))
    for number in range(count):
        name = f"theirs/{number}"
        tool = ("pass", "insert", "-m") if number % 2 else (gopass(), "insert", "-m")
        await there.run(*tool, name, given=b"value\nnumber: %d\n" % (count + number))
    for number in range(count):
        label = f"{LABELS[number % len(LABELS)]} {number}"
        value = VALUES[number % len(VALUES)]
        (ref,) = await there.backend.search({"number": str(number)})
        assert (await there.backend.describe(ref)).label == label
        assert (await there.backend.read(ref)).expose() == value
        shown = await there.run("pass", "show", "--", escape(label))
        assert value in shown or base64.b64encode(value) in shown
        (theirs,) = await there.backend.search({"number": str(count + number)})
        assert (await there.backend.read(theirs)).expose() == b"value"
    assert len(await there.backend.items("login")) == 2 * count
    assert len(await there.commits()) >= 2 * count


async def test_a_store_and_key_from_elsewhere_open_and_stay_open() -> None:
    async with world("pass") as there:
        await there.put("Mail", b"hunter2", service="imap")
        await there.backend.close()
        (there.folder / ".gnupg" / "gpg-agent.conf").unlink()
        async with (
            asyncio.TaskGroup() as group,
            open_store("pass", there.store, group, SystemClock()) as store,
        ):
            await store.backend.unlock(PASSPHRASE)
            (ref,) = await store.backend.search({"service": "imap"})
            assert (await store.backend.read(ref)).expose() == b"hunter2"
        conf = (there.folder / ".gnupg" / "gpg-agent.conf").read_text()
        assert "max-cache-ttl 34560000\n" in conf
        assert "privyseal-pinentry\n" in conf


async def test_while_gpg_asks_a_person_the_store_says_locked_and_the_answer_opens_it() -> None:
    async with world("pass") as there:
        await there.put("Mail", b"hunter2")
        pinentry, asked, answer = (there.folder / name for name in ("pinentry", "asked", "answer"))
        os.mkfifo(answer)
        pinentry.write_text(_PINENTRY.format(asked=asked, answer=answer))
        pinentry.chmod(0o700)
        with (there.folder / ".gnupg" / "gpg-agent.conf").open("a") as conf:
            conf.write(f"pinentry-program {pinentry}\n")
        await there.backend.lock()
        told: list[StoreChange] = []
        there.backend.listen(told.append)
        async with asyncio.TaskGroup() as group:
            showing = group.create_task(there.run("pass", "show", "Mail"))
            await eventually(asked.exists)
            async with asyncio.timeout(15):  # less than gpg would be given to answer
                assert await there.backend.locked()
            await asyncio.to_thread(answer.write_bytes, PASSPHRASE.expose() + b"\n")
            assert (await showing).startswith(b"hunter2\n")
        await eventually(lambda: StoreChange(what="changed", collection="login") in told)
        assert not await there.backend.locked()
