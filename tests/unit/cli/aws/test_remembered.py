import os
from pathlib import Path

import pytest

from privyseal.cli.aws import remembered

PLAN = {"plan": {"profile": "dev"}, "region": "eu-west-1", "endpoint": "", "mfa_process": ""}


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    config = tmp_path / "config"
    config.write_text("[profile dev]\n")
    return {"AWS_CONFIG_FILE": str(config), "HOME": str(tmp_path), "AWS_REGION": "eu-west-1"}


def source(environment: dict[str, str], **flags: object) -> remembered.MadeFrom:
    return remembered.made_from("dev", {"region": "", "chain": (), **flags}, environment)


def test_a_plan_is_recalled_while_nothing_has_changed(environment: dict[str, str]) -> None:
    assert remembered.recall(source(environment)) is None

    remembered.remember(source(environment), PLAN)

    found = remembered.recall(source(environment))
    assert found is not None
    assert PLAN.items() <= found.items()


def test_whatever_a_plan_is_made_from_makes_it_another_one(environment: dict[str, str]) -> None:
    remembered.remember(source(environment), PLAN)

    for other in (
        source(environment, region="us-east-1"),
        source(environment, chain=("arn:aws:iam::1:role/x",)),
        source(environment | {"AWS_REGION": "us-east-1"}),
        source(environment | {"AWS_SESSION_TOKEN_TTL": "2h"}),
        source(environment | {"AWS_ROLE_ARN": "arn:aws:iam::1:role/x"}),
        remembered.made_from("prod", {"region": "", "chain": ()}, environment),
    ):
        assert remembered.recall(other) is None
    Path(environment["AWS_CONFIG_FILE"]).write_text("[profile dev]\nregion = eu-west-1\n")
    assert remembered.recall(source(environment)) is None


def test_nothing_secret_is_written_and_nobody_else_reads_it(environment: dict[str, str]) -> None:
    hidden = dict.fromkeys(
        (
            "AWS_SECRET_ACCESS_KEY",
            "AWS_SESSION_TOKEN",
            "AWS_VAULT_FILE_PASSPHRASE",
            "AWS_VAULT_OP_CONNECT_TOKEN",
            "OTHER",
        ),
        "do not write this",
    )

    remembered.remember(source(environment | hidden), PLAN)

    [path] = (Path(os.environ["XDG_RUNTIME_DIR"]) / "privyseal" / "aws-plans").iterdir()
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert "do not" not in path.read_text()


def test_an_old_or_broken_or_forgotten_plan_is_none(environment: dict[str, str]) -> None:
    folder = Path(os.environ["XDG_RUNTIME_DIR"]) / "privyseal" / "aws-plans"
    remembered.remember(source(environment), PLAN)
    [path] = folder.iterdir()
    before = path.stat().st_mtime - remembered.KEPT_SECONDS - 1
    os.utime(path, (before, before))
    assert remembered.recall(source(environment)) is None

    path.write_text("{")
    assert remembered.recall(source(environment)) is None

    remembered.remember(source(environment), PLAN)
    remembered.forget()
    assert list(folder.iterdir()) == []


def test_without_a_runtime_folder_nothing_is_remembered(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/proc/nowhere")

    remembered.remember(source(environment), PLAN)

    assert remembered.recall(source(environment)) is None
    remembered.forget()
