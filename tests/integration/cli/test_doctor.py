"""`privy doctor` on machines that lack one thing or another."""

import json
import os
from pathlib import Path

import pytest
from tests.fake_decider import FakeDecider
from tests.integration.cli.conftest import Shell

from privyseal.runtime.bus import Call, Connection, Method, Reply


async def findings(shell: Shell, **extra: str) -> tuple[int, dict[str, tuple[str, str]]]:
    run = await shell.privy("doctor", "--json", extra=extra)
    assert run.err == ""
    return run.status, {f["check"]: (f["state"], f["text"]) for f in json.loads(run.out)}


async def test_without_a_bus_every_check_still_answers(shell: Shell) -> None:
    status, found = await findings(shell, DBUS_SESSION_BUS_ADDRESS="unix:path=/nowhere")

    assert status == 1
    assert found["session bus"][0] == "FAIL"
    assert found["keeper"][0] == "FAIL"
    assert found["witness"][0] == "ok"
    assert len(found) == 13


async def test_another_provider_is_named_with_its_program(
    shell: Shell, keeper: FakeDecider
) -> None:
    assert keeper.connection is not None
    await keeper.connection.claim("org.freedesktop.secrets")

    status, found = await findings(shell)

    state, text = found["provider"]
    assert status == 1
    assert state == "FAIL"
    assert os.path.realpath("/proc/self/exe") in text
    assert str(os.getpid()) in text


async def test_an_activation_file_of_another_provider_is_found(shell: Shell) -> None:
    folder = Path(shell.environment["HOME"]) / ".local/share/dbus-1/services"
    folder.mkdir(parents=True)
    other = folder / "other.service"
    other.write_text("[D-BUS Service]\nName=org.freedesktop.secrets\nExec=/opt/other --x\n")

    _, found = await findings(shell)

    assert found["activation"] == (
        "warn",
        f"{other} starts /opt/other when our agent is away",
    )


async def test_a_readable_store_and_a_damaged_log_fail(shell: Shell, keeper: FakeDecider) -> None:
    store = Path(shell.environment["HOME"]) / ".local/share/privyseal/store"
    store.mkdir(parents=True, mode=0o755)
    log = Path(shell.environment["XDG_STATE_HOME"]) / "privyseal/audit"
    log.mkdir(parents=True, mode=0o700)
    log.chmod(0o700)
    (log / "audit-000001.jsonl").write_text("{}\n")

    _, found = await findings(shell)

    assert found["store"] == ("FAIL", f"others may use {store}: mode 755")
    assert found["audit folder"][0] == "ok"
    assert found["audit log"][0] == "FAIL"
    assert "audit-000001.jsonl, line 1" in found["audit log"][1]


async def test_a_notification_server_is_asked_for_its_name(
    shell: Shell, connection: Connection
) -> None:
    async def information(call: Call) -> Reply:
        return Reply(["dunst", "knopwob", "1.9", "1.2"])

    name = "org.freedesktop.Notifications"
    connection.serve({(name, "GetServerInformation"): Method("", "ssss", information)})
    await connection.claim(name)

    _, found = await findings(shell)

    assert found["notifications"] == ("ok", "dunst 1.9")


@pytest.mark.parametrize("setting", ["nonsense", "PRIVYSEAL_NOTHING"])
async def test_a_wrong_configuration_fails(shell: Shell, setting: str) -> None:
    extra = {"PRIVYSEAL_NOTHING" if setting != "nonsense" else "PRIVYSEAL_BACKEND": setting}

    status, found = await findings(shell, **extra)

    assert status == 1
    assert found["configuration"][0] == "FAIL"


async def test_the_table_gives_a_hint_below_what_is_not_well(shell: Shell) -> None:
    run = await shell.privy("doctor")

    assert run.status == 1
    lines = run.out.splitlines()
    place = lines.index("FAIL  keeper         the keeper does not run")
    assert lines[place + 1] == " " * 21 + "try: start it with `privy try`"
