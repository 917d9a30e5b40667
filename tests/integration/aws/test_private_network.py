"""`exec --imds`: a command in a network of its own, where the metadata service has its address."""

import http.server
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.integration.aws.credential_servers import STRANGER, Source, clean
from tests.waiting import PATIENCE, until

from privyseal.aws.servers import wayout
from privyseal.aws.servers.imds import Offer
from privyseal.aws.servers.private import Network, serve_imds_apart
from privyseal.aws.servers.wayout import WayOut, connected
from privyseal.errors import DeniedError, UsageError

ADDRESS = "169.254.169.254"
BOTOCORE = """
import json, botocore.session
credentials = botocore.session.get_session().get_credentials()
print(json.dumps([credentials.method, credentials.get_frozen_credentials().access_key]))
"""
FETCH = "import sys, urllib.request; print(urllib.request.urlopen(sys.argv[1]).read().decode())"
TUNNEL = """
import http.client, os, sys, urllib.parse
proxy = urllib.parse.urlsplit(os.environ["HTTPS_PROXY"])
connection = http.client.HTTPConnection(proxy.hostname, proxy.port)
host, port = sys.argv[1].split(":")
connection.set_tunnel(host, int(port))
connection.request("GET", "/")
print(connection.getresponse().read().decode())
"""
SERVE = """
import os, sys
sys.path.insert(0, sys.argv[1])
from tests.integration.aws.credential_servers import Source
from privyseal.aws.servers.private import serve_imds_apart
with serve_imds_apart(Source(), {}):
    print(os.getpid(), flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def network() -> Iterator[Network]:
    with serve_imds_apart(Source(), {}, Offer(region="eu-west-1")) as made:
        yield made


@pytest.fixture
def outside() -> Iterator[str]:
    """A web server on the machine's own loopback."""

    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"hello from outside")

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


def start(network: Network, *command: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*network.prefix, *command],
        pass_fds=network.fds,
        env=clean(network.variables),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(network: Network, *command: str) -> tuple[int, str, str]:
    with start(network, *command) as process:
        out, err = process.communicate(timeout=PATIENCE)
    return process.returncode, out, err


def run_python(network: Network, code: str, *arguments: str) -> str:
    status, out, err = run(network, sys.executable, "-c", code, *arguments)
    assert status == 0, err
    return out.strip()


def test_botocore_finds_the_service_at_its_usual_address(network: Network) -> None:
    for name in [name for name in network.variables if name.endswith("ENDPOINT")]:
        assert network.variables.pop(name) == f"http://{ADDRESS}"

    assert json.loads(run_python(network, BOTOCORE)) == ["iam-role", "ASIA1"]


@pytest.mark.usefixtures("network")
def test_the_machine_itself_does_not_get_the_address() -> None:
    with socket.socket() as probe, pytest.raises(OSError, match="Cannot assign"):
        probe.bind((ADDRESS, 0))


def test_two_networks_have_services_of_their_own(network: Network) -> None:
    other = Source()
    other.asked.append("before")
    with serve_imds_apart(other, {}) as second:
        assert json.loads(run_python(second, BOTOCORE))[1] == "ASIA2"
        assert json.loads(run_python(network, BOTOCORE))[1] == "ASIA1"


def test_a_command_keeps_its_user_folder_status_and_signals(
    network: Network, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(network, "sh", "-c", "id -u; pwd; exit 7")[:2] == (
        7,
        f"{os.getuid()}\n{tmp_path}\n",
    )
    with start(network, "sh", "-c", "echo ready; read x") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.terminate()
        assert process.wait(PATIENCE) == -signal.SIGTERM


def test_a_command_that_is_not_there_is_named(network: Network) -> None:
    status, _, err = run(network, "/no/such/command")

    assert (status, err) == (
        127,
        "privy: error: cannot run '/no/such/command': No such file or directory\n",
    )


def test_without_a_program_that_connects_it_says_so_and_relays(
    network: Network, outside: str
) -> None:
    assert "neither pasta nor slirp4netns" in network.notice
    assert "HTTPS_PROXY" in network.notice
    assert run_python(network, FETCH, f"http://{outside}/") == "hello from outside"
    assert run_python(network, TUNNEL, outside) == "hello from outside"


def test_where_nothing_listens_the_relay_says_so(network: Network) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    status, _, err = run(network, sys.executable, "-c", FETCH, f"http://127.0.0.1:{port}/")

    assert status == 1
    assert "502" in err


def test_a_proxy_that_the_user_has_already_is_asked(outside: str) -> None:
    # The stand-in answers every request alike, which a proxy may.
    environment = {"http_proxy": f"http://user:word@{outside}", "no_proxy": "other.example"}
    with serve_imds_apart(Source(), environment) as network:
        assert network.variables["http_proxy"].startswith("http://user:word@127.0.0.1:")
        assert network.variables["no_proxy"] == ADDRESS
        assert run_python(network, FETCH, "http://other.example/") == "hello from outside"


def failing_pasta(folder: Path, complaint: str) -> None:
    pasta = folder / "pasta"
    pasta.write_text(f"#!/bin/sh\n{complaint} >&2\nexit 1\n")
    pasta.chmod(0o755)


def test_a_program_that_fails_to_connect_is_quoted(tmp_path: Path) -> None:
    failing_pasta(tmp_path, "echo 'no tun device'")

    with serve_imds_apart(Source(), {"PATH": str(tmp_path)}) as network:
        assert network.notice.startswith("pasta: no tun device")
        assert "HTTPS_PROXY" in network.variables


def test_a_program_that_complains_at_length_is_cut_short(tmp_path: Path) -> None:
    failing_pasta(tmp_path, "printf '%9000s!' no")

    with serve_imds_apart(Source(), {"PATH": str(tmp_path)}) as network:
        assert network.notice.startswith("pasta: ")
        assert len(network.notice) < 400


def test_connecting_is_given_up_when_who_asked_has_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wayout, "_SECONDS", 600.0)
    way = WayOut("pasta", ("/bin/sleep", "600"), "")
    near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    near.close()
    with apart_from_all_networks() as process, far, connected(way, process, far) as trouble:
        assert trouble == "pasta: it gave no connection"


@contextmanager
def apart_from_all_networks() -> Iterator[int]:
    """Lend a process whose network leads nowhere."""
    words = ["unshare", "-Urn", "sh", "-c", "echo ready; read x"]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process.pid
        process.terminate()


def test_a_proxy_that_is_no_address_is_told_without_its_password() -> None:
    environment = {"https_proxy": "http://user:w0rd@proxy:port"}

    with (
        pytest.raises(UsageError, match="what https_proxy names is no address") as caught,
        serve_imds_apart(Source(), environment),
    ):
        pytest.fail("the child would have started")
    assert "w0rd" not in str(caught.value)


@pytest.mark.skipif(not os.access("/dev/net/tun", os.W_OK), reason="needs /dev/net/tun")
def test_a_connected_network_reaches_outside_without_a_proxy(outside: str, tmp_path: Path) -> None:
    program = shutil.which("slirp4netns")
    assert program is not None, "slirp4netns is missing: scripts/setup.sh dev installs it"
    (tmp_path / "slirp4netns").symlink_to(program)
    with serve_imds_apart(Source(), {"PATH": str(tmp_path)}) as network:
        assert network.notice == ""
        assert "http_proxy" not in network.variables
        # slirp4netns shows the machine's loopback under this address, its name server under .3
        seen = run_python(network, FETCH, f"http://{outside.replace('127.0.0.1', '10.0.2.2')}/")
        names = run(network, "cat", "/etc/resolv.conf")[1]
        credentials = json.loads(run_python(network, BOTOCORE))

    assert seen == "hello from outside"
    assert names.startswith("nameserver 10.0.2.3\n")
    assert credentials == ["iam-role", "ASIA1"]


def test_without_credentials_no_network_is_made() -> None:
    source = Source()
    source.error = DeniedError("a person said no")

    with pytest.raises(DeniedError), serve_imds_apart(source, {}):
        pytest.fail("the child would have started")


def test_a_system_without_private_networks_says_so_in_one_line() -> None:
    # A user namespace whose own users may have none.
    script = 'echo 0 >/proc/sys/user/max_user_namespaces && exec "$@"'
    done = subprocess.run(
        ["unshare", "-Ur", "sh", "-c", script, "-", sys.executable, "-c", SERVE, str(_ROOT)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.stderr.splitlines()[-1].startswith(
        "privyseal.errors.UnsupportedError: this system gives you no private network: unshare: "
    )


@contextmanager
def serving() -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-c", SERVE, str(_ROOT)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process


def test_a_killed_server_leaves_no_process_behind() -> None:
    with serving() as process:
        makers = _children(process.pid)
        inside = [child for maker in makers for child in _children(maker)]
        assert len(makers) == len(inside) == 1
        process.kill()
        until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in makers + inside))


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to be another user")
def test_another_user_cannot_enter_the_network(network: Network) -> None:
    with start(network, "sh", "-c", "echo ready; read x") as process:
        assert process.stdout is not None
        process.stdout.readline()
        code = f"open('/proc/{process.pid}/ns/net')"
        done = subprocess.run(
            ["/usr/bin/python3", "-I", "-c", code],
            user=STRANGER,
            group=STRANGER,
            extra_groups=[],
            capture_output=True,
            text=True,
            check=False,
        )
        process.communicate("go\n", timeout=PATIENCE)

    assert "PermissionError" in done.stderr


_ROOT = Path(__file__).parents[3]


def _children(pid: int) -> list[int]:
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(word) for word in text.split()]
