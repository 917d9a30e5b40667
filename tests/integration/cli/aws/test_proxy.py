"""`privy aws proxy` on a machine with and without a proxy that aws-vault left behind."""

import subprocess
import sys

import pytest
from tests.waiting import PATIENCE

from privyseal.cli.aws.proxy import run

OLD_PROXY = """
import http.server, os, signal, subprocess
class Proxy(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/stop":
            subprocess.run(["ip", "addr", "del", "169.254.169.254/24", "dev", "lo"], check=True)
            os._exit(0)
    def log_message(self, *_):
        pass
server = http.server.HTTPServer(("169.254.169.254", 80), Proxy)
if os.fork() == 0:
    signal.alarm(20)
    for fd in (1, 2):
        os.dup2(os.open(os.devnull, os.O_RDWR), fd)
    server.serve_forever()
"""
PRIVY = """
import sys
from privyseal.cli.aws.proxy import run
from privyseal.cli.report import complain
from privyseal.errors import PrivysealError
try:
    sys.exit(run({"stop": sys.argv[1] == "stop"}))
except PrivysealError as error:
    sys.exit(complain(error))
"""
ALIAS = "ip link set lo up; ip addr add 169.254.169.254/24 dev lo label lo:0; "
PROXY = f'"{sys.executable}" -c "$1"; '
ASK = f'exec "{sys.executable}" -c "$2" "$3"'


def on_another_machine(script: str, word: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a network in which the test is root."""
    return subprocess.run(
        ["unshare", "-Urn", "sh", "-c", script + ASK, "-", OLD_PROXY, PRIVY, word],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


@pytest.mark.parametrize("stop", [False, True])
def test_where_no_proxy_was_nothing_is_changed(
    capsys: pytest.CaptureFixture[str], *, stop: bool
) -> None:
    assert run({"stop": stop}) == 0
    assert "no proxy runs" in capsys.readouterr().err


def test_an_old_proxy_is_named_and_how_to_end_it() -> None:
    done = on_another_machine(ALIAS, "say")

    assert done.returncode == 0
    assert "try: privy aws proxy --stop" in done.stderr


def test_an_old_proxy_is_ended() -> None:
    done = on_another_machine(ALIAS + PROXY, "stop")

    assert (done.returncode, done.stderr) == (0, "privy: the proxy has ended\n")


def test_an_address_whose_proxy_was_killed_is_left_to_root() -> None:
    done = on_another_machine(ALIAS, "stop")

    assert done.returncode == 1
    assert "take it off: sudo ip addr del" in done.stderr
