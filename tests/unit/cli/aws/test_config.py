"""`privy aws config`: what a person and a program read."""

import json
import os
from pathlib import Path

import pytest

from privyseal.cli.aws import config_explain, config_show, config_validate
from privyseal.cli.spec import Spec, Values, quick
from privyseal.errors import NotFoundError

CONFIG = """\
[profile base]
region = eu-west-1
[profile ci]
include_profile = base
credential_process = /usr/bin/give --me
s3 =
  addressing_style = path
[profile odd]
source_profile = odder
[profile odder]
source_profile = odd
mfa_serail = x
"""


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "config").write_text(CONFIG)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_VAULT_BACKEND", "file")
    monkeypatch.setenv("AWS_VAULT_FILE_DIR", str(tmp_path / "keys"))
    return tmp_path


def run(spec: Spec, *words: str) -> int:
    values: Values | None = quick(spec, list(words))
    assert values is not None
    return spec.run(values)


def test_validate_says_that_there_is_no_file(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (home / "config").unlink()
    assert run(config_validate.SPEC) == 0
    assert capsys.readouterr().err == f"privy: there is no {home}/config, and nothing to check\n"


def test_explain_tells_origins_the_plan_and_notes(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(config_explain.SPEC, "ci") == 0
    out = capsys.readouterr().out
    assert "Profile 'ci'" in out
    assert "eu-west-1" in out
    assert "[profile base], included" in out
    assert "  1. begin with what `/usr/bin/give --me` prints" in out


def test_explain_of_a_profile_without_credentials_has_status_1(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(config_explain.SPEC, "odd") == 1
    out = capsys.readouterr().out
    assert "It gives no credentials: profiles are each other's source: 'odd' -> 'odder'" in out


def test_explain_in_json_has_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(config_explain.SPEC, "ci", "--json", "--region", "eu-north-1") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["values"]["ci"]["region"] == {"value": "eu-north-1", "origin": "--region"}
    assert told["plan"]["source"] == {"from": "process", "command": "/usr/bin/give --me"}
    assert told["words"]
    assert told["problem"] == ""


def test_validate_names_problems_and_warnings(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(config_validate.SPEC) == 1
    out = capsys.readouterr().out
    assert (
        "warning: line 12: unknown key 'mfa_serail' in [profile odder]: did you mean 'mfa_serial'?"
        in out
    )
    assert out.count("problem: ") == 2
    assert run(config_validate.SPEC, "--json") == 1
    told = json.loads(capsys.readouterr().out)
    assert [problem["name"] for problem in told["problems"]] == ["odd", "odder"]


def test_validate_of_a_good_file_says_so(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (home / "config").write_text("[profile a]\nregion = eu-west-1\n")
    assert run(config_validate.SPEC) == 0
    assert capsys.readouterr() == ("", f"privy: {home / 'config'} is valid\n")


def test_show_prints_a_configuration_with_what_is_included(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(config_show.SPEC, "ci") == 0
    assert capsys.readouterr().out.splitlines() == [
        "[profile ci]",
        "# set by [profile ci]",
        "include_profile = base",
        "# set by [profile ci]",
        "credential_process = /usr/bin/give --me",
        "# set by [profile ci]",
        "s3 =",
        "  addressing_style = path",
        "# set by [profile base], included",
        "region = eu-west-1",
        "",
    ]
    assert run(config_show.SPEC, "--json") == 0
    assert list(json.loads(capsys.readouterr().out)) == ["base", "ci", "odd", "odder"]


def test_show_of_an_unknown_profile_names_the_nearest() -> None:
    with pytest.raises(NotFoundError) as caught:
        run(config_show.SPEC, "cii")
    assert caught.value.hint == "did you mean 'ci'?"
