"""`privy aws` where the keeper keeps the keys: a person decides, a lease covers what follows."""

import json
import signal
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.fakes_aws import browser
from tests.fakes_aws.access import Assignment
from tests.fakes_aws.web import AwsError
from tests.integration.aws.aws_house import AwsHouse, aws_house
from tests.integration.rig import Outcome, ended

IDENTITY = ("aws", "sts", "get-caller-identity")
SLOW = {"asyncio", "botocore", "click", "cryptography", "dbus_fast", "msgspec"}
# Says what was loaded at the moment when the process would become the command.
LOADED = """
import os, sys
def tell(*_):
    print(*sorted({name.partition(".")[0] for name in sys.modules}), file=sys.stderr)
    os.write(1, b"\\n")
    sys.stderr.flush()
    end(0)
end = os._exit
os.execve = os._exit = tell
from privyseal.cli.main import main
sys.argv = ["privy", *sys.argv[1:]]
sys.exit(main())
"""


class Shell:
    """A shell of the user in whose house the keeper runs."""

    def __init__(self, world: AwsHouse) -> None:
        self.world = world
        self.config = world.house.folder / "aws-config"
        self.write()
        environment = world.house.environment
        environment["AWS_CONFIG_FILE"] = str(self.config)
        environment["AWS_EC2_METADATA_DISABLED"] = "true"
        environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"

    def write(self, *lines: str) -> None:
        """Write the profile `prod`, with more lines."""
        own = ["[profile prod]", "region = eu-west-1", f"endpoint_url = {self.world.aws.url}"]
        self.config.write_text("\n".join([*own, *lines, ""]))

    async def start(self, *words: str) -> Process:
        return await self.world.house.client("privy", "aws", *words)

    async def granted(self, *words: str, scope: str = "once") -> Outcome:
        """Run a command of ours; a person allows what it asks."""
        process = await self.start(*words)
        await self.world.house.decide(scope=scope)
        return await ended(process)

    async def run(self, *words: str) -> Outcome:
        """Run a command of ours that asks nobody."""
        return await ended(await self.start(*words))


@pytest.fixture
async def shell(tmp_path: Path) -> AsyncIterator[Shell]:
    async with aws_house(tmp_path) as world:
        yield Shell(world)


async def test_a_person_sees_who_wants_what_and_the_command_runs(shell: Shell) -> None:
    process = await shell.start("exec", "prod", "--", *IDENTITY)
    assert process.stderr is not None
    told = await process.stderr.readline()
    approval = await shell.world.house.decide()
    done = await ended(process)

    assert json.loads(done.out)["Arn"] == shell.world.user.arn, done.err
    shown = str(approval)
    assert "get-caller-identity" in shown
    assert "prod" in shown
    assert b"waiting for a decision: " in told
    assert done.err == "privy: it is allowed, and AWS is asked now\n"


async def test_a_denial_is_told_and_runs_nothing(shell: Shell) -> None:
    process = await shell.start("exec", "prod", "--", "echo", "ran")
    await shell.world.house.decide(allow=False)
    done = await ended(process)

    assert (done.status, done.out) == (4, b"")
    assert "it is allowed" not in done.err
    assert shell.world.aws.calls.total() == 0


async def test_an_error_of_aws_comes_with_what_to_do(shell: Shell) -> None:
    shell.world.aws.refuse("GetSessionToken", AwsError(403, "InvalidClientTokenId", "no"))
    done = await shell.granted("export", "prod")
    *_, error, hint = done.err.splitlines()
    assert (done.status, done.out) == (4, b"")
    assert error.startswith("privy: AWS does not know the access key")
    assert hint == (
        "  try: look at the keys of the user in IAM, or give the key anew with `privy aws add`"
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["exec", "prod", "--prompt", "xterm", "--", "true"], "no prompt is called 'xterm'"),
        (["export", "prod", "-t", "1234"], "six digits"),
        (["login", "--path", "https://evil.example", "prod"], "no page of the console"),
    ],
)
async def test_nobody_decides_about_what_cannot_be(
    shell: Shell, words: list[str], said: str
) -> None:
    done = await shell.run(*words)
    assert (done.status, done.out) == (2, b"")
    assert said in done.err
    await shell.world.house.nothing_waits()


async def test_a_locked_store_is_told_with_the_way_to_unlock_it(shell: Shell) -> None:
    locked = await shell.world.house.run("privy", "lock")
    assert locked.status == 0, locked.err

    for words in (["list"], ["exec", "prod", "--", "true"]):
        done = await shell.run(*words)
        assert done.status == 7, done.err
        assert "privy unlock" in done.err


async def test_under_a_lease_nobody_is_asked_and_an_edited_profile_asks_again(
    shell: Shell,
) -> None:
    first = await shell.granted("exec", "prod", "--", *IDENTITY, scope="15m")
    assert first.status == 0, first.err

    second = await shell.run("exec", "prod", "--", *IDENTITY)
    assert (second.out, second.err) == (first.out, "")

    shell.write("mfa_serial = " + shell.world.user.device.serial)  # type: ignore[union-attr]  # it has one
    process = await shell.start("exec", "prod", "-t", code(shell), "--", *IDENTITY)
    await shell.world.house.decide()
    third = await ended(process)
    assert third.out == first.out, third.err


async def test_under_a_lease_no_word_comes_between_a_prompt_and_its_answer(shell: Shell) -> None:
    serial = shell.world.user.device.serial  # type: ignore[union-attr]  # it has one
    shell.write(f"mfa_serial = {serial}", f"mfa_process = sleep 1; echo {code(shell)}")
    script = shell.world.house.folder / "probe"  # a lease is for a program that has a name
    script.write_text("from privyseal.cli.main import main\nmain()\n")
    probe = (sys.executable, str(script), "aws", "exec", "prod", "--", "true")
    process = await shell.world.house.client(*probe)
    assert process.stderr is not None
    assert b"waiting for a decision: " in await process.stderr.readline()
    await shell.world.house.decide(scope="15m")
    assert (await ended(process)).err == "privy: it is allowed, and AWS is asked now\n"
    assert (await shell.granted("clear", "prod")).out == b"Cleared 1 sessions.\n"
    following = shell.world.user.device.code(steps=1)  # type: ignore[union-attr]  # it has one
    shell.write(f"mfa_serial = {serial}", f"mfa_process = sleep 1; echo {following}")

    done = await ended(await shell.world.house.client(*probe))

    assert (done.status, done.err) == (0, "")


def code(shell: Shell) -> str:
    assert shell.world.user.device is not None
    return shell.world.user.device.code()


@pytest.mark.parametrize("words", [["exec", "prod", "--", "true"], ["credential-process", "prod"]])
async def test_what_is_cached_and_leased_loads_nothing_slow(shell: Shell, words: list[str]) -> None:
    first = await shell.granted("exec", "prod", "--", "true")
    assert first.status == 0, first.err
    script = shell.world.house.folder / "probe"  # a lease is for a program that has a name
    script.write_text(LOADED)
    probe = (sys.executable, str(script), "aws", *words)
    process = await shell.world.house.client(*probe)
    await shell.world.house.decide(scope="15m")
    await ended(process)

    done = await ended(await shell.world.house.client(*probe))

    loaded = set(done.err.split())
    assert "privyseal" in loaded, done.err
    assert loaded & SLOW == set()


async def test_ctrl_c_withdraws_the_request(shell: Shell) -> None:
    process = await shell.start("exec", "prod", "--", "true")
    await shell.world.house.waiting()

    process.send_signal(signal.SIGINT)
    done = await ended(process)
    await shell.world.house.nothing_waits()

    assert done.status == 130
    assert "Traceback" not in done.err


async def test_a_session_of_a_role_asks_for_the_code_of_the_device(shell: Shell) -> None:
    role = shell.world.aws.people.add_role("deploy", mfa=True)
    serial = shell.world.user.device.serial  # type: ignore[union-attr]  # it has one
    shell.write(f"role_arn = {role.arn}", f"mfa_serial = {serial}")

    done = await shell.granted("exec", "prod", "-t", code(shell), "--", *IDENTITY)

    assert ":assumed-role/deploy/" in json.loads(done.out)["Arn"], done.err


async def test_mfa_process_computes_the_code_here_and_not_with_the_keeper(shell: Shell) -> None:
    serial = shell.world.user.device.serial  # type: ignore[union-attr]  # it has one
    shell.write(f"mfa_serial = {serial}", f"mfa_process = echo {code(shell)}")

    done = await shell.granted("exec", "prod", "--", *IDENTITY)

    assert json.loads(done.out)["Arn"] == shell.world.user.arn, done.err


async def test_nobody_is_told_to_decide_what_is_allowed_already(shell: Shell) -> None:
    serial = shell.world.user.device.serial  # type: ignore[union-attr]  # it has one
    shell.write(f"mfa_serial = {serial}", f"mfa_process = sleep 1; echo {code(shell)}")

    done = await shell.granted("exec", "prod", "--", "true")

    # She may have been quicker than the line that tells her to decide.
    waiting, *after = done.err.splitlines() or [""]
    assert (done.status, waiting[:30]) in {(0, ""), (0, "privy: waiting for a decision:")}
    assert after == (["privy: it is allowed, and AWS is asked now"] if waiting else [])


async def test_a_key_that_the_keeper_has_no_more_is_looked_for_anew(shell: Shell) -> None:
    first = await shell.granted("exec", "prod", "--", "true", scope="15m")
    assert first.status == 0, first.err
    plans = list((shell.world.house.folder / "privyseal" / "aws-plans").iterdir())
    assert len(plans) == 1
    text = plans[0].read_text().replace('"name": "prod"', '"name": "gone"')
    plans[0].write_text(text)

    process = await shell.start("exec", "prod", "--", *IDENTITY)
    await shell.world.house.decide()
    done = await ended(process)

    assert json.loads(done.out)["Arn"] == shell.world.user.arn, done.err


async def test_what_begins_outside_asks_no_keeper(shell: Shell) -> None:
    user = shell.world.aws.people.add_user("elsewhere")
    key = user.key
    document = {
        "Version": 1,
        "AccessKeyId": key.access_key_id,
        "SecretAccessKey": key.secret_access_key,
    }
    script = shell.world.house.folder / "document"
    script.write_text(json.dumps(document))
    text = shell.config.read_text()
    shell.config.write_text(
        f"{text}\n[profile other]\nregion = eu-west-1\nendpoint_url = {shell.world.aws.url}\n"
        f"credential_process = cat {script}\n"
    )

    done = await shell.run("exec", "other", "--", *IDENTITY)

    assert json.loads(done.out)["Arn"] == user.arn, done.err


async def test_a_store_that_is_named_is_opened_and_the_keeper_left_alone(shell: Shell) -> None:
    done = await shell.run("exec", "--backend=file", "prod", "--", "true")

    assert "credentials missing" in done.err
    assert await shell.world.house.person.pending() == []


async def test_what_the_keeper_keeps_is_listed_without_asking_anybody(shell: Shell) -> None:
    first = await shell.granted("exec", "prod", "--", "true")
    assert first.status == 0, first.err

    listed = json.loads((await shell.run("list", "--json")).out)
    doctor = await shell.run("doctor", "--offline")

    assert "prod" in str(listed)
    assert shell.world.user.key.secret_access_key not in str(listed)
    assert b"1 key with the keeper" in doctor.out
    assert b"keeper         it answers" in doctor.out


@pytest.fixture
def portal(shell: Shell) -> Shell:
    start = "https://example.awsapps.com/start"
    shell.world.aws.access.add_portal(
        Assignment("111122223333", "Sandbox", "admin"), start_url=start
    )
    shell.world.house.environment |= {
        "BROWSER": f"{sys.executable} {browser.__file__}",
        "AWS_ENDPOINT_URL": shell.world.aws.url,
    }
    shell.config.write_text(
        f"[sso-session corp]\nsso_start_url = {start}\nsso_region = eu-central-1\n\n"
        "[profile box]\nsso_session = corp\nsso_account_id = 111122223333\n"
        "sso_role_name = admin\nregion = eu-west-1\n"
    )
    return shell


async def test_the_browser_of_the_person_signs_in_for_the_broker(portal: Shell) -> None:
    done = await portal.granted("exec", "box", "--", *IDENTITY, scope="15m")
    assert "AWSReservedSSO_admin" in json.loads(done.out)["Arn"], done.err

    again = await portal.run("exec", "box", "--", *IDENTITY)
    assert again.out == done.out, again.err
    assert portal.world.aws.calls["authorize"] == 1


async def test_a_portal_is_listed_and_left_with_a_person_s_leave(portal: Shell) -> None:
    listed = await portal.granted("sso", "list", "--json")
    assert "Sandbox" in listed.out.decode(), listed.err

    left = await portal.granted("logout")
    assert left.status == 0, left.err
    assert portal.world.aws.calls["Logout"] == 1


async def test_the_console_is_opened_with_a_link_that_the_keeper_gives(portal: Shell) -> None:
    signin = {"AWS_ENDPOINT_URL_SIGNIN": portal.world.aws.url}
    portal.world.house.environment |= signin
    # With --stdout no browser opens, for a portal either: she signs in beforehand.
    assert (await portal.granted("sso", "login")).status == 0

    done = await portal.granted("login", "--stdout", "box")

    assert b"SigninToken" in done.out, done.err


async def test_a_lease_covers_what_the_tools_of_a_command_ask_by_credential_process(
    shell: Shell,
) -> None:
    words = (
        "exec",
        "--profile-env",
        "prod",
        "--",
        "sh",
        "-c",
        "aws sts get-caller-identity; $0",
    )
    again = " ".join(IDENTITY)

    done = await shell.granted(*words, again, scope="15m")

    assert done.out.count(shell.world.user.arn.encode()) == 2, done.err
    assert b"AWS_SECRET" not in done.out
