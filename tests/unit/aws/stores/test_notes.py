"""Notes beside a store that keeps none."""

import threading

from tests.fakes_stores import MemoryStore

from privyseal.aws.ports import Item
from privyseal.aws.stores.notes import NotedStore, NoteFile
from privyseal.model.secret import Secret


def test_notes_are_listed_and_come_back(tmp_path):
    store = NotedStore(MemoryStore(keeps_notes=False), NoteFile(tmp_path / "state" / "n.json"))
    store.write(Item("jon", Secret(b"1"), notes={"tail": "MPLE", "mfa": ""}))
    assert store.entries() == {"jon": {"tail": "MPLE"}}
    assert store.read("jon").notes == {"tail": "MPLE"}


def test_file_of_notes_is_for_its_owner_alone(tmp_path):
    path = tmp_path / "n.json"
    NotedStore(MemoryStore(keeps_notes=False), NoteFile(path)).write(
        Item("jon", Secret(b"hush"), notes={"tail": "MPLE"})
    )
    assert path.stat().st_mode & 0o777 == 0o600
    assert b"hush" not in path.read_bytes()


def test_entry_without_notes_is_listed(tmp_path):
    inner = MemoryStore(keeps_notes=False)
    inner.write(Item("jon", Secret(b"1")))
    assert NotedStore(inner, NoteFile(tmp_path / "n.json")).entries() == {"jon": {}}


def test_notes_go_with_their_entry(tmp_path):
    inner, path = MemoryStore(keeps_notes=False), tmp_path / "n.json"
    store = NotedStore(inner, NoteFile(path))
    store.write(Item("jon", Secret(b"1"), notes={"tail": "MPLE"}))
    store.remove("jon")
    assert store.entries() == {}
    assert b"MPLE" not in path.read_bytes()


def test_damaged_file_of_notes_costs_the_notes_alone(tmp_path):
    inner, path = MemoryStore(keeps_notes=False), tmp_path / "n.json"
    inner.write(Item("jon", Secret(b"1")))
    for junk in (b"{", b"[]", b'{"jon": 7}', b'{"jon": {"tail": 7}}', b"[" * 100_000):
        path.write_bytes(junk)
        assert NotedStore(inner, NoteFile(path)).entries() == {"jon": {}}


def test_writers_at_once_lose_no_notes(tmp_path):
    notes = NoteFile(tmp_path / "n.json")

    def write(number: int) -> None:
        with notes.changing() as found:
            found[str(number)] = {"tail": str(number)}

    threads = [threading.Thread(target=write, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(notes.load()) == 20


def test_entry_is_kept_and_removed_where_notes_cannot_be(tmp_path):
    inner, path = MemoryStore(keeps_notes=False), tmp_path / "no-folder" / "n.json"
    path.parent.write_text("a file")
    store = NotedStore(inner, NoteFile(path))
    store.write(Item("jon", Secret(b"1"), notes={"tail": "MPLE"}))
    assert store.read("jon").value == Secret(b"1")
    store.remove("jon")
    assert store.entries() == {}
