"""`privy audit`: read, search, verify and export the log; works on its files, without the keeper."""

import re
import sys
from collections import deque
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import click
import msgspec

from privyseal.cli.auditquery import Query, moment
from privyseal.cli.outfile import new_file
from privyseal.cli.reach import only_own_session
from privyseal.cli.report import print_json, print_table
from privyseal.errors import CorruptError, NotFoundError, UsageError
from privyseal.model.receipt import Entry
from privyseal.model.value import decode
from privyseal.runtime.audit import log_files, log_lines
from privyseal.runtime.clock import SystemClock
from privyseal.runtime.config import audit_path
from privyseal.runtime.settings import load_now
from privyseal.wire.auditcheck import Verifier

_HEAD: Final = ("N", "WHEN", "EVENT", "WHAT", "OUTCOME", "WHO", "ITEMS", "BY")
_WIDTHS: Final = (9, 19, 8, 17, 9, 28, 36, 24)

_Command = Callable[..., Any]


def _folder_option(function: _Command) -> _Command:
    return click.option(
        "--folder",
        type=click.Path(path_type=Path),
        metavar="PATH",
        help="The log's folder, if it is not the usual one.",
    )(function)


def _json_option(function: _Command) -> _Command:
    return click.option("--json", "as_json", is_flag=True, help="Print JSON.")(function)


@click.group("audit", help="Read, search, verify and export the audit log.")
def command() -> None:
    """Group the commands on the audit log."""


@command.command("show")
@click.option("-n", "--last", type=click.IntRange(1, 100_000), default=20, help="How many entries.")
@_folder_option
@_json_option
def show(last: int, folder: Path | None, *, as_json: bool) -> None:
    """Print the newest entries, oldest of them first."""
    newest: deque[Entry] = deque()
    for path in reversed(_files(folder)):
        tail = deque(_entries([path]), maxlen=last - len(newest))
        newest.extendleft(reversed(tail))
        if len(newest) == last:
            break
    _print(list(newest), as_json=as_json)


@command.command("search")
@click.argument("text", default="")
@click.option("--program", default="", help="Part of the requester's name.")
@click.option("--item", default="", help="Part of an item's name or label.")
@click.option("--outcome", default="", help="allowed, denied, leased, expired, ...")
@click.option("--since", default="", metavar="WHEN", help="2026-03-01, '2026-03-01 14:00', 2h, 3d.")
@click.option("--until", default="", metavar="WHEN", help="Like --since.")
@_folder_option
@_json_option
def search(
    text: str,
    program: str,
    item: str,
    outcome: str,
    since: str,
    until: str,
    folder: Path | None,
    *,
    as_json: bool,
) -> None:
    """Print the entries that hold TEXT anywhere and fit every option; case does not matter."""
    now = SystemClock().wall()
    query = Query(
        text=text,
        program=program,
        item=item,
        outcome=outcome,
        since=moment(since, now) if since else 0.0,
        until=moment(until, now) if until else float("inf"),
    )
    found = [entry for entry in _entries(_files(folder)) if query.matches(entry)]
    if not found and not as_json:
        raise NotFoundError("no entry of the audit log fits")
    _print(found, as_json=as_json)


@command.command("verify")
@click.argument("files", nargs=-1, type=click.Path(path_type=Path))
@click.option("--head", default="", metavar="HASH", help="An earlier head that must be in the log.")
@click.option("--key", default="", metavar="HEX", help="The public key all receipts must have.")
@_folder_option
@_json_option
def verify(
    files: tuple[Path, ...], head: str, key: str, folder: Path | None, *, as_json: bool
) -> None:
    """Check every entry and every receipt; say nothing when all is well.

    Give FILES, oldest first, to check an export or files that were moved away.
    """
    paths = list(files) or _files(folder)
    verifier = Verifier(key=key)
    wanted = _hash(head)
    seen = not wanted
    total = sum(path.stat().st_size for path in paths if path.is_file())
    with click.progressbar(
        length=total, file=sys.stderr, label="verifying", hidden=not sys.stderr.isatty()
    ) as progress:
        for path in paths:
            for entry in verifier.verify(path.name, _counted(path, progress.update)):
                seen = seen or entry.hash == wanted
    if not seen:
        raise CorruptError(
            f"no entry has the hash {wanted!r}: the log's end was cut off, or it is another log"
        )
    number, last = verifier.head
    if as_json:
        print_json({"entries": number, "head": last})


@command.command("head")
@_folder_option
@_json_option
def head(folder: Path | None, *, as_json: bool) -> None:
    """Print number and hash of the newest entry, to be noted where this machine cannot write."""
    newest = None
    for path in reversed(_files(folder)):
        for entry in _entries([path]):
            newest = entry
        if newest is not None:
            break
    if newest is None:
        raise NotFoundError("the audit log has no entry yet")
    if as_json:
        print_json({"entries": newest.n, "head": newest.hash})
    else:
        print(f"{newest.n}:{newest.hash}")


@command.command("export")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="A new file, else stdout.")
@_folder_option
def export(output: Path | None, folder: Path | None) -> None:
    """Write the whole log as JSON lines, byte for byte, so that the copy can be verified."""
    paths = _files(folder)
    if output is None:
        for path in paths:
            for line in log_lines(path, live=True):
                sys.stdout.buffer.write(line)
        sys.stdout.buffer.flush()
        return
    with new_file(output) as file:
        for path in paths:
            file.writelines(log_lines(path, live=True))


def _files(folder: Path | None) -> list[Path]:
    if folder is None:
        only_own_session("the audit log can only be read")
        folder = audit_path(load_now().config)
    hint = "`--folder PATH` reads another; a trial has its own, which ends with it"
    try:
        paths = log_files(folder)
    except NotFoundError as error:
        raise NotFoundError(str(error), hint=hint) from error
    if not paths:
        raise NotFoundError(f"there is no audit log in {str(folder)!r}", hint=hint)
    return paths


def _hash(head: str) -> str:
    """Return the hash in what `privy audit head` printed, with or without the number."""
    text = head.strip().rpartition(":")[2].lower()
    if head and not re.fullmatch("[0-9a-f]{64}", text):
        raise UsageError(
            f"{head!r} is no head of a log", hint="give what `privy audit head` printed"
        )
    return text


def _counted(path: Path, count: Callable[[int], None]) -> Iterator[bytes]:
    for line in log_lines(path, live=True):
        count(len(line))
        yield line


def _entries(paths: list[Path]) -> Iterator[Entry]:
    for path in paths:
        for number, line in enumerate(log_lines(path, live=True), 1):
            try:
                yield decode(line, Entry, what="the entry")
            except UsageError as error:
                raise CorruptError(
                    f"{path.name}, line {number}: {error}",
                    hint="check it with `privy audit verify`",
                ) from error


def _print(entries: list[Entry], *, as_json: bool) -> None:
    if as_json:
        print_json([msgspec.to_builtins(entry) for entry in entries])
    else:
        print_table(_HEAD, [_row(entry) for entry in entries], _WIDTHS)


def _row(entry: Entry) -> tuple[str, ...]:
    when = datetime.fromtimestamp(entry.at).astimezone().isoformat(" ", "seconds")[:19]
    by = entry.receipt.decided_by if entry.receipt is not None else entry.via
    return (
        str(entry.n),
        when,
        entry.event,
        entry.kind,
        entry.outcome,
        entry.requester,
        ", ".join(entry.items) or entry.detail,
        by,
    )
