"""What the journal writes can be taken back to the byte, also when it was cut off."""

from pathlib import Path

import pytest

from privyseal.cli.journal import MAX_FILE, Entry, Journal, look, put
from privyseal.errors import ConflictError, CorruptError, LimitError, PrivysealError, UsageError

Tree = dict[str, Entry | None]


def _tree(root: Path) -> Tree:
    """Return everything below a folder; folders stand as None."""
    return {
        str(path.relative_to(root)): (
            None if path.is_dir() and not path.is_symlink() else look(path)
        )
        for path in sorted(root.rglob("*"))
    }


def _wanted(root: Path) -> dict[Path, Entry]:
    return {
        root / "units" / "keeper.service": Entry.text("[Unit]\n"),
        root / "units" / "wants" / "keeper.service": Entry.link("../keeper.service"),
        root / "there" / "old.conf": Entry.text("ours\n"),
    }


@pytest.fixture
def home(tmp_path: Path) -> Path:
    root = tmp_path / "home"
    (root / "there").mkdir(parents=True)
    (root / "there" / "old.conf").write_bytes(b"theirs\xff\r\n")
    (root / "there" / "old.conf").chmod(0o640)
    return root


def _journal(home: Path) -> Journal:
    return Journal(home / "state" / "journal.json")


def test_undo_gives_back_the_same_tree(home: Path) -> None:
    before = _tree(home)
    journal = _journal(home)
    journal.apply(journal.plan(_wanted(home)))
    assert {path: look(path) for path in _wanted(home)} == _wanted(home)

    assert journal.undo() == []
    assert _tree(home) == before


def test_applying_twice_changes_nothing_and_still_undoes(home: Path) -> None:
    before = _tree(home)
    journal = _journal(home)
    journal.apply(journal.plan(_wanted(home)))
    once = _tree(home)
    journal.apply(journal.plan(_wanted(home)))

    assert _tree(home) == once
    journal.undo()
    assert _tree(home) == before


@pytest.mark.parametrize("done", range(4))
def test_an_apply_that_was_cut_off_is_undone(
    home: Path, done: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = _tree(home)
    journal = _journal(home)
    left = iter(range(done))

    def limited(path: Path, entry: Entry) -> None:
        if next(left, None) is None:
            raise PrivysealError("the power went")
        put(path, entry)

    monkeypatch.setattr("privyseal.cli.journal.put", limited)
    with pytest.raises(PrivysealError, match="the power went"):
        journal.apply(journal.plan(_wanted(home)))
    monkeypatch.undo()

    journal.undo()
    files = {name: entry for name, entry in _tree(home).items() if entry is not None}
    assert files == {name: entry for name, entry in before.items() if entry is not None}


def test_a_new_version_is_undone_to_what_was_before_the_first(home: Path) -> None:
    before = _tree(home)
    journal = _journal(home)
    journal.apply(journal.plan(_wanted(home)))
    newer = {**_wanted(home), home / "there" / "old.conf": Entry.text("ours, newer\n")}
    journal.apply(journal.plan(newer))
    assert look(home / "there" / "old.conf") == Entry.text("ours, newer\n")

    journal.undo()
    assert _tree(home) == before


def test_a_file_that_was_changed_since_is_kept_and_named(home: Path) -> None:
    journal = _journal(home)
    journal.apply(journal.plan(_wanted(home)))
    edited = home / "units" / "keeper.service"
    edited.write_text("edited by hand\n")

    with pytest.raises(ConflictError, match="changed since it was installed"):
        journal.plan(_wanted(home))
    assert journal.undo() == [str(edited)]
    assert edited.read_text() == "edited by hand\n"
    assert [change.path for change in journal.read().changes] == [str(edited)]


def test_a_folder_in_the_way_is_refused_before_anything_is_written(home: Path) -> None:
    (home / "units" / "keeper.service").mkdir(parents=True)
    before = _tree(home)
    with pytest.raises(UsageError, match="neither a file nor a link"):
        _journal(home).plan(_wanted(home))
    assert _tree(home) == before


def test_a_huge_file_in_the_way_is_refused(home: Path) -> None:
    with (home / "there" / "old.conf").open("wb") as file:
        file.truncate(MAX_FILE + 1)
    with pytest.raises(LimitError):
        _journal(home).plan(_wanted(home))


def test_a_damaged_journal_is_named(home: Path) -> None:
    (home / "state").mkdir()
    (home / "state" / "journal.json").write_text("{")
    with pytest.raises(CorruptError, match=r"journal\.json"):
        _journal(home).read()


def test_a_folder_that_cannot_be_made_is_named(home: Path) -> None:
    record = _journal(home).plan({home / "late" / "file": Entry.text("x")})
    (home / "late").write_text("in the way")
    with pytest.raises(PrivysealError, match=r"cannot make .*late"):
        _journal(home).apply(record)


def test_a_folder_that_cannot_be_written_is_named(home: Path) -> None:
    with pytest.raises(PrivysealError, match="cannot write"):
        put(home / "missing" / "file", Entry.text("x"))
