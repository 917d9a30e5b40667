"""Other users, root's services and a second companion: nothing crosses."""

from tests.vm.checks_flood import ATTACKER, attacker
from tests.vm.desk import Desk
from tests.vm.registry import check

_KEEPER = "org.privyseal.Keeper1.u1000 /org/privyseal/Keeper1"
_STATUS = f"busctl --system call {_KEEPER} org.privyseal.Request1 Status"
_CALLS = (
    _STATUS,
    f"busctl --system call {_KEEPER} org.privyseal.Request1 Waiting",
    f"busctl --system call {_KEEPER} org.privyseal.Request1 Lock",
    f"busctl --system call {_KEEPER} org.privyseal.Request1 Review",
    f"busctl --system call {_KEEPER} org.privyseal.Request1 Report s trouble",
    f"busctl --system call {_KEEPER} org.privyseal.Decision1 Pending",
    f"busctl --system call {_KEEPER} org.privyseal.Decision1 Lock",
    f"busctl --system call {_KEEPER} org.freedesktop.DBus.Properties GetAll s org.privyseal.Request1",
    f"busctl --system call {_KEEPER} org.freedesktop.DBus.Peer Ping",
)
_GDBUS = "gdbus call --system -d org.privyseal.Keeper1.u1000 -o /org/privyseal/Keeper1 -m"
_OPEN = "/etc/dbus-1/system.d/zz-open.conf"
_OPEN_POLICY = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><policy context="mandatory"><allow send_destination="org.privyseal.Keeper1.u1000"/>
</policy></busconfig>
"""
_PLACES = (
    "/var/lib/privyseal/1000",
    "/run/privyseal/1000",
    "/proc/$(pgrep -u privyseal-1000 -f privyseal.provider)/mem",
    "/proc/$(pgrep -u privyseal-1000 -f privyseal.keeper)/environ",
    "/dev/tty8",
    "/dev/vcs8",
    "/dev/vcsu8",
)


def _bob(desk: Desk) -> None:
    desk.unlocked()
    desk.unlocked("bob", login=2, vt=9)


@check(
    "5: bob and root are refused by the system bus, on every method", seconds=240, every_change=True
)
def strangers_on_the_bus(desk: Desk) -> None:
    desk.unlocked()
    assert '\\"locked\\":false' in desk.vm.succeed(_STATUS, user="alice")
    for user in ("bob", "root"):
        for call in _CALLS:
            tried = desk.vm.run(call, user=user)
            assert tried.status, f"{user} got an answer to {call}: {tried.text}"
            assert "denied" in tried.text.lower(), f"{user}, {call}: {tried.text}"
        claimed = desk.vm.run(
            "busctl --system call org.freedesktop.DBus /org/freedesktop/DBus org.freedesktop.DBus"
            " RequestName su org.privyseal.Keeper1.u1000 7",
            user=user,
        )
        assert claimed.status, f"{user} claimed the name: {claimed.text}"
    assert '\\"locked\\":false' in desk.vm.succeed(_STATUS, user="alice"), "a stranger locked it"
    desk.stored("h0nest-one", service="strangers.example")
    desk.granted("strangers.example", "h0nest-one")


@check(
    "5: bob and root are refused by the keeper itself where the bus would let them",
    seconds=240,
    every_change=True,
)
def strangers_at_the_keeper(desk: Desk) -> None:
    desk.unlocked()
    reload = (
        "busctl call org.freedesktop.DBus /org/freedesktop/DBus org.freedesktop.DBus ReloadConfig"
    )
    desk.vm.write(_OPEN, _OPEN_POLICY)
    desk.vm.succeed(reload)
    try:
        assert '\\"locked\\":false' in desk.vm.succeed(_STATUS, user="alice")
        for user in ("bob", "root"):
            for method in ("Status", "Waiting", "Lock", "Review", "Subscribe", "Report trouble"):
                # busctl puts words of its own in place of what was said of a refusal.
                call = f"{_GDBUS} org.privyseal.Request1.{method}"
                tried = desk.vm.run(call, user=user)
                assert tried.status, f"the keeper answered {user}: {method}: {tried.text}"
                assert "may not talk to the keeper" in tried.text, f"{user}, {method}: {tried.text}"
        deciding = f"busctl --system call {_KEEPER} org.privyseal.Decision1 Pending"
        for user in ("alice", "bob", "root"):
            tried = desk.vm.run(deciding, user=user)
            assert tried.status, f"Decision1 answers {user} on the system bus: {tried.text}"
            assert "no method" in tried.text, f"{user}: {tried.text}"
    finally:
        desk.vm.succeed(f"rm {_OPEN} && {reload}")
    assert desk.vm.run(_STATUS, user="bob").status, "the policy is not what it was"


@check(
    "5: root is no guest of the bus where deciding happens; bob cannot even connect",
    every_change=True,
)
def strangers_on_the_private_bus(desk: Desk) -> None:
    desk.unlocked()
    address = "unix:path=/run/privyseal/1000/bus"
    hello = f"busctl --address={address} call org.freedesktop.DBus / org.freedesktop.DBus GetId"
    inside = desk.vm.run(f"setpriv --reuid=privyseal-1000 --clear-groups {hello}")
    assert inside.status == 0, f"its own user is not let in: {inside.text}"
    for user in ("root", "bob", "alice"):
        tried = desk.vm.run(hello, user=user)
        assert tried.status, f"{user} talked on the private bus: {tried.text}"


@check(
    "5: two companions side by side: bob asks on VT 9 and alice on VT 8, each for their own",
    seconds=360,
)
def two_companions(desk: Desk) -> None:
    _bob(desk)
    for user, vt in (("alice", 8), ("bob", 9)):
        desk.vm.show(vt)
        desk.stored(f"of-{user}", service="same.example", label=f"Kept by {user}", user=user, vt=vt)
    asked = {user: desk.lookup("same.example", user=user) for user in ("alice", "bob")}
    shown = {}
    for user, vt in (("alice", 8), ("bob", 9)):
        desk.vm.show(vt)
        shown[user] = desk.asked("Read a secret", f"Kept by {user}", vt=vt)
        desk.vm.picture(f"two-companions-{user}")
    assert "bob" not in shown["alice"], f"alice's console tells of bob:\n{shown['alice']}"
    assert "alice" not in shown["bob"], f"bob's console tells of alice:\n{shown['bob']}"
    assert " 1 waiting" in desk.head(9), desk.head(9)
    desk.allow(vt=9)
    done = asked["bob"].finish()
    assert (done.status, done.out) == (0, "of-bob"), f"bob got {done}"
    assert asked["alice"].running(), "what was allowed on bob's console ended alice's request"
    desk.vm.show(8)
    desk.asked("Read a secret", "Kept by alice")
    desk.allow()
    done = asked["alice"].finish()
    assert (done.status, done.out) == (0, "of-alice"), f"alice got {done}"


@check(
    "5: bob, and bob's companion, reach neither store, memory, screen, bus nor witness of alice's",
    seconds=360,
)
def nothing_crosses(desk: Desk) -> None:
    _bob(desk)
    desk.vm.succeed("exec 3<>/dev/tty8; head -c1 /dev/vcsu8 >/dev/null; ls /var/lib/privyseal/1000")
    for user in ("bob", "privyseal-1001"):
        for place in _PLACES:
            tried = desk.vm.run(
                f'p="{place}"; if [ -d "$p" ]; then ls "$p"; else head -c1 "$p"; fi', user=user
            )
            assert tried.status, f"{user} read {place}: {tried.text}"
            assert "denied" in tried.text or "not permitted" in tried.text, f"{user}: {tried.text}"
        killed = desk.vm.run("kill -9 $(pgrep -u privyseal-1000) 2>&1", user=user)
        assert killed.status, f"{user} killed processes of alice's companion"
        connected = desk.vm.run(
            "python3 -c 'import socket; s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET);"
            ' s.connect("/run/privyseal/witness-1000")\'',
            user=user,
        )
        assert "PermissionError" in connected.err, f"{user} asked alice's witness: {connected.text}"
    tried = desk.vm.run(_STATUS, user="privyseal-1001")
    assert tried.status, f"bob's companion talked to alice's keeper: {tried.text}"
    desk.vm.show(8)
    desk.stored("h0nest-two", service="crossing.example")
    desk.granted("crossing.example", "h0nest-two")


@check("5: bob names a process of alice as who asks: no fact about it is told", seconds=300)
def process_of_another_user(desk: Desk) -> None:
    _bob(desk)
    desk.vm.show(9)
    desk.stored("of-bob", service="named.example", user="bob", vt=9)
    victim = desk.vm.start("exec sleep 1000", user="alice")
    pid = desk.vm.wait_until_succeeds("pgrep -u alice -x sleep")
    attacker(desk)
    asking = desk.vm.start(f"{ATTACKER} name {pid} 1001", user="bob")
    try:
        desk.vm.wait_for(lambda: asking.ended() or " 1 waiting" in desk.head(9), "an answer")
        seen = desk.vm.screen(9)
        assert "sleep" not in seen, f"bob's console took alice's process for the requester:\n{seen}"
        assert asking.ended() or "!" in seen, f"no warning:\n{seen}"
    finally:
        victim.kill()
        asking.kill()
    assert "of-bob" not in asking.output().text
