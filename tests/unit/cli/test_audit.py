"""`privy audit` on the files of a log, with no keeper there."""

import json
import threading
from typing import Any

import pytest
from click.testing import CliRunner
from tests.audit_log import SIGNER, write_log

from privyseal.cli.audit import command
from privyseal.cli.auditquery import moment
from privyseal.errors import ConflictError, CorruptError, NotFoundError, UsageError
from privyseal.runtime.audit import log_files


@pytest.fixture
async def folder(tmp_path):
    path = tmp_path / "audit"
    await write_log(path, requests=6)
    return path


def privy_audit(*arguments: object) -> str:
    """Return what the command printed; let its errors out."""
    result = CliRunner().invoke(command, [str(word) for word in arguments], standalone_mode=False)
    if result.exception is not None:
        raise result.exception
    return result.stdout


def entries(*arguments: object) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(privy_audit(*arguments, "--json"))
    return found


def flip(path, position: int) -> None:
    data = bytearray(path.read_bytes())
    data[position] ^= 1
    path.write_bytes(data)


def test_verify_is_silent_when_all_is_well(folder):
    assert privy_audit("verify", "--folder", folder, "--key", SIGNER.public_key) == ""


def test_verify_names_the_first_bad_entry(folder):
    flip(log_files(folder)[1], 100)
    with pytest.raises(CorruptError, match=r"^audit-000002\.jsonl, line 1, entry \d+: ") as caught:
        privy_audit("verify", "--folder", folder)
    assert caught.value.exit_status == 1


def test_verify_waits_for_an_entry_that_is_just_being_written(folder):
    last = log_files(folder)[-1]
    whole = last.read_bytes()
    last.write_bytes(whole[:-50])

    def finish() -> None:
        with last.open("ab") as file:
            file.write(whole[-50:])

    threading.Timer(0.05, finish).start()

    assert privy_audit("verify", "--folder", folder) == ""


def test_the_log_is_looked_for_where_the_configuration_says(folder, monkeypatch):
    monkeypatch.setenv("PRIVYSEAL_AUDIT_PATH", str(folder))
    assert entries("show")


def test_verify_of_a_file_that_is_not_there_says_so(tmp_path):
    with pytest.raises(NotFoundError, match="there is no file"):
        privy_audit("verify", tmp_path / "gone.jsonl")


def test_verify_names_an_entry_that_was_cut_off(folder):
    last = log_files(folder)[-1]
    last.write_bytes(last.read_bytes()[:-1])
    with pytest.raises(CorruptError, match="cut off"):
        privy_audit("verify", "--folder", folder)


def test_verify_finds_a_head_noted_earlier_and_misses_one_that_was_cut_off(folder):
    noted = privy_audit("head", "--folder", folder).strip()
    assert privy_audit("verify", "--folder", folder, "--head", noted) == ""
    assert privy_audit("verify", "--folder", folder, "--head", noted.partition(":")[2]) == ""

    last = log_files(folder)[-1]
    last.write_bytes(b"".join(last.read_bytes().splitlines(keepends=True)[:-1]))
    assert privy_audit("verify", "--folder", folder) == ""
    with pytest.raises(CorruptError, match="cut off"):
        privy_audit("verify", "--folder", folder, "--head", noted)


def test_verify_refuses_a_head_that_is_none(folder):
    with pytest.raises(UsageError, match="no head"):
        privy_audit("verify", "--folder", folder, "--head", "7:abc")


def test_verify_refuses_receipts_of_a_key_that_is_not_the_keepers(folder):
    with pytest.raises(CorruptError, match="another key"):
        privy_audit("verify", "--folder", folder, "--key", "55" * 32)


def test_an_export_can_be_verified_like_the_log(folder, tmp_path):
    privy_audit("export", "--folder", folder, "--output", tmp_path / "copy")

    assert (tmp_path / "copy").stat().st_mode & 0o777 == 0o600
    assert privy_audit("export", "--folder", folder) == (tmp_path / "copy").read_text()
    assert privy_audit("verify", tmp_path / "copy") == ""
    flip(tmp_path / "copy", 200)
    with pytest.raises(CorruptError, match=r"^copy, line 1, entry 1: "):
        privy_audit("verify", tmp_path / "copy")


def test_an_export_never_overwrites(folder, tmp_path):
    (tmp_path / "copy").write_text("precious")
    with pytest.raises(ConflictError, match="exists already"):
        privy_audit("export", "--folder", folder, "--output", tmp_path / "copy")
    assert (tmp_path / "copy").read_text() == "precious"


@pytest.mark.parametrize("last", [1, 3, 10, 1000])
def test_show_prints_the_newest_entries_across_files(folder, last):
    everything = entries("show", "-n", 1000, "--folder", folder)
    assert [entry["n"] for entry in everything] == list(range(1, len(everything) + 1))

    assert entries("show", "-n", last, "--folder", folder) == everything[-last:]


def test_show_aligns_its_table_and_keeps_foreign_text_on_its_line(folder):
    lines = privy_audit("show", "-n", 5, "--folder", folder).splitlines()

    assert len(lines) == 6
    place = lines[0].index("EVENT")
    assert {line[place - 1] for line in lines} == {" "}
    assert lines[-1][place:].startswith("stop")
    assert "\x1b" not in "".join(lines)


@pytest.mark.parametrize(
    ("options", "events"),
    [
        (["--outcome", "leased"], {"released"}),
        (["--program", "SECRET-TOOL"], {"asked", "decided"}),
        (["--item", "PÄSSWORD"], {"asked", "decided"}),
        (["lookup"], {"asked", "decided"}),
        (["00000003"], {"asked", "resolved"}),
        (["00000004"], {"asked", "decided", "released"}),
        (["--until", "2020-01-01"], set()),
        (["--since", "2100-01-01"], set()),
        (["--since", "2023-11-01", "--until", "2023-12-01 00:00", "stop"], {"stop"}),
    ],
)
def test_search_finds_the_entries_that_fit(folder, options, events):
    found = entries("search", *options, "--folder", folder)
    assert {entry["event"] for entry in found} == events


def test_search_that_finds_nothing_says_so(folder):
    with pytest.raises(NotFoundError, match="no entry"):
        privy_audit("search", "no such thing", "--folder", folder)


@pytest.mark.parametrize("verb", ["show", "search", "verify", "head", "export"])
def test_a_folder_without_a_log_is_one_clear_line(tmp_path, verb):
    with pytest.raises(NotFoundError, match="there is no audit log in"):
        privy_audit(verb, "--folder", tmp_path)
    with pytest.raises(NotFoundError, match="there is no audit log in"):
        privy_audit(verb, "--folder", tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("text", "before"), [("90s", 90), ("5min", 300), ("2h", 7200), ("1w", 604_800)]
)
def test_a_span_is_that_long_ago(text, before):
    assert moment(text, 1_000_000.0) == 1_000_000.0 - before


@pytest.mark.parametrize("text", ["yesterday", "", "-1h", "2026-13-01", "9" * 30])
def test_other_words_are_no_point_in_time(text):
    with pytest.raises(UsageError, match="no point in time"):
        moment(text, 0.0)
