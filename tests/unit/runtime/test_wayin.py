import json
import os
from pathlib import Path

import pytest

from privyseal.errors import PrivysealError, UnreachableError
from privyseal.runtime import companion, wayin


def test_both_readers_of_a_record_read_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wayin, "RECORDS", str(tmp_path))
    (tmp_path / "1000.json").write_text(json.dumps({"uid": 1000, "user": "alice", "vt": 9}))

    quick, full = wayin.find(1000), companion.find(1000, tmp_path)

    assert quick is not None
    assert full is not None
    assert (quick.uid, quick.user, quick.vt) == (full.uid, full.user, full.vt)
    assert (quick.account, quick.bus_name, quick.keys) == (
        full.account,
        full.bus_name,
        full.way_in,
    )
    assert wayin.find(1001) is None


def test_the_records_lie_in_one_place() -> None:
    assert str(companion.RECORDS) == wayin.RECORDS


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"uid": null, "user": "a", "vt": 1}'])
def test_a_damaged_record_is_an_error_of_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setattr(wayin, "RECORDS", str(tmp_path))
    (tmp_path / "1000.json").write_text(text)

    with pytest.raises(PrivysealError, match="malformed"):
        wayin.find(1000)


@pytest.mark.parametrize("account", ["root", "no such user"])
def test_neither_root_nor_nobody_is_a_keeper(account: str) -> None:
    with pytest.raises(UnreachableError):
        wayin.keeper_uid(account)


def test_locked_says_the_time_of_day_and_on_other_days_the_day() -> None:
    assert "since 1970-01-0" in str(wayin.locked(0.0, "Ctrl+Alt+F8"))
    now = Path(f"/proc/{os.getpid()}").stat().st_mtime
    assert "-" not in str(wayin.locked(now, "Ctrl+Alt+F8"))
