"""Names that alice's programs take, signals that they forge, methods that they call."""

from typing import Final

from tests.vm.desk import Desk
from tests.vm.machine import Process
from tests.vm.registry import check

_KEEPER: Final = "org.privyseal.Keeper1.u1000"
_PATH: Final = "/org/privyseal/Keeper1"
_SQUAT: Final = """
from jeepney import DBus
from jeepney.io.blocking import open_dbus_connection
connection = open_dbus_connection("SESSION")
from jeepney.wrappers import unwrap_msg
print(unwrap_msg(connection.send_and_get_reply(DBus().RequestName("org.freedesktop.secrets"))), flush=True)
while True:
    connection.receive()
"""


def _audited(desk: Desk) -> str:
    return desk.vm.succeed(
        "cat $(find /var/lib/privyseal/1000 -name '*audit*' -type f) | sha256sum"
    )


def _waiting(desk: Desk, service: str) -> Process:
    desk.unlocked()
    desk.stored(f"kept-{service}", service=service)
    asked = desk.lookup(service)
    desk.asked("Read a secret", service)
    return asked


@check(
    "4: no method, name or signal of alice's decides, on the system or the session bus",
    seconds=300,
    every_change=True,
)
def methods_decide_nothing(desk: Desk) -> None:
    asked = _waiting(desk, "method.example")
    audited = _audited(desk)
    listed = desk.vm.succeed("privy list --json", user="alice")
    assert "method.example" in listed, listed
    told = desk.vm.succeed(f"busctl --system introspect {_KEEPER} {_PATH} || true")
    assert "Decision1" not in told, f"the deciding interface is on the system bus:\n{told}"
    ask = f"gdbus call --system -d {_KEEPER} -o {_PATH} -m org.privyseal.Request1.Status"
    works = desk.vm.run(ask, user="alice")
    assert works.status == 0, f"not even Status answers: {works.text}"
    for bus in ("--system", "--session"):
        for name in (_KEEPER, "org.freedesktop.secrets", "org.privyseal.Keeper1"):
            for method in (
                "Decide '{}'",
                "Unlock '@ay []'",
                "Rules",
                "LogOut",
                "History 1",
                "Watch",
                "Revoke x",
            ):
                call = f"gdbus call {bus} -d {name} -o {_PATH} -m org.privyseal.Decision1.{method}"
                done = desk.vm.run(call, user="alice")
                assert done.status, f"{call} was answered: {done.text}"
    for verb in ("approve", "deny"):
        done = desk.vm.run(f"privy {verb} 1", user="alice")
        assert done.status, f"privy {verb} as alice: {done.text}"
    claim = f"busctl --system call org.freedesktop.DBus / org.freedesktop.DBus RequestName su {_KEEPER} 2"
    done = desk.vm.run(claim, user="alice")
    assert "denied" in done.text.lower() or "not allowed" in done.text, f"{claim}: {done.text}"
    mine = desk.vm.run(claim.replace("--system", "--user"), user="alice")
    assert mine.status == 0, f"not even on her own bus: {mine.text}"
    for interface in ("Request1", "Decision1"):
        for signal in ("Resolved", "Changed", "Event"):
            for bus in ("system", "session"):
                desk.vm.run(
                    f"dbus-send --{bus} --type=signal {_PATH} org.privyseal.{interface}.{signal} string:'{{}}'",
                    user="alice",
                )
    desk.vm.run(
        "dbus-send --session --type=signal /org/freedesktop/Notifications"
        " org.freedesktop.Notifications.ActionInvoked uint32:1 string:review",
        user="alice",
    )
    assert asked.running(), f"a call or signal of alice decided: {asked.output().text}"
    assert _audited(desk) == audited, "something was recorded"
    desk.allow()
    assert asked.finish().out == "kept-method.example"


@check(
    "4: a program that has our name on the session bus is named to the user",
    seconds=300,
    every_change=True,
)
def squatter_is_named(desk: Desk) -> None:
    desk.unlocked()
    desk.stored("not-the-squatter", service="squat.example")
    desk.vm.write("/tmp/squat.py", _SQUAT)
    squatter = desk.vm.start("exec /opt/privyseal/bin/python3 /tmp/squat.py", user="alice")
    desk.vm.wait_for(
        lambda: "(2,)" in squatter.output().out, "the squatter in the queue", seconds=60
    )
    desk.vm.succeed("systemctl restart privyseal-agent@1000")
    desk.vm.wait_for(
        lambda: f"pid {squatter.pid}" in desk.vm.run("privy status", user="alice").out,
        "privy status names the squatter",
        seconds=60,
    )
    desk.sit_at()
    desk.vm.type("0", vt=8)
    desk.vm.shows(8, "trouble", "org.freedesktop.secrets")
    desk.vm.show(1)
    squatter.kill()
    desk.vm.wait_for(
        lambda: f"pid {squatter.pid}" not in desk.vm.run("privy status", user="alice").out,
        "the agent has the name again",
        seconds=60,
    )
    desk.granted("squat.example", "not-the-squatter")
