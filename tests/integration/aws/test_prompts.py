"""A person is asked for a code: by the programs people have, played by scripts in a folder of ours."""

import ctypes
import os
import pty
import sys
from collections.abc import Callable
from pathlib import Path
from subprocess import PIPE, Popen

import pytest
from tests.fakes import FakeClock

from privyseal.aws.prompts.choice import DRIVERS, NAMES, CodeSource, Driver, choose
from privyseal.aws.prompts.wincredui import wincredui
from privyseal.errors import DeniedError, PrivysealError, UsageError

SERIAL = 'arn:aws:iam::111122223333:mfa/ali"ce'
MESSAGE = f"Enter MFA code for {SERIAL}: "

Program = Callable[[str, str], None]


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    return {"PATH": f"{tmp_path}:/usr/bin:/bin", "DISPLAY": ":1", "SEEN": str(tmp_path / "seen")}


@pytest.fixture
def program(tmp_path: Path) -> Program:
    def write(name: str, script: str) -> None:
        path = tmp_path / name
        path.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > "$SEEN"\n{script}\n')
        path.chmod(0o700)

    return write


def seen(environment: dict[str, str]) -> list[str]:
    return Path(environment["SEEN"]).read_text().splitlines()


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("zenity", ["--entry", "--title", "privy aws", "--text", MESSAGE]),
        ("kdialog", ["--inputbox", MESSAGE, "--title", "privy aws"]),
        ("ykman", ["oath", "accounts", "code", "--single", SERIAL]),
    ],
)
def test_a_program_is_called_as_its_manual_says(
    name: str, words: list[str], program: Program, environment: dict[str, str]
):
    program(name, "echo ' 123456 '")

    assert choose(name, environment, busy=False).load()(MESSAGE, SERIAL, environment) == "123456"
    assert seen(environment) == words


def test_a_serial_number_cannot_break_out_of_the_script_for_macos(
    program: Program, environment: dict[str, str]
):
    program("osascript", "echo 123456")

    choose("osascript", environment, busy=False).load()(MESSAGE, SERIAL, environment)

    *script, message = seen(environment)
    assert message == MESSAGE
    assert not any(SERIAL in line for line in script)


def test_ykman_takes_its_account_device_and_version_from_the_environment(
    program: Program, environment: dict[str, str]
):
    program("ykman", "echo 123456")
    environment |= {
        "YKMAN_OATH_CREDENTIAL_NAME": "aws:me",
        "YKMAN_OATH_DEVICE_SERIAL": "77",
        "AWS_VAULT_YKMAN_VERSION": "3",
    }

    choose("ykman", environment, busy=False).load()(MESSAGE, SERIAL, environment)

    assert seen(environment) == ["--device", "77", "oath", "code", "--single", "aws:me"]


def test_a_cancelled_window_is_a_refusal(program: Program, environment: dict[str, str]):
    program("zenity", "exit 1")

    with pytest.raises(DeniedError, match="no code: zenity ended with status 1"):
        choose("zenity", environment, busy=False).load()(MESSAGE, SERIAL, environment)


PINENTRY = """#!/usr/bin/python3
import sys
print("OK Pleased to meet you", flush=True)
for line in sys.stdin:
    open({seen!r}, "a").write(line)
    if line.startswith("OPTION ttytype"):
        print("ERR 83886254 Unknown option", flush=True)
    elif line.startswith("GETPIN"):
        print({answer!r}, flush=True)
    else:
        print("# a comment\\nOK", flush=True)
"""


@pytest.mark.parametrize("answer", ["S PASSWORD_FROM_CACHE\nD 12%333456\nOK", "D 123456\nOK"])
def test_pinentry_is_asked_in_assuan(answer: str, tmp_path: Path, environment: dict[str, str]):
    path = tmp_path / "pinentry"
    path.write_text(PINENTRY.format(seen=environment["SEEN"], answer=answer))
    path.chmod(0o700)

    ask = choose("pinentry", environment, busy=False).load()

    assert ask("code 100%\nnow", SERIAL, environment | {"TERM": "xterm"}).endswith("3456")
    assert "SETDESC code 100%25%0Anow" in seen(environment)


def test_a_cancelled_pinentry_is_a_refusal(tmp_path: Path, environment: dict[str, str]):
    path = tmp_path / "pinentry"
    cancelled = "ERR 83886179 Operation cancelled <Pinentry>"
    path.write_text(PINENTRY.format(seen=environment["SEEN"], answer=cancelled))
    path.chmod(0o700)

    with pytest.raises(DeniedError, match="pinentry was cancelled"):
        choose("pinentry", environment, busy=False).load()(MESSAGE, SERIAL, environment)


def test_a_pinentry_that_ends_is_no_answer(program: Program, environment: dict[str, str]):
    program("pinentry", "echo OK hello; exit 0")

    with pytest.raises(PrivysealError, match="went away"):
        choose("pinentry", environment, busy=False).load()(MESSAGE, SERIAL, environment)


ON_TERMINAL = """
import os
from privyseal.aws.prompts.terminal import terminal
print(terminal("Code? ", "", os.environ))
"""


def at_terminal(code: str, prompt: bytes, typed: bytes) -> bytes:
    """Run code whose terminal is not its input or output, and answer its prompt there."""
    person, theirs = pty.openpty()

    def take_terminal() -> None:
        os.setsid()
        os.close(os.open(os.ttyname(theirs), os.O_RDWR))

    with Popen(
        [sys.executable, "-c", code],
        env={**os.environ, "LC_ALL": "C.UTF-8"},
        stdin=PIPE,
        stdout=PIPE,
        preexec_fn=take_terminal,  # noqa: PLW1509 - no threads here, and setsid alone takes no terminal
    ) as process:
        assert os.read(person, 100) == prompt
        os.write(person, typed)
        answer = process.communicate()[0]
    os.close(theirs)
    os.close(person)
    return answer


def test_the_terminal_is_asked_though_input_and_output_go_elsewhere():
    assert at_terminal(ON_TERMINAL, b"Code? ", b"123456\n") == b"123456\n"


UNSEEN = """
from privyseal.aws.asking import hidden
from privyseal.errors import UsageError
try:
    print(len(hidden("Word: ")))
except UsageError as error:
    print(error)
"""


def test_a_word_that_is_no_text_is_refused_unquoted():
    assert (
        at_terminal(UNSEEN, b"Word: ", "w\N{LATIN SMALL LETTER O WITH DIAERESIS}rd\n".encode())
        == b"5\n"
    )
    assert at_terminal(UNSEEN, b"Word: ", b"hu\xffsh\n") == (
        b"that is no text in the terminal's encoding\n"
    )


def test_without_a_terminal_there_is_advice():
    with Popen([sys.executable, "-c", ON_TERMINAL], stderr=PIPE, start_new_session=True) as process:
        assert b"there is no terminal to ask for an MFA code" in process.communicate()[1]


def test_the_dialogue_of_windows_gets_the_fields_it_wants():
    def dialogue(words, target, *rest):
        assert words._obj.message == MESSAGE
        assert words._obj.size == ctypes.sizeof(words._obj)
        assert rest[2].value == 'mfa/ali"ce'
        rest[4].value = " 123456"
        return 0

    assert wincredui(MESSAGE, SERIAL, {}, dialogue) == "123456"
    with pytest.raises(DeniedError, match="cancelled"):
        wincredui(MESSAGE, SERIAL, {}, lambda *_: 1223)


def test_a_prompt_that_is_gone_names_what_took_its_place():
    with pytest.raises(UsageError) as caught:
        choose("pass", {}, busy=False)
    assert "mfa_process" in caught.value.hint


def test_an_unknown_prompt_lists_those_there_are():
    with pytest.raises(UsageError, match="'xterm'") as caught:
        choose("xterm", {}, busy=False)
    assert all(name in caught.value.hint for name in NAMES)


def test_a_prompt_that_is_not_installed_says_so():
    with pytest.raises(UsageError, match="needs zenity, which is not installed"):
        choose("zenity", {"PATH": "/nowhere"}, busy=False)


def test_a_window_is_preferred_where_the_terminal_is_busy(
    program: Program, environment: dict[str, str]
):
    program("kdialog", "")
    program("zenity", "")

    assert choose("", environment, busy=True).name == "kdialog"
    assert choose("", {**environment, "DISPLAY": ""}, busy=True).name == "terminal"


def test_every_driver_can_be_loaded():
    assert all(callable(driver.load()) for driver in DRIVERS)


def _nobody() -> Driver:
    raise UsageError("there is nobody to ask")


def test_a_given_code_is_given_once():
    source = CodeSource("123456", "", _nobody, {}, FakeClock())

    assert source.code(SERIAL) == "123456"
    with pytest.raises(DeniedError, match="AWS refused this code, and there is nobody to ask"):
        source.code(SERIAL, "AWS refused this code")


def test_a_command_is_asked_again_when_its_next_code_begins(environment: dict[str, str]):
    clock = FakeClock(1_700_000_010.0)  # ten seconds to the next step
    waited: list[float] = []
    source = CodeSource("", "echo 123456", _nobody, environment, clock, wait=waited.append)

    assert source.code(SERIAL) == "123456"
    assert source.code(SERIAL, "this code has been used") == "123456"
    assert waited == [1_700_000_010.0 // 30 * 30 + 30 - 1_700_000_010.0]


def test_a_yubikey_is_asked_again_when_its_next_code_begins(
    program: Program, environment: dict[str, str]
):
    program("ykman", "echo 123456")
    waited: list[float] = []
    clock = FakeClock(1_700_000_010.0)
    source = CodeSource(
        "",
        "",
        lambda: choose("ykman", environment, busy=False),
        environment,
        clock,
        wait=waited.append,
    )

    source.code(SERIAL)
    source.code(SERIAL, "AWS refused this code")

    assert len(waited) == 1


def test_a_person_is_told_what_was_wrong(program: Program, environment: dict[str, str]):
    program("zenity", "echo 123456")
    source = CodeSource(
        "", "", lambda: choose("zenity", environment, busy=True), environment, FakeClock()
    )

    source.code(SERIAL, "AWS refused this code")

    assert seen(environment)[-1] == f"AWS refused this code. {MESSAGE}"
