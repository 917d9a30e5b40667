"""Stores of pass and gopass behind the provider of a companion, in its sandbox, as the guide says."""

import base64
import contextlib
import os
import shlex
from collections.abc import Iterator
from typing import Final

from tests.vm.desk import PASSPHRASE, Desk
from tests.vm.machine import Process, Result
from tests.vm.registry import check

MANY: Final = 24
BINARY: Final = b"\0\xff\n\x1b[2J"
LINES: Final = "one\n\ntwo\n"
HOSTILE: Final = "../x \x1b[2J\u202egnp"
HOSTILE_FILE: Final = "%2E.%2Fx %1B[2J%E2%80%AEgnp"

_COMPANION: Final = "privyseal-1000"
_HOME: Final = "/var/lib/privyseal/1000"
_SETTINGS: Final = f"{_HOME}/.config/privyseal"
# As docs/guide/pass-stores.md says it.
_AS: Final = (
    f"sudo -u {_COMPANION} env -C {_HOME} PASSWORD_STORE_DIR={_HOME}/store"
    " DBUS_SESSION_BUS_ADDRESS=unix:path=/run/privyseal/1000/bus"
)


@contextlib.contextmanager
def _kind(desk: Desk, kind: str) -> Iterator[None]:
    """Have alice's companion serve an empty folder as a store of this kind, and then the old one."""
    vm = desk.vm
    desk.companion()
    both = "privyseal-provider@1000 privyseal-keeper@1000"
    vm.succeed(
        f"systemctl stop {both}; cd {_HOME}; if [ -e store ]; then mv store store.before; fi"
    )
    try:
        vm.succeed(
            f"sudo -u {_COMPANION} mkdir -m 700 -p {_SETTINGS};"
            f" echo 'provider: {kind}' | sudo -u {_COMPANION} tee {_SETTINGS}/config.yaml;"
            f" systemctl start {both}"
        )
        yield
    finally:
        vm.succeed(
            f"systemctl stop {both}; cd {_HOME};"
            " rm -rf store .gnupg .store.index .config .local .cache .gitconfig;"
            f" if [ -e store.before ]; then mv store.before store; fi; systemctl start {both}"
        )
        desk.companion()
        vm.show(1)


def _pass(desk: Desk, words: str, *, given: str | bytes = "") -> Result:
    """Run pass, gopass or another program as the companion."""
    data = given.encode() if isinstance(given, str) else given
    feed = f"printf %s {base64.b64encode(data).decode()} | base64 -d |" if data else ""
    done = desk.vm.run(f"{feed} {_AS} {words}", seconds=120)
    assert done.status == 0, f"{words}: {done.text}"
    return done


def _put(desk: Desk, label: str, value: str | bytes, attributes: str) -> None:
    """Let alice store a secret, and allow it."""
    desk.vm.write("/tmp/label", label)
    desk.vm.write("/tmp/value", value)
    storing = desk.vm.start(
        f'secret-tool store --label="$(cat /tmp/label)" {attributes} </tmp/value', user="alice"
    )
    desk.asked("Store a new secret")
    desk.allow()
    done = storing.finish()
    assert done.status == 0, done.text


def _get(desk: Desk, attributes: str, *texts: str, by: str = "secret-tool lookup") -> bytes:
    """Let alice look a secret up, and allow it; return what the client wrote."""
    asked = desk.vm.start(f"{by} {attributes} | base64 -w0", user="alice")
    desk.asked("Read a secret", *texts)
    desk.allow()
    return base64.b64decode(asked.finish().out)


def _answered(desk: Desk, asking: Process) -> Result:
    """Type the passphrase that GnuPG asks for on the console."""
    vm = desk.vm
    desk.sit_at(8)
    vm.shows(8, "GnuPG asks a passphrase")
    vm.picture("console-gnupg")
    vm.type("u", vt=8)
    vm.shows(8, "in its own words:", "Privyseal store")
    vm.type(f"{PASSPHRASE}\n", vt=8)
    return asking.finish()


@check(
    "12: pass and secret-tool read what the other wrote, in the provider's sandbox",
    seconds=420,
)
def pass_store(desk: Desk) -> None:
    with _kind(desk, "pass"):
        desk.unlocked()
        _put(desk, "Mail", "tr0ub4dor", "service mail")
        assert _pass(desk, "pass show Mail").out.startswith("tr0ub4dor\nprivyseal: 1\n")
        _pass(desk, "pass insert -m web/site", given="hunter2\nuser: eve\n")
        assert _get(desk, "user eve", "web/site") == b"hunter2"
        _pass(desk, "pass insert -m notes", given=LINES)
        assert _get(desk, "path notes").decode() == LINES
        _put(desk, "several", LINES, "service several")
        assert _pass(desk, "pass show several").out.startswith(f"{LINES}\nprivyseal: 1\n")
        _put(desk, "bytes", BINARY, "service bytes")
        shown = _pass(desk, "pass show bytes").out
        assert base64.b64decode(shown.splitlines()[-1]) == BINARY, shown
        assert _get(desk, "service bytes", "bytes") == BINARY
        _put(desk, HOSTILE, "hostile", "service hostile")
        assert _pass(desk, f"pass show {shlex.quote(HOSTILE_FILE)}").out.startswith("hostile\n")
        assert _get(desk, "service hostile", "U+001B") == b"hostile"
        outside = desk.vm.succeed(f"find {_HOME} -name '*.gpg' -not -path '*/.gnupg/*'")
        assert all(line.startswith(f"{_HOME}/store/") for line in outside.splitlines()), outside
    desk.unlocked()
    desk.stored("back", service="embedded.example")
    desk.granted("embedded.example", "back")


@check(
    "12: a passphrase that gpg's agent wants is asked for on the console",
    seconds=300,
)
def pass_pinentry(desk: Desk) -> None:
    vm = desk.vm
    with _kind(desk, "pass"):
        desk.unlocked()
        _put(desk, "Mail", "tr0ub4dor", "service mail")
        number = "systemctl show -p MainPID --value privyseal-keeper@1000"
        before = vm.succeed(number)
        vm.succeed("privy lock", user="alice")
        # Locking ends every process of the companion; this is after that.
        vm.wait_until_succeeds(
            f"[ $({number}) != {before} ] && systemctl is-active privyseal-keeper@1000"
            f" && pgrep -u {_COMPANION} -x gpg-agent"
        )
        asking = vm.start(f"{_AS} pass show Mail")
        vm.shows(8, "GnuPG asks a passphrase")
        # Meanwhile the store is locked, and says so.
        assert "locked" in vm.succeed("privy status", user="alice")
        vm.wait_for(lambda: "does not answer" not in vm.screen(8), "the provider answering")
        assert _answered(desk, asking).out.startswith("tr0ub4dor\n")
        vm.wait_for(lambda: "unlocked" in desk.head(), "the console noticing", seconds=60)
        desk.granted("mail", "tr0ub4dor")


@check(
    "12: a tree and a key from elsewhere open on the console, dozens of entries",
    seconds=420,
)
def pass_store_from_elsewhere(desk: Desk) -> None:
    vm = desk.vm
    begun = vm.succeed("date +%s").strip()
    vm.succeed(
        "gpg --batch --passphrase 'correct horse' --pinentry-mode loopback"
        " --quick-generate-key alice@example.org default default never 2>&1"
        " && pass init alice@example.org && for n in $(seq 24); do"
        ' printf "value %s\\nnumber: %s\\n" $n $n | pass insert -m many/$n >/dev/null; done',
        user="alice",
        seconds=150,
    )
    try:
        with _kind(desk, "pass"):
            vm.succeed(
                f"cp -rT /home/alice/.password-store {_HOME}/store;"
                f" sudo -u {_COMPANION} mkdir -m 700 {_HOME}/.gnupg"
            )
            vm.succeed(
                "gpg --batch --passphrase 'correct horse' --pinentry-mode loopback"
                " --export-secret-keys alice@example.org >key",
                user="alice",
            )
            vm.succeed(
                f"sudo -u {_COMPANION} gpg --homedir {_HOME}/.gnupg --batch --import"
                " </home/alice/key;"
                f" sudo -u {_COMPANION} gpgconf --homedir {_HOME}/.gnupg --kill gpg-agent;"
                f" chown -R {_COMPANION}: {_HOME}/store"
            )
            vm.succeed("systemctl restart privyseal-provider@1000 privyseal-keeper@1000")
            vm.wait_for(lambda: "   locked" in desk.head(), "the store found", seconds=60)
            desk.unlocked()
            # Each entry is read once; a search that cannot wait for that says so, and is repeated.
            vm.wait_until_succeeds(
                "secret-tool search --all number 17 2>&1 | grep many/17", user="alice", seconds=90
            )
            assert _get(desk, "number 17", "many/17") == b"value 17"
            found = vm.succeed("secret-tool search --all path many/3 2>&1", user="alice")
            assert "many/3" in found, found
            _put(desk, "Mail", "tr0ub4dor", "service mail")
            assert _pass(desk, "pass show Mail").out.startswith("tr0ub4dor\n")
            assert len(_pass(desk, "pass ls many").out.splitlines()) == MANY + 1
            # While the tree was root's, the provider could not read it, and said so.
            vm.succeed(f"! journalctl --since @{begun} -u privyseal-provider@1000 | grep Traceback")
    finally:
        vm.run("rm -rf ~/.gnupg ~/.password-store ~/key; gpgconf --kill all", user="alice")


@check(
    "12: gopass and secret-tool read what the other wrote, each change a commit",
    seconds=420,
)
def gopass_store(desk: Desk) -> None:
    there = not desk.vm.run("test -x /usr/local/bin/gopass").status
    assert there or not os.environ.get("CI"), "gopass is missing: `scripts/setup.sh dev` builds it"
    with _kind(desk, "gopass"):
        desk.unlocked()
        _put(desk, "Mail", "tr0ub4dor", "service mail")
        _put(desk, "bytes", BINARY, "service bytes")
        history = _pass(desk, "git -C store log --format=%s").out.splitlines()
        assert history[:2] == [f"Add given password for {n} to store." for n in ("bytes", "Mail")]
        assert not _pass(desk, "git -C store status --porcelain").out
        if not there:  # only pass can say the rest, and has
            return
        assert _pass(desk, "gopass show -o -n Mail").out == "tr0ub4dor"
        assert _pass(desk, "gopass show -n Mail service").out == "mail"
        summed = _pass(desk, "sh -c 'gopass cat bytes </dev/null | base64 -w0'").out
        assert base64.b64decode(summed) == BINARY
        _pass(desk, "gopass insert -m web/site", given="hunter2\nuser: eve\n")
        assert _get(desk, "user eve", "web/site") == b"hunter2"
        _pass(desk, "gopass cat web/binary", given=BINARY)
        # secret-tool prints nothing that its owner did not store as text.
        assert _get(desk, "path=web/binary", by="privy get") == BINARY
        _put(desk, HOSTILE, "hostile", "service hostile")
        assert _pass(desk, f"gopass show -o -n {shlex.quote(HOSTILE_FILE)}").out == "hostile"
