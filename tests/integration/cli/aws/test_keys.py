"""`privy aws add`, `list`, `remove`, `clear`: prompts and outputs of aws-vault, and what is better."""

import json
import os
import re

import pytest
from tests.fakes_aws.people import User
from tests.integration.cli.aws.desk import Desk
from tests.integration.cli.aws.person import at_terminal

ID = "Enter Access Key ID: "
SECRET = "Enter Secret Access Key: "
DEVICE = "Enter MFA Device ARN (If MFA is not enabled, leave this blank): "
SERIAL = "arn:aws:iam::123456789012:mfa/dev"


def variables(desk: Desk, user: User, **more: str) -> dict[str, str]:
    return {
        "AWS_ACCESS_KEY_ID": user.key.access_key_id,
        "AWS_SECRET_ACCESS_KEY": user.key.secret_access_key,
        "AWS_ENDPOINT_URL": desk.aws.url,
        "AWS_REGION": "eu-west-1",
        **more,
    }


def known(desk: Desk) -> dict[str, list[dict[str, str]]]:
    done = desk.privy("list", "--json")
    assert done.status == 0, done.err
    found: dict[str, list[dict[str, str]]] = json.loads(done.out)
    return found


def test_key_from_the_environment_is_kept_and_its_profile_written(desk: Desk) -> None:
    user = desk.aws.people.add_user("dev")
    desk.write("# mine\n[default]\nregion = eu-west-1\n")

    done = desk.vault("add", "dev", "--env", env=variables(desk, user))

    assert (done.status, done.out) == (0, 'Added credentials to profile "dev" in vault\n'), done.err
    assert desk.config.read_text() == "# mine\n[default]\nregion = eu-west-1\n\n[profile dev]\n"
    (key,) = known(desk)["keys"]
    assert (key["tail"], key["account"]) == (user.key.access_key_id[-4:], user.arn.split(":")[4])
    assert user.key.secret_access_key not in done.out + done.err


def test_key_that_aws_refuses_is_not_kept(desk: Desk) -> None:
    user = desk.aws.people.add_user("dev")
    wrong = variables(desk, user, AWS_SECRET_ACCESS_KEY="x" * 40)

    done = desk.privy("add", "dev", "--env", env=wrong)

    assert done.status != 0
    assert "x" * 40 not in done.out + done.err
    assert known(desk)["keys"] == []
    assert desk.config.read_text() == ""


@pytest.mark.parametrize("variable", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"])
def test_missing_variable_is_named(desk: Desk, variable: str) -> None:
    env = variables(desk, desk.aws.people.add_user("dev"), **{variable: ""})
    done = desk.vault("add", "dev", "--env", env=env)
    assert (done.status, done.out) == (1, "")
    assert done.err.startswith(f"aws-vault: error: add: missing environment variable {variable}")


def test_person_is_asked_as_by_aws_vault_and_what_is_secret_is_not_shown(desk: Desk) -> None:
    user = desk.aws.people.add_user("dev")
    key = user.key

    done = at_terminal(
        desk,
        ["aws-vault", "add", "dev"],
        [(ID, key.access_key_id), (SECRET, key.secret_access_key), (DEVICE, SERIAL)],
        env={"AWS_ENDPOINT_URL": desk.aws.url, "AWS_REGION": "eu-west-1"},
    )

    assert (done.status, done.out) == (0, 'Added credentials to profile "dev" in vault\n'), done.err
    assert key.access_key_id in done.err
    assert key.secret_access_key not in done.err
    assert desk.config.read_text() == f"[profile dev]\nmfa_serial = {SERIAL}\n"
    assert known(desk)["keys"][0]["mfa"] == SERIAL


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ([(ID, "")], "access key id"),
        ([(ID, "jon")], "access key id"),
        ([(ID, "AKIAIOSFODNN7EXAMPLE"), (SECRET, "short")], "has 5 characters"),
        ([(ID, "AKIAIOSFODNN7EXAMPLE"), (SECRET, "x" * 40), (DEVICE, "non sense")], "MFA device"),
    ],
)
def test_what_is_mistyped_ends_at_its_prompt(
    desk: Desk, typed: list[tuple[str, str]], told: str
) -> None:
    done = at_terminal(desk, ["privy", "aws", "add", "dev"], typed)

    assert (done.status, done.out) == (2, "")
    assert told in done.err
    assert not desk.aws.calls
    assert desk.config.read_text() == ""


def test_interrupt_at_a_prompt_leaves_the_shell_a_line_of_its_own(desk: Desk) -> None:
    typed = [(ID, "AKIAIOSFODNN7EXAMPLE"), (SECRET, "\x03")]

    done = at_terminal(desk, ["privy", "aws", "add", "dev"], typed)

    assert done.status == 130
    assert done.err.endswith("\r\n")


def test_region_that_was_given_is_that_of_the_new_profile(desk: Desk) -> None:
    env = {**variables(desk, desk.aws.people.add_user("dev")), "AWS_REGION": ""}

    done = desk.privy("add", "dev", "--env", "--region", "eu-west-1", env=env)

    assert done.status == 0, done.err
    assert desk.config.read_text() == "[profile dev]\nregion = eu-west-1\n"


def test_region_that_was_given_is_written_into_a_profile_that_has_none(desk: Desk) -> None:
    env = {**variables(desk, desk.aws.people.add_user("dev")), "AWS_REGION": ""}
    before = "# first\n[profile dev]\noutput = json  # mine\n\n[profile ops]\nregion = a-b-1\n"
    desk.write(before)

    done = desk.privy("add", "dev", "--env", "--region", "eu-west-1", env=env)

    assert done.status == 0, done.err
    assert desk.config.read_text() == before.replace("# mine\n", "# mine\nregion = eu-west-1\n")
    assert f"wrote [profile dev] to {desk.config}" in done.err


@pytest.mark.parametrize("holder", ["dev", "base"])
def test_region_of_a_profile_that_has_one_is_kept_and_that_is_said(desk: Desk, holder: str) -> None:
    env = {**variables(desk, desk.aws.people.add_user("dev")), "AWS_REGION": ""}
    before = f"[profile dev]\ninclude_profile = base\n[profile {holder}]\nregion = eu-north-1\n"
    desk.write(before)

    done = desk.privy("add", "dev", "--env", "--region", "eu-west-1", env=env)

    assert done.status == 0, done.err
    assert desk.config.read_text() == before
    assert "profile 'dev' keeps its region 'eu-north-1'" in done.err


@pytest.mark.parametrize(("answer", "written"), [("y", True), ("", False), ("n", False)])
def test_device_that_was_typed_is_written_into_a_profile_that_is_there_if_wanted(
    desk: Desk, answer: str, written: bool
) -> None:
    user = desk.aws.people.add_user("dev")
    desk.section("profile dev", mfa_serial="arn:aws:iam::1:mfa/old")
    before = desk.config.read_text()
    key = user.key

    done = at_terminal(
        desk,
        ["aws-vault", "add", "dev"],
        [
            (ID, key.access_key_id),
            (SECRET, key.secret_access_key),
            (DEVICE, SERIAL),
            ("in place of arn:aws:iam::1:mfa/old? (y|N) ", answer),
        ],
    )

    assert done.status == 0, done.err
    expected = before.replace("arn:aws:iam::1:mfa/old", SERIAL) if written else before
    assert desk.config.read_text() == expected


def test_profile_that_takes_its_key_from_another_gets_none(desk: Desk) -> None:
    desk.section("profile dev", source_profile="base")
    done = desk.privy("add", "dev", "--env")
    assert done.status == 2
    assert "takes its key from 'base': one of its own would go before that" in done.err
    assert "`privy aws add base`, or take source_profile out first" in done.err


def test_a_key_that_a_profile_with_a_source_has_all_the_same_goes_before(desk: Desk) -> None:
    key = desk.aws.people.add_user("dev").key
    desk.keep("dev", key)
    desk.user("base")
    desk.section("profile dev", source_profile="base", region="eu-west-1")
    said = desk.privy("config", "explain", "dev")
    assert "begin with the stored key 'dev'" in said.out, said.err
    assert key.access_key_id in desk.privy("export", "--no-session", "dev").out


def test_configuration_is_left_alone_when_that_is_wanted(desk: Desk) -> None:
    user = desk.aws.people.add_user("dev")
    done = desk.vault("add", "--no-add-config", "dev", "--env", env=variables(desk, user))
    assert done.status == 0, done.err
    assert desk.config.read_text() == ""


def test_key_is_kept_unseen_when_that_is_wanted(desk: Desk) -> None:
    user = desk.aws.people.add_user("dev")
    env = variables(desk, user, AWS_ENDPOINT_URL="http://127.0.0.1:9")
    assert desk.privy("add", "dev", "--env", env=env).status == 6
    assert desk.privy("add", "dev", "--env", "--no-verify", env=env).status == 0
    assert known(desk)["keys"][0]["account"] == ""


def test_new_key_ends_the_sessions_of_the_old_one(desk: Desk) -> None:
    user = desk.user()
    role = desk.aws.people.add_role("deploy")
    desk.section("profile deploy", source_profile="dev", role_arn=role.arn)
    for profile in ("dev", "deploy"):
        assert desk.privy("exec", profile, "--", "true").status == 0
    sessions = len(known(desk)["sessions"])
    assert sessions >= 2

    done = desk.vault("add", "dev", "--env", env=variables(desk, user))

    assert done.out.splitlines()[1:] == [f"Deleted {sessions} existing sessions."], done.err
    assert known(desk)["sessions"] == []


@pytest.mark.parametrize(("answer", "replaced"), [("n", False), ("yes", True)])
def test_key_that_is_there_is_replaced_by_hand_only_after_a_question(
    desk: Desk, answer: str, replaced: bool
) -> None:
    desk.user()
    other = desk.aws.people.add_user("other").key
    answers = [('Replace the credentials that profile "dev" has? (y|N) ', answer)]
    if replaced:
        answers += [(ID, other.access_key_id), (SECRET, other.secret_access_key), (DEVICE, "")]
    done = at_terminal(desk, ["privy", "aws", "add", "dev"], answers)
    assert done.status == 0, done.err
    assert (known(desk)["keys"][0]["tail"] == other.access_key_id[-4:]) is replaced


def test_list_is_a_table_in_the_widths_of_aws_vault(desk: Desk) -> None:
    desk.user()
    desk.keep("loose", desk.aws.people.add_user("loose").key)
    desk.section("profile sso", sso_start_url="https://x.awsapps.com/start", sso_region="eu-west-1")
    assert desk.privy("exec", "dev", "--", "true").status == 0

    lines = desk.vault("ls").out.splitlines()

    assert lines[0] == f"{'Profile':25}{'Credentials':25}{'Sessions':{len(lines[0]) - 50}}"
    assert lines[1].split() == ["=======", "===========", "========"]
    assert re.fullmatch(r"dev {22}dev {22}sts\.GetSessionToken:(59m\d+s|1h0m0s) +", lines[2])
    assert [line.split() for line in lines[3:]] == [["sso", "-", "-"], ["-", "loose", "-"]]
    assert len({len(line) for line in lines}) == 1


def test_without_a_keeper_it_is_said_where_keys_are_instead(desk: Desk) -> None:
    env = {"AWS_VAULT_BACKEND": "", "AWS_VAULT_FILE_DIR": str(desk.folder / "none")}
    words = f"no keeper answers here, so keys are with the encrypted files in '{desk.folder}/none'"

    for command in (["list"], ["exec", "dev", "--", "true"], ["add", "dev", "--env"]):
        assert words in desk.privy(*command, env=env).err, command
    done = desk.privy("exec", "dev", "--", "true", env=env)
    assert done.err.splitlines()[1] == (
        f"  try: {words}; to reach a keeper, set DBUS_SESSION_BUS_ADDRESS: `privy try` prints the line for "
        "that; or keep a key with `privy aws add dev`"
    )
    named = {**env, "AWS_VAULT_BACKEND": "file"}
    assert words not in desk.privy("exec", "dev", "--", "true", env=named).err


@pytest.mark.parametrize(
    ("flag", "expected"),
    [("--profiles", "dev\n"), ("--credentials", "dev\nloose\n"), ("--sessions", "")],
)
def test_list_prints_one_kind_of_names(desk: Desk, flag: str, expected: str) -> None:
    desk.user()
    desk.keep("loose", desk.aws.people.add_user("loose").key)
    assert desk.vault("list", flag).out == expected


def test_list_asks_for_no_passphrase(desk: Desk) -> None:
    desk.user()
    done = desk.vault("list", env={"AWS_VAULT_FILE_PASSPHRASE": ""})
    assert done.status == 0, done.err
    assert "dev" in done.out


def test_empty_default_is_not_listed(desk: Desk) -> None:
    desk.write("[default]\n\n[profile dev]\nregion = x\n")
    assert desk.vault("list", "--profiles").out == "dev\n"


@pytest.mark.parametrize(
    ("answer", "gone"), [("y", True), ("YES", True), ("", False), ("no", False)]
)
def test_remove_asks_as_aws_vault_does(desk: Desk, answer: str, gone: bool) -> None:
    desk.user()
    question = 'Delete credentials for profile "dev"? (y|N) '
    done = at_terminal(desk, ["aws-vault", "remove", "dev"], [(question, answer)])
    assert done.status == 0, done.err
    assert done.out == ("Deleted credentials.\n" if gone else "")
    assert (known(desk)["keys"] == []) is gone


def test_remove_without_a_terminal_wants_to_be_forced(desk: Desk) -> None:
    desk.user()
    done = desk.privy("rm", "dev")
    assert done.status == 2
    assert "--force" in done.err
    assert desk.privy("rm", "dev", "-f").out == "Deleted credentials.\n"
    assert desk.privy("rm", "dev", "-f").status == 3


def test_remove_asks_nothing_about_a_key_that_is_not_there(desk: Desk) -> None:
    done = desk.privy("remove", "dve")
    assert (done.status, "there is no key named 'dve'" in done.err) == (3, True)


def test_store_that_there_is_none_of_is_answered_with_all_that_there_are(desk: Desk) -> None:
    done = desk.privy("list", "--backend", "none")
    assert done.status == 2
    assert "choose keeper, keychain, " in done.err


def test_remove_of_sessions_alone_leaves_the_key(desk: Desk) -> None:
    desk.user()
    desk.privy("exec", "dev", "--", "true")
    assert desk.vault("rm", "-s", "dev").out == "Deleted 1 sessions.\n"
    assert len(known(desk)["keys"]) == 1


def test_clear_forgets_the_sessions_of_one_or_of_all(desk: Desk) -> None:
    for name in ("dev", "ops"):
        desk.user(name)
        assert desk.privy("exec", name, "--", "true").status == 0
    assert desk.vault("clear", "dev").out == "Cleared 1 sessions.\n"
    assert desk.vault("clear").out == "Cleared 1 sessions.\n"
    assert desk.vault("clear").out == "Cleared 0 sessions.\n"


def test_clear_knows_keys_without_a_profile_and_sso_sessions(desk: Desk) -> None:
    desk.keep("lone", desk.aws.people.add_user("lone").key)
    desk.section(
        "sso-session corp", sso_start_url="https://x.awsapps.com/start", sso_region="a-b-1"
    )
    for name in ("lone", "corp"):
        assert desk.privy("clear", name).out == "Cleared 0 sessions.\n"
    done = desk.privy("clear", "corq")
    assert (done.status, done.out) == (3, "")
    assert "did you mean 'corp'?" in done.err


def test_passphrase_of_a_new_store_is_asked_for_twice_and_later_once(desk: Desk) -> None:
    key = desk.aws.people.add_user("dev").key
    env = {"AWS_VAULT_FILE_PASSPHRASE": "", "AWS_ENDPOINT_URL": desk.aws.url, "AWS_REGION": "x"}
    asked = f'Enter passphrase to unlock "{desk.folder}/keys": '
    typed = [(ID, key.access_key_id), (SECRET, key.secret_access_key), (DEVICE, "")]
    done = at_terminal(
        desk,
        ["aws-vault", "add", "dev"],
        [*typed, (asked, "correct horse"), ("Once more: ", "correct horse")],
        env=env,
    )
    assert done.status == 0, done.err
    assert "correct horse" not in done.err
    again = at_terminal(
        desk, ["aws-vault", "export", "-n", "dev"], [(asked, "correct horse")], env=env
    )
    assert key.secret_access_key in again.out, again.err
    wrong = at_terminal(desk, ["aws-vault", "export", "-n", "dev"], [(asked, "horse")], env=env)
    assert wrong.status == 1
    assert "passphrase" in wrong.err


def test_passphrase_that_is_too_short_is_refused_where_it_is_chosen(desk: Desk) -> None:
    key = desk.aws.people.add_user("dev").key
    env = {"AWS_VAULT_FILE_PASSPHRASE": "", "AWS_ENDPOINT_URL": desk.aws.url, "AWS_REGION": "x"}
    typed = [(ID, key.access_key_id), (SECRET, key.secret_access_key), (DEVICE, "")]
    argv = ["aws-vault", "add", "dev"]
    done = at_terminal(desk, argv, [*typed, ("Enter passphrase", "short")], env=env)
    assert done.status == 1
    assert not (desk.folder / "keys").exists()


def test_text_that_is_not_utf8_is_told_wherever_it_comes_from(desk: Desk) -> None:
    user = desk.user("dev")
    odd = os.fsdecode(b"d\xe9v")
    refusals = [
        (
            desk.privy("sso", "sync", "--start-url", f"https://{odd}", "--sso-region", "x"),
            "privy: this is no text in UTF-8: 'https://d",
        ),
        (
            desk.privy("export", "dev", env={"AWS_CA_BUNDLE": odd}),
            "privy: this is no text in UTF-8",
        ),
        (
            desk.privy("add", "--env", "--no-verify", odd, env=variables(desk, user)),
            "cannot be the name of a key",
        ),
    ]
    desk.config.write_bytes(b"[profile dev]\nregion = d\xe9v\n")
    refusals += [(desk.privy("list"), f"no text in UTF-8: '{desk.config}', line 2")]
    for done, said in refusals:
        assert (done.status, done.out) == (2, ""), done.err
        assert said in done.err
        assert len(done.err.splitlines()) == 1


def test_without_a_terminal_the_variable_of_the_passphrase_is_named(desk: Desk) -> None:
    desk.user("dev")
    done = desk.privy("export", "dev", env={"AWS_VAULT_FILE_PASSPHRASE": ""})
    assert (done.status, "or set AWS_VAULT_FILE_PASSPHRASE" in done.err) == (7, True)


def test_key_whose_file_is_empty_is_told_with_the_file_and_what_to_do(desk: Desk) -> None:
    desk.user("dev")
    (desk.folder / "keys" / "dev").write_bytes(b"")
    done = desk.privy("export", "dev")
    first, hint = done.err.splitlines()
    assert (done.status, done.out) == (1, "")
    assert first == f"privy: '{desk.folder}/keys/dev' is damaged: it is empty"
    assert "backup" in hint
