"""`privy provision` on a file system of a test's own: what it writes, shows, refuses and takes back."""

import json
import os
import re
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
from click.testing import CliRunner
from tests.unit.cli.provisioned import FakeHost

from privyseal.cli.journal import Entry, look
from privyseal.cli.provision import command
from privyseal.errors import (
    ConflictError,
    DeniedError,
    NotFoundError,
    PrivysealError,
    UnsupportedError,
    UsageError,
)

pytestmark = pytest.mark.root


class Done(NamedTuple):
    status: int
    output: str


def _privy(host: FakeHost, *words: str) -> Done:
    result = CliRunner().invoke(command, words, standalone_mode=False, obj=host)
    if result.exception is not None:
        raise result.exception
    return Done(int(result.return_value or 0), result.output)


def _tree(root: Path) -> dict[str, tuple[int, Entry | None]]:
    return {
        str(path.relative_to(root)): (
            path.lstat().st_mode,
            None if path.is_dir() and not path.is_symlink() else look(path),
        )
        for path in sorted(root.rglob("*"))
        if path.name != "system_bus_socket"
    }


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeHost:
    monkeypatch.delenv("SUDO_USER", raising=False)
    return FakeHost(tmp_path)


def test_undo_gives_back_the_same_file_system(host: FakeHost) -> None:
    before = _tree(host.root)
    assert _privy(host, "--user", "alice", "--pam").status == 0
    assert _tree(host.root) != before
    assert _privy(host, "--user", "alice", "--undo").status == 0
    assert _tree(host.root) == before


def test_a_second_run_changes_nothing_and_says_so(host: FakeHost) -> None:
    _privy(host, "--user", "alice", "--pam")
    once = _tree(host.root)
    again = _privy(host, "--user", "alice", "--pam")
    assert again.output == "alice has a companion already: nothing changed\n"
    assert _tree(host.root) == once


_OWN = "required pam_env.so user_readenv=1 envfile=/etc/default/locale\n"


@pytest.mark.parametrize(
    ("service", "text", "taken"),
    [
        ("sshd", f"@include common-session\nsession {_OWN}", True),
        ("sshd", f"session {_OWN}@include common-session\n", False),
        ("sshd", f"session include common-session\nauth {_OWN}", False),
        ("gdm", f"# @include common-session\n-session {_OWN}", False),
        ("sshd", f"#session {_OWN}@include common-session\n", True),
        ("common-session", f"session {_OWN}", False),
    ],
)
def test_the_hook_is_refused_where_users_set_the_environment_before_it(
    host: FakeHost, service: str, text: str, taken: bool
) -> None:
    (host.root / "etc/pam.d" / service).write_text(text)
    before = _tree(host.root)
    if taken:
        assert _privy(host, "--user", "alice", "--pam").status == 0
        return
    with pytest.raises(UnsupportedError, match=f"{service} lets users set the environment"):
        _privy(host, "--user", "alice", "--pam")
    assert _tree(host.root) == before


def test_what_all_companions_share_goes_with_the_last_one(host: FakeHost) -> None:
    before = _tree(host.root)
    _privy(host, "--user", "alice")
    alone = _tree(host.root)
    _privy(host, "--user", "bob", "--pam")
    _privy(host, "--user", "bob", "--undo")
    hook = host.root / "etc/pam.d/common-session"
    assert "login.sh" in hook.read_text()  # alice may want it as well
    _privy(host, "--user", "alice", "--no-pam")
    assert _tree(host.root) == alone
    _privy(host, "--user", "alice", "--undo")
    assert _tree(host.root) == before


@pytest.mark.parametrize("first", ["alice", "bob"])
def test_companions_are_taken_back_in_any_order(host: FakeHost, first: str) -> None:
    before = _tree(host.root)
    for name in ("alice", "bob"):
        _privy(host, "--user", name)
    for name in sorted(("alice", "bob"), key=lambda name: name != first):
        _privy(host, "--user", name, "--undo")
    assert _tree(host.root) == before


def test_a_run_that_was_cut_off_is_finished_or_taken_back(host: FakeHost) -> None:
    before = _tree(host.root)
    host.broken = {"systemd-sysusers"}
    with pytest.raises(PrivysealError, match="cannot create privyseal-1000: it is broken"):
        _privy(host, "--user", "alice")
    host.broken = set()
    cut_off = _tree(host.root)
    _privy(host, "--user", "alice", "--undo")
    assert _tree(host.root) == before
    assert cut_off != before
    _privy(host, "--user", "alice")
    whole = _tree(host.root)
    assert "etc/dbus-1/system.d/org.privyseal.Keeper1.u1000.conf" in whole


def test_a_command_that_fails_is_told_and_the_rest_is_done(host: FakeHost) -> None:
    host.broken = {"busctl"}
    done = _privy(host, "--user", "alice")
    assert done.status == 1
    assert "ReloadConfig: it is broken\n" in done.output
    assert [words for words in host.ran if words[:2] == ("systemctl", "restart")]
    *_, last = done.output.splitlines()
    assert last.startswith("not finished: 1 of the commands failed; look at `journalctl ")
    assert "has a companion" not in done.output
    host.broken, host.ran = set(), []
    assert _privy(host, "--user", "alice").status == 0
    assert [words for words in host.ran if "ReloadConfig" in words]


def test_the_last_line_of_a_success_says_what_to_do_next(host: FakeHost) -> None:
    *_, made, following = _privy(host, "--user", "alice").output.splitlines()
    assert made == "alice has a companion: its console is on Ctrl+Alt+F8"
    assert following.startswith("next: go there and remember the three words")
    assert "log in as alice; then press u" in following


def test_a_dry_run_shows_every_line_and_touches_nothing(host: FakeHost) -> None:
    before = _tree(host.root)
    shown = _privy(host, "--user", "alice", "--dry-run", "--pam").output
    assert _tree(host.root) == before
    assert f"+++ {host.root}/etc/systemd/system/privyseal-keeper@.service\n" in shown
    assert "\n+TTYPath=/dev/tty8\n" in shown
    assert "\n+session optional pam_exec.so " in shown
    assert "would run: systemd-sysusers /etc/sysusers.d/privyseal-1000.conf\n" in shown
    assert "would run: systemctl daemon-reload\n" in shown
    ran = [words for words in host.ran if "is-active" not in words]
    assert all(words[-1] == "--dry-run" for words in ran)

    _privy(host, "--user", "alice")
    made = _tree(host.root)
    undone = _privy(host, "--user", "alice", "--undo", "--dry-run").output
    assert _tree(host.root) == made
    assert "\n-TTYPath=/dev/tty8\n" in undone
    assert "would delete /var/lib/privyseal/1000 and the user privyseal-1000\n" in undone


def test_the_home_is_the_companions_alone_and_the_phrase_is_never_told(host: FakeHost) -> None:
    output = _privy(host, "--user", "alice").output
    home = host.root / "var/lib/privyseal/1000"
    phrase = home / "phrase"
    account = host.account("privyseal-1000")
    assert account is not None
    assert (home.stat().st_mode & 0o777, home.stat().st_uid) == (0o700, account.uid)
    assert (phrase.stat().st_mode & 0o777, phrase.stat().st_uid) == (0o400, 0)
    assert re.fullmatch(r"[a-z]+\.[a-z]+\.[a-z]+", phrase.read_text())
    assert phrase.read_text() not in output
    journals = (host.root / "var/lib/privyseal").glob("*.json")
    assert all(file.stat().st_mode & 0o777 == 0o600 for file in journals)


def test_the_phrase_comes_from_many_distinct_words() -> None:
    words = Path("deploy/words.txt").read_text().split()
    assert len(set(words)) == len(words) == 256
    assert all(re.fullmatch(r"[a-z]{3,8}", word) for word in words)


def test_a_store_with_secrets_is_not_deleted_unasked(host: FakeHost) -> None:
    _privy(host, "--user", "alice")
    store = host.root / "var/lib/privyseal/1000/store"
    store.mkdir()
    (store / "vault").write_bytes(b"sealed")
    (store / "index").write_bytes(b"key")
    made = _tree(host.root)
    with pytest.raises(ConflictError) as refused:
        _privy(host, "--user", "alice", "--undo")
    told = "/var/lib/privyseal/1000/store may hold secrets (files: 2)"
    assert str(refused.value) == told
    assert "--delete-secrets" in refused.value.hint
    assert _tree(host.root) == made
    shown = _privy(host, "--user", "alice", "--undo", "--dry-run")
    assert shown.status == 0
    assert "would delete /var/lib/privyseal/1000 and the user privyseal-1000\n" in shown.output
    assert shown.output.endswith(f"{told}: only with --delete-secrets would this be done\n")
    assert _tree(host.root) == made
    _privy(host, "--user", "alice", "--undo", "--delete-secrets")
    assert not store.exists()


def test_the_account_files_backups_stay_as_they_were(host: FakeHost) -> None:
    backup = host.root / "etc/passwd-"
    before = backup.read_bytes()
    _privy(host, "--user", "alice")
    assert "privyseal-1000" in (host.root / "etc/passwd").read_text()
    assert backup.read_bytes() == before
    assert not (host.root / "etc/group-").exists()


def test_a_terminal_is_found_and_kept(host: FakeHost) -> None:
    host.terminals = {8}
    assert "Ctrl+Alt+F9" in _privy(host, "--user", "alice").output
    assert "Ctrl+Alt+F10" in _privy(host, "--user", "bob").output
    host.terminals = {8, 9, 10}
    _privy(host, "--user", "alice")
    record = json.loads((host.root / "etc/privyseal/companions/1000.json").read_text())
    assert record == {"uid": 1000, "user": "alice", "vt": 9}
    _privy(host, "--user", "alice", "--vt", "12")
    record = json.loads((host.root / "etc/privyseal/companions/1000.json").read_text())
    assert record["vt"] == 12


@pytest.mark.parametrize(
    ("vt", "reason"),
    [
        (9, "is the console of 'bob'"),
        (10, "has a getty"),
        (11, "is one of logind's"),
        (15, "is in use"),
    ],
)
def test_a_terminal_that_is_taken_is_refused(host: FakeHost, vt: int, reason: str) -> None:
    _privy(host, "--user", "bob", "--vt", "9")
    wants = host.root / "etc/systemd/system/getty.target.wants"
    wants.mkdir(parents=True)
    (wants / "getty@tty10.service").symlink_to("/lib/systemd/system/getty@.service")
    host.terminals = {15}
    if vt == 11:
        (host.root / "etc/systemd/logind.conf").write_text("[Login]\nReserveVT=11\n")
    with pytest.raises(ConflictError, match=re.escape(f"VT {vt} {reason}")):
        _privy(host, "--user", "alice", "--vt", str(vt))


def test_what_cannot_have_a_companion_is_refused_before_anything_changes(host: FakeHost) -> None:
    host.add("twin", 1001)
    host.add("privyseal-1002", 990, home="/home/somebody")
    host.add("carol", 1002)
    host.add("privyseal-7", 991)
    host.add("daemon", 1)
    host.add("nobody", 65534, home="/nonexistent")
    host.add("backup", 1003, login="/usr/sbin/nologin")
    host.add("gone", 1004, home="/home/deleted")
    before = _tree(host.root)
    refusals: list[tuple[tuple[str, ...], type[PrivysealError], str]] = [
        ((), UsageError, "whose companion?"),
        (("--user", "nobody-here"), NotFoundError, "no user 'nobody-here'"),
        (("--user", "root"), UsageError, "root needs no companion"),
        (("--user", "bob"), ConflictError, "'bob' and 'twin' share UID 1001"),
        (("--user", "carol"), ConflictError, "there is a user 'privyseal-1002' with the home"),
        (
            ("--user", "daemon"),
            UsageError,
            "'daemon' is no desktop user: UID 1 is not between 1000",
        ),
        (("--user", "nobody"), UsageError, "UID 65534 is not between 1000 and 60000"),
        (("--user", "backup"), UsageError, "the shell '/usr/sbin/nologin' lets nobody in"),
        (("--user", "gone"), UsageError, "there is no home folder '/home/deleted'"),
        (("--user", "privyseal-7"), UsageError, "is a companion itself"),
        (("--user", "alice", "--vt", "3"), UsageError, "VT 3 is not between 8 and 63"),
        (("--user", "alice", "--vt", "64"), UsageError, "VT 64 is not between 8 and 63"),
        (("--user", "alice", "--undo"), NotFoundError, "'alice' has no companion"),
        (("--user", "alice", "--check"), NotFoundError, "'alice' has no companion"),
    ]
    for words, kind, text in refusals:
        with pytest.raises(kind, match=re.escape(text)):
            _privy(host, *words)
    assert _tree(host.root) == before


def test_which_users_are_people_is_read_from_login_defs(host: FakeHost) -> None:
    (host.root / "etc/login.defs").write_text("# UID_MIN 1\nUID_MIN\t\t 1001\nSYS_UID_MAX 999\n")
    with pytest.raises(UsageError, match="UID 1000 is not between 1001 and 60000"):
        _privy(host, "--user", "alice")
    assert _privy(host, "--user", "bob").status == 0


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ("--delete-secrets", "--delete-secrets goes with --undo"),
        ("--check --delete-secrets", "--delete-secrets goes with --undo"),
        ("--delete-old", "--delete-old goes with --import"),
        ("--undo --passphrase-fd 0", "--passphrase-fd goes with --import"),
        ("--json", "--json goes with --check or --import"),
        ("--verbose", "--verbose goes with --check"),
        ("--undo --json", "--json goes with --check or --import"),
        ("--undo --check", "--check and --undo do not go together"),
        ("--import --undo", "--import and --undo do not go together"),
        ("--check --dry-run", "--dry-run does not go with --check"),
        ("--undo --vt 9", "--vt does not go with --undo"),
        ("--import --no-pam", "--pam does not go with --import"),
    ],
)
def test_an_option_of_another_mode_is_refused(host: FakeHost, words: str, text: str) -> None:
    before = _tree(host.root)
    with pytest.raises(UsageError) as refused:
        _privy(host, "--user", "alice", *words.split())
    assert str(refused.value) == text
    assert (_tree(host.root), host.ran) == (before, [])


@pytest.mark.parametrize(
    ("missing", "reason"),
    [
        ("run/systemd/system", "not booted with systemd"),
        ("run/dbus/system_bus_socket", "no system bus"),
        ("usr/bin/dbus-daemon", "no /usr/bin/dbus-daemon"),
        ("dev/tty0", "no virtual terminals"),
    ],
)
def test_a_machine_that_cannot_run_it_is_refused(host: FakeHost, missing: str, reason: str) -> None:
    path = host.root / missing
    if path.is_dir():
        path.rmdir()
    else:
        path.unlink()
    with pytest.raises(UnsupportedError, match=reason):
        _privy(host, "--user", "alice")


def test_code_that_others_can_change_is_refused(host: FakeHost) -> None:
    place = host.root / "opt/somewhere"
    place.mkdir(parents=True)
    (place / "module.py").touch()
    (place / "module.py").chmod(0o666)
    host.places = [place]
    with pytest.raises(DeniedError, match=r"module\.py can be written by others") as refused:
        _privy(host, "--user", "alice")
    assert "scripts/install.sh" in refused.value.hint
    (place / "module.py").chmod(0o644)
    os.chown(place, 1000, 0)
    with pytest.raises(DeniedError, match="belongs to user 1000"):
        _privy(host, "--user", "alice")


def test_code_that_the_companion_cannot_load_is_refused(host: FakeHost) -> None:
    place = host.root / "root/checkout"
    place.mkdir(parents=True)
    (place / "module.py").touch()
    host.places = [place]
    (host.root / "root").chmod(0o700)
    with pytest.raises(
        UnsupportedError, match=r"cannot load .*/root lets no other user in: mode 0700"
    ):
        _privy(host, "--user", "alice")
    (host.root / "root").chmod(0o755)
    (place / "module.py").chmod(0o600)
    with pytest.raises(UnsupportedError, match=r"module\.py cannot be read by other users"):
        _privy(host, "--user", "alice")
    (place / "module.py").chmod(0o644)
    (place / "python").touch(0o744)
    with pytest.raises(UnsupportedError, match="python cannot be"):
        _privy(host, "--user", "alice")
    (place / "python").chmod(0o755)
    assert _privy(host, "--user", "alice").status == 0


def test_units_of_an_installation_that_is_there_are_not_led_elsewhere(host: FakeHost) -> None:
    other = host.root / "opt/privyseal/bin/python3"
    other.parent.mkdir(parents=True)
    other.touch()
    _privy(host, "--user", "alice")
    units = host.root / "etc/systemd/system"
    journal = host.root / "var/lib/privyseal/provision.json"
    for file in units.glob("privyseal-*.service"):
        file.write_text(file.read_text().replace(sys.executable, "/opt/privyseal/bin/python3"))
    journal.unlink()  # which would have the old content
    before = _tree(host.root)
    with pytest.raises(ConflictError, match="runs /opt/privyseal/bin/python3, this is") as refused:
        _privy(host, "--user", "bob")
    assert "run /opt/privyseal/bin/privy" in refused.value.hint
    assert _tree(host.root) == before
    other.unlink()
    assert _privy(host, "--user", "bob").status == 0


def test_a_file_that_somebody_changed_is_named_and_kept(host: FakeHost) -> None:
    _privy(host, "--user", "alice")
    policy = host.root / "etc/dbus-1/system.d/org.privyseal.Keeper1.u1000.conf"
    policy.write_text("<busconfig/>\n")
    with pytest.raises(ConflictError, match="was changed since"):
        _privy(host, "--user", "alice")
    done = _privy(host, "--user", "alice", "--undo")
    assert (done.status, policy.read_text()) == (1, "<busconfig/>\n")
    assert f"kept, because it was changed since: {policy}\n" in done.output


def test_the_companion_starts_at_once_for_who_is_logged_in(host: FakeHost) -> None:
    _privy(host, "--user", "alice")
    start = ("systemctl", "start", "--no-block", "privyseal-companion@1000.target")
    assert not [words for words in host.ran if words[:4] == start]
    host.active = {"user@1000.service"}
    _privy(host, "--user", "alice")
    assert [words for words in host.ran if words[:4] == start]


def test_the_session_side_is_done_as_the_user(host: FakeHost) -> None:
    _privy(host, "--user", "alice")
    _privy(host, "--user", "alice", "--undo")
    mine = [words for words in host.ran if words[0] == "runuser"]
    assert [words[:5] for words in mine] == [("runuser", "-u", "alice", "--", "env")] * 2
    assert [words[-3:] for words in mine] == [
        ("install", "--companion", "--no-start"),
        (mine[1][-3], "service", "uninstall"),
    ]


def test_what_the_users_own_side_changes_is_told_too(host: FakeHost) -> None:
    host.session = "--- /dev/null\n+++ /home/alice/.config/systemd/user/some.service\n"
    before = _tree(host.root)
    assert host.session in _privy(host, "--user", "alice", "--dry-run").output
    assert _tree(host.root) == before
    (asked,) = [words for words in host.ran if words[0] == "runuser"]
    assert asked[-4:] == ("install", "--companion", "--no-start", "--dry-run")

    host.session = "wrote /home/alice/.config/systemd/user/some.service\n"
    assert host.session in _privy(host, "--user", "alice").output
    host.session = "installed already\n"
    again = _privy(host, "--user", "alice").output
    assert again == "alice has a companion already: nothing changed\n"
    host.session = "1 files put back\n"
    assert host.session in _privy(host, "--user", "alice", "--undo").output


def test_nothing_of_the_users_side_reaches_roots_terminal_raw(host: FakeHost) -> None:
    host.session = "wrote \x1b[2J\x9b31m\n"
    for words in (("--dry-run",), (), ("--undo", "--dry-run"), ("--undo",)):
        output = _privy(host, "--user", "alice", *words).output
        assert "wrote ‹U+001B›" in output
        assert not {"\x1b", "\x9b"} & set(output)


def test_a_users_side_that_cannot_be_shown_is_told(host: FakeHost) -> None:
    host.broken = {"runuser"}
    shown = _privy(host, "--user", "alice", "--dry-run")
    assert "what that would change cannot be shown: it is broken\n" in shown.output
