import os
from pathlib import Path

import pytest

from privyseal.errors import NotFoundError, PrivysealError, UsageError
from privyseal.runtime import config as loader
from privyseal.runtime.settings import load_now


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setattr(loader, "SYSTEM_FILE", tmp_path / "system.yaml")
    return tmp_path


async def test_no_file_gives_the_defaults(home: Path) -> None:
    assert (await loader.load(environ={})).timing.pending == 300


async def test_your_file_goes_over_the_system_and_the_environment_over_both(home: Path) -> None:
    (home / "system.yaml").write_text("timing: {pending: 1, retry: 1, intention: 1}\n")
    (home / "privyseal").mkdir()
    (home / "privyseal/config.yaml").write_text("# mine\ntiming:\n  retry: 2\n  intention: 2\n")

    loaded = await loader.load(environ={"PRIVYSEAL_TIMING_INTENTION": "3"})

    assert (loaded.timing.pending, loaded.timing.retry, loaded.timing.intention) == (1, 2, 3)
    now = load_now(environ={"PRIVYSEAL_TIMING_INTENTION": "3"})
    assert now.config == loaded
    assert now.settings["timing.retry"].origin == f"{home}/privyseal/config.yaml:3"


async def test_an_explicit_file_has_to_be_there(home: Path) -> None:
    with pytest.raises(NotFoundError, match="no such configuration file"):
        await loader.load(home / "missing.yaml", {})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("timing:\n  pendng: 3\n", "unknown key `timing.pendng` at {0}:2: did you mean"),
        ("timing:\n  pending: soon", "not the text 'soon': {0}:2"),
        ("timing:\n  pending: 3\n  pending: 4", "`timing.pending` stands twice: {0}:3"),
        ("a: &x 1\nb: *x", "anchors and aliases are not understood here: {0}:1"),
        ("a: !!python/object/apply:os.system [x]", "unknown key `a` at {0}:1"),
        ("timing: [", "{0}:1"),
        ("- 1", "the file is no mapping of keys to values: {0}:1"),
        ("? [a]\n: 3", "a key has to be text: {0}:1"),
        ("[" * 5000, "nested too deeply: {0}"),
        ("timing:\n  pending: .nan", "not the text 'nan': {0}:2"),
        ("timing:\n  pending: 2020-01-01", "not the text '2020-01-01': {0}:2"),
        ("# " + "x" * 300_000, "the file is longer than 262144 bytes: {0}"),
    ],
)
async def test_a_malformed_file_is_refused_with_its_place(
    tmp_path: Path, content: str, message: str
) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(content)

    with pytest.raises(UsageError) as caught:
        await loader.load(file, {})

    assert message.format(file) in str(caught.value)


async def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_bytes(b"# fine\n\xff")

    with pytest.raises(UsageError, match=r"not UTF-8: .*c\.yaml:2"):
        await loader.load(file, {})


async def test_a_fifo_in_the_place_of_the_file_does_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "c.yaml")

    with pytest.raises(PrivysealError, match="no regular file"):
        await loader.load(tmp_path / "c.yaml", {})
