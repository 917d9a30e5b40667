"""Provisioning: the same twice, back to the byte, and a machine that is judged."""

import json

from tests.vm.desk import Desk
from tests.vm.registry import check

# What changes by itself on a running system; everything else on the disk is compared.
_VOLATILE = (
    "/proc /sys /dev /run /tmp /var/tmp /var/log /root/.bash_history /var/lib/systemd/random-seed"
    " /var/lib/systemd/timesync /var/lib/systemd/timers /var/lib/private /var/lib/logrotate"
)


_MOST = 900_000
"""The machine answers with a megabyte and no more."""


def listing(desk: Desk) -> dict[str, str]:
    """Return kind, owner, mode and content of every file on the disk, by path.

    Of what is installed in /opt and /usr, by the folder: there is more than one answer holds.
    """
    without = " -o ".join(f"-path {path}" for path in (*_VOLATILE.split(), "/opt", "/usr"))
    found = desk.vm.succeed(
        rf"find / -xdev \( {without} \) -prune -o \( -type f -size -40M -exec sha256sum -z {{}} + \)"
        r" -o -printf '' | tr '\0' '\n';"
        rf" find / -xdev \( {without} \) -prune -o -printf '%y %u %g %m %l  %p\n'",
        seconds=170,
    )
    installed = desk.vm.succeed(
        'for top in /opt/* /usr/*; do echo "$({ find "$top" -xdev -type f -exec sha256sum {} +;'
        r""" find "$top" -xdev -printf '%y %u %g %m %l %p\n'; } | sort | sha256sum) $top"; done""",
        seconds=170,
    )
    entries: dict[str, str] = {}
    for line in found.splitlines():
        facts, _, path = line.partition("  ")
        entries[path] = f"{entries.get(path, '')} {facts}"
    assert len(found) < _MOST, "the listing is cut off"
    assert len(entries) > 1000, "the listing is not whole"
    # sha256sum(1) ends its line with the name of what it read, which is "-" here.
    return entries | {line.split()[2]: line.split()[0] for line in installed.splitlines()}


def differences(before: dict[str, str], after: dict[str, str]) -> list[str]:
    """Return the paths that are not the same in both."""
    return sorted(p for p in {*before, *after} if before.get(p) != after.get(p))


@check("11: provisioned twice: no difference; --undo: the file system as before", seconds=600)
def provision_and_undo(desk: Desk) -> None:
    before = listing(desk)
    diff = desk.vm.succeed("privy provision --user alice --vt 8 --dry-run", seconds=120)
    assert "privyseal-keeper@.service" in diff
    assert not differences(before, listing(desk)), "--dry-run changed something"
    desk.vm.succeed("privy provision --user alice --vt 8", seconds=120)
    once = listing(desk)
    assert differences(before, once), "nothing was provisioned"
    said = desk.vm.succeed("privy provision --user alice --vt 8", seconds=120)
    assert "nothing changed" in said, said
    changed = differences(once, listing(desk))
    assert not changed, f"the second time changed {changed}"
    desk.vm.succeed("privy provision --user carol --vt 10", seconds=120)
    desk.vm.succeed("privy provision --undo --user carol", seconds=120)
    changed = differences(once, listing(desk))
    assert not changed, f"carol's undoing left alice with {changed}"
    desk.vm.succeed("privy provision --undo --user alice", seconds=120)
    changed = differences(before, listing(desk))
    assert not changed, f"--undo left {changed}"
    assert not desk.vm.run("systemctl list-units --all --no-legend 'privyseal*'").out.strip()


@check("11: --undo keeps secrets unless it is told to delete them")
def undo_keeps_secrets(desk: Desk) -> None:
    desk.provisioned("carol", vt=10)
    desk.vm.succeed("install -d -m 700 -o privyseal-1002 /var/lib/privyseal/1002/store")
    desk.vm.succeed("echo sealed >/var/lib/privyseal/1002/store/store.db")
    kept = desk.vm.run("privy provision --undo --user carol", seconds=120)
    assert kept.status == 1, kept.text
    assert "--delete-secrets" in kept.err, kept.err
    assert desk.vm.succeed("cat /var/lib/privyseal/1002/store/store.db") == "sealed"
    desk.vm.succeed("privy provision --undo --delete-secrets --user carol", seconds=120)
    assert desk.vm.run("test -e /var/lib/privyseal/1002").status


@check("11: --check tries the pieces, and names a planted membership of docker", seconds=300)
def grade(desk: Desk) -> None:
    desk.companion()
    before = _report(desk)
    assert before["works"], before
    assert "docker" not in json.dumps(before)
    desk.vm.succeed("groupadd docker; usermod -aG docker alice")
    try:
        planted = _report(desk)
        said = desk.vm.run("privy provision --check --user alice", seconds=120)
    finally:
        desk.vm.succeed("gpasswd -d alice docker; groupdel docker")
    assert planted["grade"] == "void", planted
    assert "docker" in said.out, said.text
    assert "checks found what they should" in said.out, said.text
    assert said.status == 1


def _report(desk: Desk) -> dict[str, object]:
    said = desk.vm.run("privy provision --check --user alice --json", seconds=120)
    assert said.status in {0, 1}, said.text
    report: dict[str, object] = json.loads(said.out)
    return report


@check("B: with --pam a login brings back a companion that was stopped by hand", seconds=300)
def pam_hook(desk: Desk) -> None:
    desk.companion()
    stack = desk.vm.succeed("cat /etc/pam.d/common-session")
    desk.vm.succeed("privy provision --user alice --pam", seconds=120)
    try:
        desk.vm.succeed("systemctl stop privyseal-companion@1000.target")
        desk.vm.wait_until_succeeds("! pgrep -u privyseal-1000 -f privyseal.keeper")
        desk.logged_in(vt=2)
        desk.vm.wait_until_succeeds("pgrep -u privyseal-1000 -f privyseal.keeper")
        desk.vm.type("exit\n", vt=2)
        # A hook that fails, or hangs, is no reason to keep somebody out.
        desk.vm.succeed("systemctl mask --runtime privyseal-companion@1000.target")
        desk.logged_in("bob", vt=3)
        desk.vm.type("exit\n", vt=3)
    finally:
        desk.vm.run("systemctl unmask --runtime privyseal-companion@1000.target")
        desk.vm.succeed("privy provision --user alice --no-pam", seconds=120)
    assert desk.vm.succeed("cat /etc/pam.d/common-session") == stack
