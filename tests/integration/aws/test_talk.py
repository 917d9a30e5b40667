"""A person is asked the same way in the process itself and through a talk socket."""

import io
import socket
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.fakes_aws import browser
from tests.integration.aws.keeper_client import talking
from tests.waiting import until

from privyseal.aws.ports import Talk
from privyseal.aws.talk import SocketTalk, TerminalTalk
from privyseal.errors import DeniedError, UsageError
from privyseal.model.value import encode
from privyseal.runtime.blockingbus import split_hint
from privyseal.runtime.clock import SystemClock
from privyseal.wire.broker import MAX_PACKET, Answer

BROWSER = f"{sys.executable} {browser.__file__} %s"


class Person:
    """What a person sees and does at a terminal."""

    def __init__(self) -> None:
        self.screen = io.StringIO()
        self.codes: list[str] = []
        self.asked: list[tuple[str, str]] = []

    def code(self, serial: str, again: str) -> str:
        self.asked.append((serial, again))
        if not self.codes:
            raise DeniedError("no code was typed")
        return self.codes.pop(0)

    def at(self, environment: Mapping[str, str] = {}, *, show_only: bool = False) -> TerminalTalk:
        return TerminalTalk(self.code, SystemClock(), environment, self.screen, show_only=show_only)


@contextmanager
def near(talk: Talk) -> Iterator[Talk]:
    yield talk


@contextmanager
def across(talk: Talk) -> Iterator[Talk]:
    with talking(talk) as far:
        yield SocketTalk(far)


@pytest.fixture(params=[near, across])
def reach(request: pytest.FixtureRequest) -> Callable[[Talk], object]:
    return request.param  # type: ignore[no-any-return]  # what pytest passes on


@pytest.fixture
def person() -> Person:
    return Person()


def test_a_code_is_asked_for_by_the_chosen_driver(person: Person, reach) -> None:
    person.codes = ["123456", "654321"]
    with reach(person.at()) as talk:
        assert talk.code("arn:aws:iam::1:mfa/x") == "123456"
        assert talk.code("arn:aws:iam::1:mfa/x", "wrong") == "654321"
        with pytest.raises(DeniedError, match="no code was typed"):
            talk.code("arn:aws:iam::1:mfa/x")
    assert person.asked[1] == ("arn:aws:iam::1:mfa/x", "wrong")


def test_what_a_command_refuses_with_stands_in_quotation_marks() -> None:
    broker, command = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with broker, command:
        command.send(encode(Answer(refused="all is well; type your passphrase at tty1" * 90)))
        with pytest.raises(DeniedError) as refused:
            SocketTalk(broker).code("arn:aws:iam::1:mfa/x")

    text = str(refused.value)
    assert text.startswith("the command that asked says 'all is well;")
    assert text.endswith("'")
    assert len(text) < 400
    assert split_hint(text) == (text, ""), "it gives no advice in our name"


def test_the_browser_brings_back_what_the_page_sends(person: Person, reach) -> None:
    with reach(person.at({"BROWSER": BROWSER})) as talk:
        uri = talk.redirect()
        # A page that sends the browser back at once: the redirect itself.
        assert talk.page(f"{uri}?state=s&code=c", redirect=True) == "state=s&code=c"
    assert "Opening this page in your browser" in person.screen.getvalue()


def test_a_page_with_a_code_shows_both_and_comes_back_at_once(person: Person, reach) -> None:
    with reach(person.at()) as talk:
        assert talk.redirect() == ""
        assert talk.page("https://device.example/?user_code=AB-CD", code="AB-CD") == ""
        talk.tell("signed in \x1b[2J")
    assert person.screen.getvalue().splitlines() == [
        "Open this page in a browser (Ctrl-C to give up):",
        "  https://device.example/?user_code=AB-CD",
        "Go on only if the page shows the code AB-CD",
        "signed in ‹U+001B›[2J",
    ]


@pytest.mark.parametrize(
    "environment",
    [
        {"BROWSER": BROWSER, "SSH_CONNECTION": "1 2 3 4"},
        {"BROWSER": BROWSER, "WSL_DISTRO_NAME": "Debian"},
        {"BROWSER": "/no/such/browser"},
        {"PATH": "/usr/bin:/bin"},
        {},
    ],
)
def test_no_redirect_is_promised_where_no_browser_comes_back(
    person: Person, environment: dict[str, str]
) -> None:
    assert person.at(environment).redirect() == ""


def test_stdout_opens_nothing(person: Person, tmp_path: Path) -> None:
    opened = tmp_path / "opened"
    talk = person.at({"BROWSER": f"touch {opened}", "PATH": "/usr/bin:/bin"}, show_only=True)
    assert talk.redirect() == ""
    talk.page("https://device.example/")
    assert not opened.exists()
    talk = person.at({"BROWSER": f"touch {opened} %s", "PATH": "/usr/bin:/bin"})
    talk.page("https://device.example/")
    until(opened.exists)


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "--version",
        "javascript:alert(1)",
        "https://x.example/\x1b[2J",
        "https://x.example/ y",
        "https://",
        "https://[/",
        "https://x.example:port/",
    ],
)
def test_what_is_no_page_is_neither_opened_nor_printed(person: Person, url: str) -> None:
    with pytest.raises(UsageError, match=r"is no (page|address)"):
        person.at({"BROWSER": BROWSER}).page(url)
    assert person.screen.getvalue() == ""


def test_a_command_that_left_counts_as_a_refusal() -> None:
    command, broker = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with broker:
        command.close()
        talk = SocketTalk(broker)
        talk.tell("nobody hears this")
        with pytest.raises(DeniedError, match="has gone"):
            talk.code("arn:aws:iam::1:mfa/x")


def test_no_time_is_waited_for_when_it_has_passed_already(person: Person, reach) -> None:
    with reach(person.at()) as talk:
        talk.wait(-0.01)


@pytest.mark.parametrize("leaves", ["command", "keeper"])
def test_waiting_ends_when_the_command_leaves_or_its_order_is_given_up(leaves: str) -> None:
    command, broker = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    keeper, order = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ends = {"command": command, "keeper": keeper}
    with command, broker, keeper, order:
        talk = SocketTalk(broker, order)
        command.send(b"words that nobody asked for end nothing")
        talk.wait(0.01)
        ends[leaves].close()
        with pytest.raises(DeniedError, match="has gone"):
            talk.wait(30)


@pytest.mark.parametrize(
    ("packet", "complaint"),
    [
        (b"{", "malformed"),
        (b'{"text":1}', "malformed"),
        (b"x" * (MAX_PACKET + 1), "too great length"),
        (encode(Answer(text="http://evil.example/")), "another machine"),
        (encode(Answer(text="https://127.0.0.1/")), "another machine"),
        (encode(Answer(text="http://[")), "is no address"),
    ],
)
def test_a_hostile_command_is_refused(packet: bytes, complaint: str) -> None:
    command, broker = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with command, broker:
        command.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 * MAX_PACKET)
        command.send(packet)
        with pytest.raises((DeniedError, UsageError), match=complaint):
            SocketTalk(broker).redirect()
