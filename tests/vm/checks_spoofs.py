"""Programs that pretend to be another: shown as what they are, or refused; with and without witness."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from tests.vm.checks_flood import attacker
from tests.vm.desk import Desk
from tests.vm.machine import Process
from tests.vm.registry import check

_SERVICE: Final = "spoofed.example"
_LOOKUP: Final = f"secret-tool lookup service {_SERVICE}"
_BORROWED: Final = (
    # A copy of the system's secret-tool, so that it works, but is another file of her own.
    "cp /usr/bin/secret-tool /home/alice/tool"
)
_MOUNTED: Final = (
    "exec unshare -rm sh -c 'mount --bind /home/alice/tool /usr/bin/secret-tool;"
    f" exec /usr/bin/{_LOOKUP}'"
)
_FROM_MEMORY: Final = (
    'exec python3 -c \'import os; m = os.memfd_create("secret-tool", 0);'
    ' os.write(m, open("/usr/bin/secret-tool", "rb").read());'
    f' os.execv(f"/proc/self/fd/{{m}}", "{_LOOKUP}".split())\''
)
_DELETED: Final = (
    "cp /usr/bin/secret-tool /home/alice/gone; exec 3</home/alice/gone; rm /home/alice/gone;"
    f" exec /proc/self/fd/3 lookup service {_SERVICE}"
)


def _ready(desk: Desk) -> None:
    desk.unlocked()
    attacker(desk)
    desk.vm.show(8)
    desk.vm.press("esc")
    if desk.vm.run("test -e /run/spoofed").status:
        desk.stored("never-to-a-spoof", service=_SERVICE, label="Spoofed for")
        desk.vm.succeed("touch /run/spoofed")
        desk.vm.succeed(_BORROWED, user="alice")


@contextmanager
def _asking(desk: Desk, command: str) -> Iterator[tuple[Process, str]]:
    """Let alice's program ask; yield it and all that the console says of it."""
    asking = desk.vm.start(command, user="alice")
    try:
        yield asking, _pages(desk)
    finally:
        asking.kill()
        desk.vm.run("pkill -9 -u alice -x secret-tool")  # which may have left its session
        desk.vm.wait_for(
            lambda: " 0 waiting" in desk.head(), "the request of a dead program gone", seconds=30
        )


def _pages(desk: Desk) -> str:
    """Return everything that is shown of the request, page by page."""
    pages = [desk.asked("Read a secret", "Spoofed for")]
    while "more lines: space" in pages[-1] and len(pages) < 10:
        desk.vm.type(" ", vt=8)
        before = pages[-1]
        desk.vm.wait_for(lambda: desk.vm.screen(8) != before, "the next page")  # noqa: B023
        pages.append(desk.vm.screen(8))
    # Joined without the frame, so that a value that goes over lines can be found.
    rows = [row.split("│") for page in pages for row in page.splitlines()]
    return "\n".join(" ".join(part.strip() for part in row[2:] if part.strip()) for row in rows)


@check("7: an honest secret-tool is verified, and nothing warns", seconds=240)
def honest_program(desk: Desk) -> None:
    _ready(desk)
    with _asking(desk, _LOOKUP) as (_, seen):
        assert "= program /usr/bin/secret-tool" in seen, seen
        assert "! " not in seen.replace("! warning", ""), f"an honest program is warned of:\n{seen}"
    desk.granted(_SERVICE, "never-to-a-spoof")


@check(
    "7: another file mounted over /usr/bin/secret-tool in a user namespace is not taken for it",
    seconds=240,
)
def mounted_over(desk: Desk) -> None:
    _ready(desk)
    with _asking(desk, _MOUNTED) as (_, seen):
        assert "= program /usr/bin" not in seen, f"the spoof is verified:\n{seen}"
        assert "! program" in seen, f"no warning:\n{seen}"
        assert "other files" in seen.replace("\n", " "), seen
        desk.vm.picture("spoof-by-mount")


@check(
    "7: a program that runs from memory is not taken for the file it was copied from", seconds=240
)
def from_memory(desk: Desk) -> None:
    _ready(desk)
    with _asking(desk, _FROM_MEMORY) as (_, seen):
        assert "= program /usr/bin" not in seen, f"the spoof is verified:\n{seen}"
        assert "! program" in seen, f"no warning:\n{seen}"


@check("7: a program whose file was deleted is warned of", seconds=240)
def deleted_file(desk: Desk) -> None:
    _ready(desk)
    with _asking(desk, _DELETED) as (_, seen):
        assert "! program" in seen, f"no warning:\n{seen}"
        assert "= program /" not in seen, f"its path is verified:\n{seen}"


@check("7: a requester that exits takes its request along", seconds=240)
def requester_exits(desk: Desk) -> None:
    _ready(desk)
    asking = desk.lookup(_SERVICE)
    desk.asked("Read a secret", "Spoofed for")
    letters = desk.pair()
    asking.kill()
    desk.vm.shows(8, "has left")
    desk.vm.type(letters, vt=8)
    assert " 0 waiting" in desk.head()
    assert "yes" not in desk.vm.screen(8).split("Recent")[0], "the dead program was allowed"
    desk.granted(_SERVICE, "never-to-a-spoof")


_EXECS: Final = (
    # It asks as itself on a connection that outlives execve, and is another program by the decision.
    "cat >/home/alice/execs.py <<'E'\n"
    "import os, sys, asyncio, threading, time\n"
    "sys.argv[1:] = ['read', 'spoofed.example']\n"
    "import socket\n"
    "real = socket.socket.connect\n"
    "def connect(self, address):\n"
    "    real(self, address); os.set_inheritable(self.fileno(), True)\n"
    "socket.socket.connect = connect\n"
    "def later():\n"
    "    while not os.path.exists('/home/alice/now'): time.sleep(0.1)\n"
    "    os.execv('/bin/sleep', ['sleep', '1000'])\n"
    "threading.Thread(target=later, daemon=True).start()\n"
    "exec(open('/opt/attacker.py').read())\n"
    "E\n"
    "rm -f /home/alice/now; exec /opt/privyseal/bin/python3 -I /home/alice/execs.py"
)


def _exec_before_the_decision(desk: Desk) -> None:
    asking = desk.vm.start(_EXECS, user="alice")
    try:
        desk.asked("Read a secret", "Spoofed for")
        letters = desk.pair()
        desk.vm.succeed("touch /home/alice/now; sleep 1", user="alice")
        desk.vm.wait_until_succeeds("pgrep -u alice -x sleep")
        desk.vm.type(letters, vt=8)
        desk.vm.wait_for(
            lambda: any(
                text in desk.vm.screen(8)
                for text in (
                    "another program",
                    "another  program",
                    "changed",
                    "renamed",
                    "has left",
                )
            ),
            "the console tells of the other program",
        )
        seen = desk.vm.screen(8)
        assert "Allowed" not in seen, f"the other program was allowed:\n{seen}"
    finally:
        asking.kill()
        desk.vm.run("rm -f /home/alice/now; pkill -u alice -x sleep", user="alice")
    assert "never-to-a-spoof" not in asking.output().text


@check("7: a requester that executes another program before the decision gets nothing", seconds=240)
def requester_execs(desk: Desk) -> None:
    _ready(desk)
    _exec_before_the_decision(desk)
    desk.granted(_SERVICE, "never-to-a-spoof")


@check("7: a PID used again: the new process is not taken for the one that asked", seconds=300)
def pid_used_again(desk: Desk) -> None:
    _ready(desk)
    asking = desk.lookup(_SERVICE)
    desk.asked("Read a secret", "Spoofed for")
    pid = int(desk.vm.succeed("pgrep -u alice -x secret-tool"))
    letters = desk.pair()
    # Root gives the number away again, which alice could do only by starting 32,768 processes.
    asking.kill()
    desk.vm.succeed(
        f"for i in $(seq 50); do echo {pid - 1} >/proc/sys/kernel/ns_last_pid;"
        " setpriv --reuid=alice --clear-groups sleep 1000 >/dev/null 2>&1 </dev/null &"
        f" [ $! = {pid} ] && break; kill $!; done; [ $! = {pid} ]"
    )
    try:
        desk.vm.type(letters, vt=8)
        desk.vm.shows(8, "has left")
        assert " 0 waiting" in desk.head(), desk.vm.screen(8)
    finally:
        desk.vm.run("pkill -u alice -x sleep")
    assert asking.output().out == ""
    desk.granted(_SERVICE, "never-to-a-spoof")


@check(
    "7: without the witness the console says so, and still verifies no wrong program", seconds=400
)
def without_the_witness(desk: Desk) -> None:
    _ready(desk)
    desk.vm.succeed("systemctl stop privyseal-witness@1000.socket privyseal-witness@1000.service")
    try:
        for spoof in (_LOOKUP, _MOUNTED, _FROM_MEMORY):
            with _asking(desk, spoof) as (_, seen):
                assert "! no witness" in seen, f"no warning that nobody verifies:\n{seen}"
                assert "= program" not in seen, f"a program is verified by nobody:\n{seen}"
        desk.vm.picture("no-witness")
        _exec_before_the_decision(desk)
    finally:
        desk.vm.succeed("systemctl start privyseal-witness@1000.socket")
    desk.granted(_SERVICE, "never-to-a-spoof")


@check(
    "13: parents are laundered by setsid, by a double fork, by systemd-run: it is seen", seconds=300
)
def laundered_ancestry(desk: Desk) -> None:
    _ready(desk)
    with _asking(desk, f"exec setsid {_LOOKUP}") as (_, seen):
        assert "new session" in seen.replace("\n", " "), f"setsid leaves no trace:\n{seen}"
    with _asking(desk, f"(setsid {_LOOKUP} &) ; exec sleep 100") as (_, seen):
        assert "adopted" in seen or "broken chain" in seen, f"no sign of the broken chain:\n{seen}"
    run = f"exec systemd-run --user --wait --collect --unit=privyseal-agent@1000 {_LOOKUP}"
    with _asking(desk, run) as (_, seen):
        assert "? unit" in seen, f"the unit's name is taken for the system's:\n{seen}"
        assert "privyseal-agent@1000" in seen.replace("\n", "").replace(" ", ""), seen
        desk.vm.run("systemctl --user stop privyseal-agent@1000", user="alice")
    desk.granted(_SERVICE, "never-to-a-spoof")


@check(
    "13: relabelling an item, changing its attributes or deleting it asks, and says what becomes",
    seconds=300,
)
def laundered_metadata(desk: Desk) -> None:
    _ready(desk)
    item = desk.vm.succeed(
        "busctl --user call org.freedesktop.secrets /org/freedesktop/secrets"
        f" org.freedesktop.Secret.Service SearchItems 'a{{ss}}' 1 service {_SERVICE}",
        user="alice",
    ).split('"')[1]
    call = (
        f"busctl --user --timeout=200 %s org.freedesktop.secrets {item} org.freedesktop.Secret.Item"
    )
    for command, title, told in (
        (call % "set-property" + " Label s Harmless", "label becomes", "Harmless"),
        (
            call % "set-property" + " Attributes 'a{ss}' 1 service harmless.example",
            "becomes",
            "harmless.example",
        ),
    ):
        asked = desk.vm.start(command, user="alice")
        seen = desk.asked("Spoofed for", "becomes")
        assert title in " ".join(seen.split()), f"what it becomes is not told:\n{seen}"
        assert told in seen, seen
        desk.deny()
        done = asked.finish()
        assert done.status, f"it was changed although denied: {done}"
    # One that calls Delete and leaves is taken at its word: this one waits for the answer.
    deleting = desk.vm.start(f"secret-tool clear service {_SERVICE}", user="alice")
    desk.asked("Delete", "Spoofed for")
    desk.deny()
    deleting.kill()
    desk.granted(_SERVICE, "never-to-a-spoof")
