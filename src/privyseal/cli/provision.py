"""`privy provision`: give a desktop user a companion and a console, or take them back to the byte."""

import os
import shlex
import sys
from contextlib import suppress
from pathlib import Path

import click

from privyseal.cli.journal import Change, Journal, Record, difference, look, put
from privyseal.cli.machine import report, show
from privyseal.cli.migration import Wishes, import_secrets, sides_of
from privyseal.cli.provision_account import (
    make_account,
    make_home,
    remove_account,
    remove_home,
    stored,
)
from privyseal.cli.provision_files import (
    STATE,
    account_files,
    at,
    journal_path,
    own_files,
    shared_files,
    shared_folders,
)
from privyseal.cli.provision_ground import (
    choose_vt,
    companions,
    person,
    recorded,
    refuse_second_installation,
    refuse_unfit_code,
    refuse_unless_root,
    refuse_without_services,
)
from privyseal.cli.provision_host import Host
from privyseal.cli.provision_options import refuse_mixed
from privyseal.cli.provision_pam import pam_change
from privyseal.cli.provision_session import as_person, foretell, tell
from privyseal.errors import ConflictError, NotFoundError
from privyseal.runtime.companion import Companion, find

_RELOADING = (
    ("systemctl", "daemon-reload"),
    (
        *("busctl", "call", "org.freedesktop.DBus", "/org/freedesktop/DBus"),
        *("org.freedesktop.DBus", "ReloadConfig"),
    ),
)


@click.command(name="provision")
@click.option("--user", metavar="NAME", help="The desktop user; default: who called sudo.")
@click.option("--vt", type=int, metavar="N", help="The console's terminal; default: a free one.")
@click.option(
    "--pam/--no-pam",
    default=None,
    help="Start the companion at each login by a PAM hook as well, or no longer.",
)
@click.option("--check", is_flag=True, help="Try the pieces and grade the machine; no root needed.")
@click.option(
    "--import",
    "import_",
    is_flag=True,
    help="Move the user's old keyring over, and verify each item.",
)
@click.option("--delete-old", is_flag=True, help="With --import: delete each verified old copy.")
@click.option(
    "--passphrase-fd",
    type=int,
    metavar="N",
    help="With --import: read the old keyring's passphrase from this descriptor.",
)
@click.option("--json", "as_json", is_flag=True, help="With --check or --import: print JSON.")
@click.option("--verbose", is_flag=True, help="With --check: list what is as it should be, too.")
@click.option("--dry-run", is_flag=True, help="Only show what would change.")
@click.option("--undo", is_flag=True, help="Take everything back.")
@click.option(
    "--delete-secrets", is_flag=True, help="With --undo: delete the store and what is in it."
)
@click.pass_obj
def command(
    host: Host | None,
    *,
    user: str | None,
    vt: int | None,
    pam: bool | None,
    check: bool,
    import_: bool,
    delete_old: bool,
    passphrase_fd: int | None,
    as_json: bool,
    verbose: bool,
    dry_run: bool,
    undo: bool,
    delete_secrets: bool,
) -> int:
    """Give a desktop user a companion and a trusted console, or take them back (root)."""
    refuse_mixed(
        {"--check": check, "--import": import_, "--undo": undo},
        {
            "--vt": vt is not None,
            "--pam": pam is not None,
            "--dry-run": dry_run,
            "--json": as_json,
            "--verbose": verbose,
            "--delete-old": delete_old,
            "--passphrase-fd": passphrase_fd is not None,
            "--delete-secrets": delete_secrets,
        },
    )
    host = host or Host()
    name = user if user is not None else os.environ.get("SUDO_USER", "")
    if check:
        companion = recorded(host, name) if name else find(os.getuid())
        companion = _existing(companion, name)
        found = report(companion, host.root)
        return show(found, companion, as_json=as_json, verbose=verbose)
    refuse_unless_root()
    if import_:
        wishes = Wishes(dry_run, delete_old, passphrase_fd, as_json)
        return import_secrets(sides_of(_existing(recorded(host, name), name)), wishes)
    os.umask(0o022)  # what others have to read must not depend on root's habits
    if undo:
        return _undo(host, name, dry_run=dry_run, delete_secrets=delete_secrets)
    refuse_without_services(host)
    refuse_unfit_code(host)
    refuse_second_installation(host)
    account = person(host, name)
    companion = Companion(uid=account.uid, user=account.name, vt=choose_vt(host, account.uid, vt))
    hook = None if pam is None else pam_change(host.root, wanted=pam)
    if dry_run:
        return _show(host, companion, hook)
    return _provision(host, companion, hook)


def _existing(companion: Companion | None, name: str) -> Companion:
    if companion is None:
        raise NotFoundError(
            f"{name!r} has no companion" if name else "this user has no companion",
            hint="name another user with --user, or make one with `privy provision`",
        )
    return companion


def _provision(host: Host, companion: Companion, hook: Change | None) -> int:
    shared, own = _journals(host, companion.uid)
    done = _apply(shared, _plan_shared(host, shared))
    if host.account(companion.account) is None:
        # A bus that follows its folders reads the policy at once, and passes over unknown users.
        done += _apply(own, _plan_own(host, own, companion, account_only=True))
        make_account(host, companion)
        done.append(f"created the user {companion.account}")
    done += _apply(own, _plan_own(host, own, companion))
    if make_home(host, companion):
        done.append(f"made {companion.home}")
    if hook is not None:
        put(Path(hook.path), hook.after)
        done.append(f"wrote {hook.path}")
    for line in done:
        print(line)
    failed = 0
    for words in _commands(host, companion, anew=bool(done)):
        heard = host.hear(*words)
        done += tell(words, heard)
        if heard.complaint:
            sys.stdout.flush()  # or the two streams change places where they are one file
            print(f"{shlex.join(words)}: {heard.complaint}", file=sys.stderr)
            failed += 1
    if failed:
        units = shlex.quote(f"privyseal-*@{companion.uid}.*")
        print(
            f"not finished: {failed} of the commands failed; look at `journalctl -b -u {units}`, then"
            f" run it again or take it back: privy provision --undo --user {companion.user}",
            file=sys.stderr,
        )
        return 1
    if done:
        print(f"{companion.user} has a companion: its console is on {companion.way_in}")
        print(
            f"next: go there and remember the three words in its first line; log in as"
            f" {companion.user}; then press u on the console"
        )
    else:
        print(f"{companion.user} has a companion already: nothing changed")
    return 0


def _show(host: Host, companion: Companion, hook: Change | None) -> int:
    shared, own = _journals(host, companion.uid)
    pending = _pending(_plan_shared(host, shared)) + _pending(_plan_own(host, own, companion))
    pending += [hook] if hook is not None else []
    for change in pending:
        print(difference(change.path, look(Path(change.path)), change.after))
    homeless = not at(host.root, companion.home).exists()
    if host.account(companion.account) is None:
        print(f"would run: systemd-sysusers /etc/sysusers.d/{companion.account}.conf")
    if homeless:
        print(f"would make {companion.home} for {companion.account} alone, with a phrase in it")
    for words in _commands(host, companion, anew=homeless or bool(pending)):
        foretell(host, words)
    return 0


def _undo(host: Host, name: str, *, dry_run: bool, delete_secrets: bool) -> int:
    companion = recorded(host, name)
    if companion is None:
        return _undo_rest(host, name, dry_run=dry_run)
    refusal = "" if delete_secrets else _may_be_lost(host, companion)
    if refusal and not dry_run:
        raise ConflictError(
            refusal, hint=f"copy {companion.home} as root to keep them, then add --delete-secrets"
        )
    shared, own = _journals(host, companion.uid)
    last = [known.uid for known in companions(host)] == [companion.uid]
    journals = [own, shared] if last else [own]
    hook = pam_change(host.root, wanted=False) if last else None
    if dry_run:
        _show_undo(host, companion, journals, hook)
        if refusal:
            print(f"{refusal}: only with --delete-secrets would this be done")
        return 0
    for words in _stopping(host, companion):
        tell(words, host.hear(*words))
    remove_account(host, companion)
    remove_home(host, companion)
    if hook is not None:
        put(Path(hook.path), hook.after)
    kept = [path for journal in journals for path in journal.undo()]
    _leave_runtime(host, companion)
    for words in _RELOADING:
        host.run(*words)
    for path in kept:
        print(f"kept, because it was changed since: {path}")
    print(f"{companion.user} has no companion any more")
    return 1 if kept else 0


def _may_be_lost(host: Host, companion: Companion) -> str:
    """Return what of a companion's home may hold secrets, "" when nothing does."""
    home = at(host.root, companion.home)
    files = [path.relative_to(home) for path in stored(host, companion)]
    places = sorted({str(companion.home / file.parts[0]) for file in files})
    return f"{' and '.join(places)} may hold secrets (files: {len(files)})" if files else ""


def _show_undo(
    host: Host, companion: Companion, journals: list[Journal], hook: Change | None
) -> None:
    for words in _stopping(host, companion):
        foretell(host, words)
    print(f"would delete {companion.home} and the user {companion.account}")
    if hook is not None:
        print(difference(hook.path, hook.before, hook.after))
    for journal in journals:
        for change in reversed(journal.read().changes):
            if look(Path(change.path)) == change.after:
                print(difference(change.path, change.after, change.before))
    for words in _RELOADING:
        print(f"would run: {shlex.join(words)}")


def _undo_rest(host: Host, name: str, *, dry_run: bool) -> int:
    """Take back what a provisioning left that was cut off before it wrote its record."""
    shared, _own = _journals(host, 0)
    if not shared.read().changes or companions(host):
        raise NotFoundError(f"{name!r} has no companion", hint="name another user with --user")
    if not dry_run:
        shared.undo()
        for words in _RELOADING:
            host.run(*words)
    print("nobody has a companion: what all of them share is gone")
    return 0


def _journals(host: Host, uid: int) -> tuple[Journal, Journal]:
    return (
        Journal(at(host.root, journal_path())),
        Journal(at(host.root, journal_path(uid))),
    )


def _plan_shared(host: Host, journal: Journal) -> Record:
    files = {at(host.root, path): entry for path, entry in shared_files().items()}
    return journal.plan(files, [at(host.root, folder) for folder in shared_folders()])


def _plan_own(
    host: Host, journal: Journal, companion: Companion, *, account_only: bool = False
) -> Record:
    files = account_files(companion)
    if not account_only:
        files |= own_files(companion)
    return journal.plan({at(host.root, path): entry for path, entry in files.items()})


def _pending(record: Record) -> list[Change]:
    return [change for change in record.changes if look(Path(change.path)) != change.after]


def _apply(journal: Journal, record: Record) -> list[str]:
    pending = _pending(record)
    journal.apply(record)
    return [f"wrote {change.path}" for change in pending]


def _commands(host: Host, companion: Companion, *, anew: bool) -> list[tuple[str, ...]]:
    """Return what makes the files take effect, without a reboot or a new login."""
    uid = companion.uid
    sockets = (f"privyseal-witness@{uid}.socket", f"privyseal-aws@{uid}.socket")
    faces = (*sockets, f"privyseal-console@{uid}.service")
    # They are done each time: in a run that did not finish they may be what failed.
    commands: list[tuple[str, ...]] = [*_RELOADING]
    commands.append(("systemctl", "restart" if anew else "start", *faces))
    commands += as_person(host, companion, "install", "--companion", "--no-start")
    if host.run("systemctl", "is-active", "--quiet", f"user@{uid}.service") == "":
        companion_units = (f"privyseal-companion@{uid}.target", f"privyseal-agent@{uid}.service")
        commands.append(("systemctl", "start", "--no-block", *companion_units))
    return commands


def _stopping(host: Host, companion: Companion) -> list[tuple[str, ...]]:
    uid = companion.uid
    kinds = ("target", "socket", "service")
    return [
        *as_person(host, companion, "uninstall"),
        ("systemctl", "stop", *(f"privyseal-*@{uid}.{kind}" for kind in kinds)),
        ("systemctl", "reset-failed", *(f"privyseal-*@{uid}.{kind}" for kind in kinds)),
    ]


def _leave_runtime(host: Host, companion: Companion) -> None:
    """Remove the empty folders that the units left below /run."""
    run = at(host.root, Path("/run/privyseal"))
    for folder in (run / str(companion.uid), run, at(host.root, STATE)):
        with suppress(OSError):
            folder.rmdir()
