"""The old keyring of a person who gets a companion: moved whole, deleted only when verified."""

import base64
import contextlib
import json
from collections.abc import Iterator
from typing import Final, NamedTuple

from tests.vm.desk import Desk
from tests.vm.machine import Process
from tests.vm.registry import check

MANY: Final = 12
OLD_PASSPHRASE: Final = "an old one"
BINARY: Final = b"a\0\xff\n\x1b[2Jb"
HOSTILE: Final = "../x \u202egnp\x1b[2J"

_LOGIN: Final = 2
_VT: Final = 10
_FILES: Final = "/home/carol/.local/share/keyrings"
# A second collection, in gnome-keyring's format for one without a passphrase.
_WORK: Final = """\
[keyring]
display-name=Work
ctime=1700000000
mtime=1700000000
lock-on-idle=false
lock-after=false

[1]
item-type=0
display-name=Build token
secret=from the build server
ctime=1700000000
mtime=1700000000

[1:attribute0]
name=service
type=string
value=ci
"""


class Import(NamedTuple):
    """What one run said."""

    status: int
    counts: dict[str, int]
    outcomes: dict[str, str]


@contextlib.contextmanager
def _keyring(desk: Desk) -> Iterator[Process]:
    """Have carol logged in, without a companion, and with an old keyring; yield its program."""
    vm = desk.vm
    desk.logged_in("carol", vt=_LOGIN)
    vm.succeed("rm -rf ~/.local/share/keyrings; mkdir -p ~/.local/share/keyrings", user="carol")
    vm.write(f"{_FILES}/Work.keyring", _WORK, mode=0o600, owner="carol")
    daemon = vm.start(
        f"printf '{OLD_PASSPHRASE}' | gnome-keyring-daemon --foreground --unlock"
        " --components=secrets",
        user="carol",
    )
    try:
        vm.wait_until_succeeds("secret-tool lookup service ci", user="carol")
        _store(desk, "One", "hunter2", "service one")
        _store(desk, HOSTILE, "hostile", "service hostile")
        _store(desk, "Binary", BINARY, "service binary")
        vm.succeed(
            f"for n in $(seq {MANY}); do"
            ' printf "value %s" $n | secret-tool store --label="Many $n" service many number $n;'
            " done",
            user="carol",
        )
        yield daemon
    finally:
        _killed(daemon)
        vm.run("privy provision --undo --delete-secrets --user carol", seconds=120)
        desk.logged_out("carol")
        vm.succeed(f"rm -rf {_FILES}")
        vm.show(1)


def _store(desk: Desk, label: str, value: str | bytes, attributes: str, *, who: str = "") -> None:
    """Store a secret in the old keyring, or as `who` behind the companion's private bus."""
    data = value.encode() if isinstance(value, str) else value
    desk.vm.write("/tmp/label", label)
    bus = "DBUS_SESSION_BUS_ADDRESS=unix:path=/run/privyseal/1002/bus " if who else ""
    if who:  # what was imported may have no schema, and would not be replaced
        desk.vm.succeed(f"{bus}secret-tool clear {attributes}", user=who)
    desk.vm.succeed(
        f'base64 -d | {bus}secret-tool store --label="$(cat /tmp/label)" {attributes}',
        user=who or "carol",
        stdin=base64.b64encode(data).decode(),
    )


def _killed(process: Process) -> None:
    process.kill()
    process.finish()  # or what is left of it keeps logind from ending the session


def _import(desk: Desk, words: str = "") -> Import:
    said = desk.vm.run(f"privy provision --import --user carol --json {words}", seconds=120)
    assert said.out, said.text
    told = json.loads(said.out)
    return Import(
        said.status, told["counts"], {one["item"]: one["outcome"] for one in told["items"]}
    )


def _moved(desk: Desk) -> int:
    """Return how many items the companion's provider has."""
    listed = (
        "for c in $(busctl --address=unix:path=/run/privyseal/1002/bus get-property"
        " org.freedesktop.secrets /org/freedesktop/secrets org.freedesktop.Secret.Service"
        " Collections | grep -o '/[^\"]*'); do"
        " busctl --address=unix:path=/run/privyseal/1002/bus get-property org.freedesktop.secrets"
        " $c org.freedesktop.Secret.Collection Items; done"
    )
    out = desk.vm.succeed(listed, user="privyseal-1002")
    return sum(int(line.split()[1]) for line in out.splitlines())


@check(
    "A: an old keyring is moved whole and once, also when the import is killed",
    seconds=420,
)
def import_old_keyring(desk: Desk) -> None:
    vm, whole = desk.vm, MANY + 4
    with _keyring(desk) as daemon:
        desk.provisioned("carol", vt=_VT)
        vm.wait_until_succeeds(
            "busctl --address=unix:path=/run/privyseal/1002/bus status org.freedesktop.secrets",
            user="privyseal-1002",
        )
        locked = vm.run("privy provision --import --user carol", seconds=120)
        assert locked.status == 7, locked.text
        assert "Ctrl+Alt+F10" in locked.text, locked.text
        desk.unlocked("carol", login=_LOGIN, vt=_VT)

        # Killed in the middle: nothing old is gone, and it simply runs again.
        slow = "systemctl set-property --runtime privyseal-provider@1002.service CPUQuota="
        vm.succeed(f"{slow}25%")  # or all has moved before we look
        running = vm.start("exec privy provision --import --user carol")
        vm.wait_for(lambda: _moved(desk) >= 3, "the first items moved", seconds=60)
        _killed(running)
        vm.succeed(slow)
        half = _moved(desk)
        assert 3 <= half < whole, f"{half} of {whole} were moved when it was killed"
        again = _import(desk)
        assert again.status == 0, again
        assert set(again.counts) <= {"moved", "there", "replaced"}, again
        assert again.counts["moved"] + again.counts["there"] >= whole - 1, again
        assert _moved(desk) == whole

        once_more = _import(desk)
        assert once_more.counts == {"there": whole}, once_more
        assert _moved(desk) == whole, "the second run made duplicates"

        # An item that is not the same over there keeps every old copy.
        _store(desk, "One", "somebody's newer", "service one", who="privyseal-1002")
        kept = _import(desk, "--delete-old")
        assert (kept.status, kept.outcomes["One"]) == (1, "newer"), kept
        assert vm.succeed("secret-tool lookup service one", user="carol") == "hunter2"
        assert "deleted" not in kept.counts, kept
        _store(desk, "One", "hunter3", "service one")
        gone = _import(desk, "--delete-old")
        assert gone == (0, {"deleted": whole}, dict.fromkeys(gone.outcomes, "deleted")), gone
        assert vm.run("secret-tool search --all service many", user="carol").out == ""

        # The old keyring ends: the companion takes its place, and asks on the console.
        _killed(daemon)
        vm.wait_until_succeeds(
            "busctl --user status org.freedesktop.secrets | grep -q privyseal.agent", user="carol"
        )
        desk.granted("one", "hunter3", user="carol", vt=_VT)
        asked = vm.start(
            "secret-tool lookup service binary >/tmp/binary; base64 -w0 /tmp/binary", user="carol"
        )
        desk.asked("Read a secret", "Binary", vt=_VT)
        desk.allow(vt=_VT)
        assert base64.b64decode(asked.finish().out) == BINARY
        asked = desk.lookup("hostile", user="carol")
        seen = desk.asked("Read a secret", "U+001B", vt=_VT)
        assert "\u202e" not in seen, seen
        desk.allow(vt=_VT)
        assert asked.finish().out == "hostile"
