"""The first day: provision, log in, set a passphrase, store a secret, read it back."""

from tests.vm.desk import PASSPHRASE, Desk
from tests.vm.registry import check


@check("1: the console is on its terminal before anybody logs in")
def console_from_boot(desk: Desk) -> None:
    desk.provisioned()
    desk.logged_out()
    desk.vm.show(8)
    desk.vm.shows(8, "PRIVYSEAL", "alice", "not logged in", "phrase")
    desk.vm.picture("console-idle")
    desk.vm.show(1)


@check(
    "1: alice logs in by typing at a getty, and her companion starts",
    seconds=240,
    every_change=True,
)
def companion_starts(desk: Desk) -> None:
    desk.companion()
    running = desk.vm.succeed("ps -o args= -u privyseal-1000")
    for program in ("keeper", "provider", "console"):
        assert f"privyseal.{program}" in running, running


@check("5: what is asked before there is a store is one request; u makes the store", seconds=300)
def ask_before_the_store(desk: Desk) -> None:
    desk.companion()
    desk.vm.succeed("systemctl stop privyseal-keeper@1000 privyseal-provider@1000")
    desk.vm.succeed("rm -rf /var/lib/privyseal/1000/store; systemctl start privyseal-keeper@1000")
    desk.vm.wait_for(lambda: "no store" in desk.head(), "a keeper without a store", seconds=60)
    store = "printf early | secret-tool store --label=early service early.example"
    storing = desk.vm.start(store, user="alice")
    desk.asked("Store a new secret", "early.example", "No store yet: u makes it")
    desk.vm.type("u", vt=8)
    desk.vm.shows(8, "Make the store", "passphrase for the new store")
    desk.vm.type("short\n", vt=8)
    desk.vm.shows(8, "Too short")
    for _ in range(2):
        desk.vm.type(f"{PASSPHRASE}\n", vt=8)
    desk.allow()
    assert not storing.finish().status
    desk.granted("early.example", "early")


@check(
    "1: secret-tool asks, the console shows who, typed letters allow, secret-tool prints",
    seconds=300,
    every_change=True,
)
def ask_and_allow(desk: Desk) -> None:
    desk.unlocked()
    desk.stored("tr0ub4dor", service="github.com", label="GitHub token")
    desk.command("secret-tool lookup service github.com; echo; echo status $?")
    seen = desk.asked("Read a secret", "GitHub token", "/usr/bin/secret-tool")
    assert "= program " in seen, seen
    desk.pair()
    desk.vm.picture("console-request")
    desk.allow()
    desk.vm.shows(8, "Allowed")
    desk.vm.picture("console-allowed")
    desk.vm.show(1)
    desk.vm.shows(1, "tr0ub4dor", "status 0")
    desk.vm.picture("desktop-answered")
    desk.command("clear")


@check(
    "1: a denial on the console reaches secret-tool, which prints nothing",
    seconds=240,
    every_change=True,
)
def ask_and_deny(desk: Desk) -> None:
    desk.unlocked()
    desk.stored("never-out", service="denied.example")
    asked = desk.lookup("denied.example")
    desk.asked("Read a secret", "denied.example")
    desk.deny()
    done = asked.finish()
    assert (done.status, done.out) == (1, ""), done.text
