"""Every option of aws-vault is one of ours: by its long name, its letter, and whether it takes a value."""

import pytest

from privyseal.aws.choice import backends
from privyseal.aws.prompts.choice import NAMES
from privyseal.cli.aws.options import PROMPTS, STORE, backend, chosen
from privyseal.cli.aws.table import GROUP
from privyseal.cli.spec import Spec
from privyseal.cli.tree import run

STORES = (
    "--backend=", "--prompt=", "--keychain=", "--secret-service-collection=", "--pass-dir=",
    "--pass-cmd=", "--pass-prefix=", "--file-dir=", "--op-timeout=", "--op-vault-id=",
    "--op-item-title-prefix=", "--op-item-tag=", "--op-connect-host=", "--op-desktop-account-id=",
    "--biometrics",
)  # fmt: skip
OPTIONS = {
    "add": ("--env", "--add-config", "--no-add-config"),
    "list": ("--profiles", "--sessions", "--credentials"),
    "remove": ("--force", "-f", "--sessions-only", "-s"),
    "clear": (),
    "exec": (
        "--duration=", "-d=", "--no-session", "-n", "--region=", "--mfa-token=", "-t=", "--json",
        "-j", "--server", "-s", "--ec2-server", "--ecs-server", "--lazy", "--stdout",
        "--profile-env",
    ),
    "export": (
        "--duration=", "-d=", "--no-session", "-n", "--region=", "--mfa-token=", "-t=", "--stdout",
        "--format=",
    ),
    "login": (
        "--duration=", "-d=", "--no-session", "-n", "--mfa-token=", "-t=", "--region=", "--path=",
        "--stdout", "-s", "--auto-logout", "-a",
    ),
    "rotate": ("--no-session", "-n"),
    "proxy": ("--stop",),
    "migrate-backend": (
        "--from=", "--to=", "--profile=", "--dry-run", "--overwrite", "--delete-source",
    ),
}  # fmt: skip


@pytest.mark.parametrize("command", [name for name in OPTIONS if name in GROUP.commands])
def test_a_command_has_every_option_that_aws_vault_gives_it(command: str) -> None:
    spec = GROUP.load(command)
    assert isinstance(spec, Spec)
    stores = () if command == "proxy" else STORES

    ours = {
        f"{name}{'=' if option.metavar else ''}"
        for option in spec.options
        for name in (option.flag, option.short)
        if name
    }

    assert {*OPTIONS[command], *stores} - ours == set()


def test_the_help_names_every_store_and_every_way_to_ask() -> None:
    texts = {option.flag: option.help for option in STORE}

    assert all(name in texts["--backend"] for name in ("keeper", *backends()))
    assert all(name in texts["--prompt"] for name in NAMES)
    assert {*NAMES} == PROMPTS


def test_options_of_stores_stand_under_a_heading_of_their_own(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(["aws", "clear", "--help"]) == 0
    own, stores = capsys.readouterr().out.split("Where keys lie:")

    assert ("--timeout" in own, "--file-dir" in own) == (True, False)
    assert ("--help" in stores, "--file-dir" in stores) == (False, True)


def test_what_nobody_said_of_a_store_is_empty() -> None:
    assert set(chosen({}).values()) == {""}
    assert chosen({"biometrics": True, "file_dir": "/keys"})["biometrics"] == "true"
    assert {option.name for option in STORE} - {*chosen({})} == {"prompt"}


def test_an_option_names_the_store_before_the_environment_does() -> None:
    environment = {"AWS_VAULT_BACKEND": "pass"}

    assert backend({"backend": "file"}, environment) == "file"
    assert backend({"backend": ""}, environment) == "pass"
    assert backend({}, {}) == ""
