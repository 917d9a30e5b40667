"""`aws-vault`: the command lines that people have in their scripts and fingers."""

import json

import pytest
from tests.integration.cli.aws.desk import PASSPHRASE, Desk

IDENTITY = ("aws", "sts", "get-caller-identity")


@pytest.mark.parametrize(
    "words",
    [
        ["exec", "dev", "--"],
        ["exec", "dev"],
        ["--debug", "exec", "dev", "--"],
        ["exec", "--no-session", "dev", "--"],
        ["exec", "-n", "dev", "--"],
        ["exec", "dev", "-n", "--"],
        ["exec", "-nd", "1h", "dev", "--"],
        ["exec", "--region=eu-west-1", "--duration=900s", "dev", "--"],
        ["exec", "--server", "--no-server", "dev", "--"],
        ["exec", "-s", "dev", "--"],
        ["exec", "--ecs-server", "--lazy", "dev", "--"],
        ["--backend=file", "--prompt=terminal", "exec", "dev", "--"],
        ["exec", "--backend", "file", "dev", "--prompt", "terminal", "--"],
    ],
)
def test_a_line_of_aws_vault_runs_the_command(desk: Desk, words: list[str]) -> None:
    user = desk.user()

    done = desk.vault(*words, *IDENTITY)

    assert json.loads(done.out)["Arn"] == user.arn, done.err


def test_flags_name_the_store_as_variables_do(desk: Desk) -> None:
    user = desk.user()
    nothing = {"AWS_VAULT_BACKEND": "", "AWS_VAULT_FILE_DIR": ""}
    words = ["--backend=file", f"--file-dir={desk.folder}/keys", "exec", "dev", "--", *IDENTITY]

    done = desk.vault(*words, env=nothing)

    assert json.loads(done.out)["Arn"] == user.arn, done.err


@pytest.mark.parametrize("words", [["exec", "-j", "dev"], ["export", "--format=json", "dev"]])
def test_json_is_printed_by_the_old_flag_and_by_the_new(desk: Desk, words: list[str]) -> None:
    desk.user()

    done = desk.vault(*words)

    assert json.loads(done.out)["Version"] == 1
    assert set(json.loads(done.out)) == {
        "Version", "AccessKeyId", "SecretAccessKey", "SessionToken", "Expiration",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["exec", "--nonsense", "dev"], "unknown long flag '--nonsense', try --help"),
        (["exec", "-x", "dev"], "unknown short flag '-x', try --help"),
        (["exec", "--duration"], "expected argument for flag '--duration', try --help"),
        (["nonsense"], 'expected command but got "nonsense", try --help'),
        (["export", "dev", "more"], "unexpected argument 'more', try --help"),
        (["exec", "nowhere", "--", "true"], "exec: profile 'nowhere' not found in"),
        (["exec", "-d", "1x", "dev", "--", "true"], "exec: "),
        (["export", "--format=nope", "dev"], "export: no format 'nope'"),
    ],
)
def test_errors_are_told_as_there_and_end_with_status_one(
    desk: Desk, words: list[str], said: str
) -> None:
    desk.user()

    done = desk.vault(*words)

    assert done.err.startswith(f"aws-vault: error: {said}")
    assert (done.status, done.out) == (1, "")


def test_a_wrong_passphrase_is_an_error_of_the_command(desk: Desk) -> None:
    desk.user()

    done = desk.vault("exec", "dev", "--", "true", env={"AWS_VAULT_FILE_PASSPHRASE": "another one"})

    assert done.status == 1
    assert done.err.startswith("aws-vault: error: exec: ")
    assert PASSPHRASE not in done.err


@pytest.mark.parametrize("flag", ["--version", "-v", "version"])
def test_the_version_is_printed(desk: Desk, flag: str) -> None:
    assert desk.vault(flag).out.startswith("privy ")


@pytest.mark.parametrize("words", [["--help"], ["help"], []])
def test_help_lists_the_commands(desk: Desk, words: list[str]) -> None:
    done = desk.vault(*words)

    assert "exec" in done.out
    assert done.status == 0


def test_a_full_disk_is_told_and_no_fault_of_the_command_line(desk: Desk) -> None:
    done = desk.run("sh", "-c", "aws-vault --help > /dev/full")
    assert (done.status, done.err) == (
        1,
        "aws-vault: error: cannot write: No space left on device\n",
    )


@pytest.mark.parametrize(
    ("words", "usage"),
    [
        (["--help"], "Usage: aws-vault [OPTIONS] COMMAND"),
        (["exec", "--help"], "Usage: aws-vault exec [OPTIONS]"),
        (["config", "--help"], "Usage: aws-vault config [OPTIONS] COMMAND"),
    ],
)
def test_help_speaks_of_the_program_that_was_called(
    desk: Desk, words: list[str], usage: str
) -> None:
    assert desk.vault(*words).out.startswith(usage)


def test_help_of_a_command_lists_its_flags(desk: Desk) -> None:
    for words in (["exec", "--help"], ["help", "exec"], ["--help", "exec"]):
        assert "--ecs-server" in desk.vault(*words).out


def test_a_shell_is_told_what_may_come_next(desk: Desk) -> None:
    desk.user("dev")
    desk.user("prod")

    assert "exec" in desk.vault("--completion-bash").out.split()
    assert desk.vault("--completion-bash", "exec", "").out.split() == ["dev", "prod"]
    assert "--ecs-server" in desk.vault("--completion-bash", "exec", "--").out.split()
    assert "fish" in desk.vault("--completion-bash", "export", "--format", "").out.split()


def test_bash_completes_profiles_of_the_configuration_that_is_in_force(desk: Desk) -> None:
    desk.user("dev")
    desk.user("prod")
    script = """
        eval "$(aws-vault --completion-script-bash)"
        COMP_WORDS=(aws-vault exec p); COMP_CWORD=2; _aws_vault; echo "${COMPREPLY[@]}"
    """

    done = desk.run("bash", "-c", script)

    assert done.out.split() == ["prod"], done.err


def test_a_name_that_the_terminal_cannot_write_is_listed_escaped(desk: Desk) -> None:
    desk.write("[profile 日本]\nregion = eu-west-1\n")

    done = desk.vault("list", "--profiles", env={"PYTHONIOENCODING": "ascii"})

    assert (done.status, done.out) == (0, "\\u65e5\\u672c\n"), done.err
