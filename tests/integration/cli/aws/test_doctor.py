"""`privy aws doctor`: what is wrong is found, and nothing that is found is shown."""

import json

import pytest
from tests.integration.cli.aws.desk import Desk

KEY = "AKIAIOSFODNN7EXAMPLE"
SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"


def findings(desk: Desk, *words: str, **env: str) -> dict[str, tuple[str, str]]:
    # The files of a user at home: only there is the whole folder looked through.
    done = desk.privy("doctor", "--json", *words, env={"AWS_ENDPOINT_URL": desk.aws.url, **env})
    assert SECRET not in done.out + done.err
    return {
        found["check"]: (found["state"], f"{found['text']} {found['hint']}")
        for found in json.loads(done.out)
    }


@pytest.fixture(name="desk")
def at_home(desk: Desk) -> Desk:
    folder = desk.folder / ".aws"
    folder.mkdir(mode=0o700)
    desk.config = folder / "config"
    desk.environment["AWS_CONFIG_FILE"] = str(desk.config)
    desk.write("")
    desk.config.chmod(0o600)
    desk.user()
    return desk


def test_all_is_well_with_a_key_in_a_store(desk: Desk) -> None:
    found = findings(desk)

    assert {state for check, (state, _) in found.items() if check != "environment"} == {"ok"}, found
    assert found["store"][1].startswith("1 key with")
    assert found["environment"][0] == "warn"
    assert "gets AWS_VAULT_FILE_PASSPHRASE " in found["environment"][1]


def test_a_keeper_that_does_not_answer_is_told_with_the_way_to_one(desk: Desk) -> None:
    assert findings(desk)["keeper"] == ("ok", "not asked: you chose the store 'file' ")

    state, text = findings(desk, AWS_VAULT_BACKEND="")["keeper"]

    assert (state, text.partition(":")[0]) == ("warn", "none answers here")
    assert text.endswith(" set DBUS_SESSION_BUS_ADDRESS: `privy try` prints the line for that")


def test_a_profile_without_a_region_is_named(desk: Desk) -> None:
    desk.write(desk.config.read_text().replace("region = eu-west-1", ""))
    state, text = findings(desk)["regions"]
    assert state == "warn"
    assert text.startswith("no region for dev: ")
    said = desk.privy("config", "validate")
    assert (said.status, "warning: no region for dev: " in said.out) == (0, True)
    assert findings(desk, AWS_REGION="eu-west-1")["regions"][0] == "ok"


def test_a_source_without_a_region_is_named_since_commands_run_with_its_own_key(
    desk: Desk,
) -> None:
    desk.write(
        "[profile dev]\n[profile deploy]\nsource_profile = dev\nregion = eu-west-1\n"
        "role_arn = arn:aws:iam::123456789012:role/deploy\n"
    )
    assert findings(desk)["regions"][1].startswith("no region for dev: ")
    assert "warning: no region for dev: " in desk.privy("config", "validate").out


def test_where_there_is_no_profile_none_is_said_to_have_a_region(desk: Desk) -> None:
    desk.config.unlink()
    state, text = findings(desk)["regions"]
    assert (state, text.startswith("there is no profile")) == ("ok", True)


def test_plain_keys_are_found_wherever_they_lie_beside_the_configuration(desk: Desk) -> None:
    folder = desk.config.parent
    leak = folder / "notes.txt"
    leak.write_text(f"key {KEY} secret {SECRET}")
    state, text = findings(desk)["plain keys"]
    assert (state, "notes.txt" in text, KEY in text) == ("warn", True, False)
    leak.unlink()

    (folder / "sso" / "cache").mkdir(parents=True)
    (folder / "sso" / "cache" / "1.json").write_text(f'{{"accessToken": "{SECRET}"}}')
    assert "1.json" in findings(desk)["plain keys"][1]

    (folder / "credentials").write_text(
        f"[dev]\naws_access_key_id = {KEY}\naws_secret_access_key = {SECRET}\n"
    )
    text = findings(desk)["plain keys"][1]
    assert text.startswith(f"a long-lived key …{KEY[-4:]} in [dev] lies as plain text in {folder}")
    assert "and 1 more file" in text


def test_files_that_others_can_read_or_change_are_named(desk: Desk) -> None:
    credentials = desk.config.parent / "credentials"
    credentials.write_text("")
    credentials.chmod(0o644)
    assert findings(desk)["permissions"][0] == "FAIL"
    credentials.chmod(0o600)

    desk.config.chmod(0o666)
    state, text = findings(desk)["permissions"]
    assert (state, "others can change it" in text) == ("FAIL", True)
    desk.config.chmod(0o600)

    key = desk.folder / "keys" / "dev"
    key.chmod(0o644)
    state, text = findings(desk)["permissions"]
    assert (state, f"others can read the keys in it: {key}" in text) == ("FAIL", True)
    key.chmod(0o600)
    key.parent.chmod(0o777)
    state, text = findings(desk)["permissions"]
    assert (state, f"runs as you: {key.parent}" in text) == ("FAIL", True)


def test_a_clock_that_goes_wrong_is_told(desk: Desk) -> None:
    assert findings(desk)["clock"][0] == "ok"
    assert findings(desk, AWS_ENDPOINT_URL="http://127.0.0.1:9")["clock"][0] == "warn"
    assert findings(desk, "--offline")["clock"] == ("ok", "not compared: --offline ")


def test_a_configuration_that_nobody_can_read_is_told_with_its_line(desk: Desk) -> None:
    desk.config.write_text("[profile dev\n")

    state, text = findings(desk)["configuration"]

    assert state == "FAIL"
    assert "line 1" in text


def test_a_package_that_is_not_installed_is_named_in_one_line(desk: Desk) -> None:
    (desk.folder / "h11.py").write_text("raise ModuleNotFoundError(name='h11')")
    without = {"PYTHONPATH": str(desk.folder)}

    done = desk.privy("exec", "-s", "dev", "--", "true", env=without)

    assert done.err == (
        "privy: this needs h11, which is not installed\n"
        "  try: install the extra: pip install 'privyseal[aws]'\n"
    )
    assert done.status == 1
