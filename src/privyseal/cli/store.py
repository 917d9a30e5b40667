"""`privy store`: export, import and passphrase of the embedded store, without the keeper."""

import os
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import click

from privyseal.cli.outfile import new_file
from privyseal.cli.passphrase import passphrase
from privyseal.cli.reach import way_in
from privyseal.cli.report import print_json, say
from privyseal.errors import ConflictError, CorruptError, NotFoundError, PrivysealError
from privyseal.model.keyring import ItemInfo, ItemRef
from privyseal.model.secret import Secret
from privyseal.model.value import encode
from privyseal.runtime import config
from privyseal.runtime.clock import SystemClock
from privyseal.runtime.settings import load_now
from privyseal.runtime.vault import Vault, load
from privyseal.runtime.vaultcare import Exported, change_passphrase, contents, insert_many
from privyseal.runtime.vaultfile import store_path
from privyseal.runtime.wholefile import read_whole
from privyseal.wire.age.codec import Decryptor, Encryptor
from privyseal.wire.age.keys import (
    Identity,
    Recipient,
    ScryptIdentity,
    ScryptRecipient,
    parse_identities,
    parse_recipient,
)
from privyseal.wire.storefile import (
    VERSION,
    CollectionLine,
    ItemLine,
    LineReader,
    StoreLine,
    line_of,
)

_PIECE: Final = 256 * 1024
_MAX_IDENTITY_FILE: Final = 64 * 1024

_Command = Callable[..., Any]


def _usual_store() -> Path:
    companion = way_in()
    if companion is not None:
        account = companion.account
        raise ConflictError(
            f"the store of {companion.user} is the companion's, and root alone gets at it",
            hint=f"as root: `sudo -u {account} privy store … --store {companion.store}`",
        )
    return config.store_path(load_now().config)


def _store_options(function: _Command) -> _Command:
    function = click.option("--json", "as_json", is_flag=True, help="Print the counts as JSON.")(
        function
    )
    function = click.option(
        "--passphrase-fd",
        type=click.IntRange(0),
        metavar="N",
        help="Read the store's passphrase from file descriptor N, up to its end.",
    )(function)
    return click.option(
        "--store",
        type=click.Path(path_type=Path),
        default=_usual_store,
        metavar="PATH",
        help="The store's folder, if it is not the usual one.",
    )(function)


@click.group("store", help="Export, import or rekey the embedded store.")
def command() -> None:
    """Group the commands on the store."""


@command.command("export")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--recipient", "recipients", multiple=True, metavar="AGE1...", help="For this key.")
@click.option("--armor", is_flag=True, help="Write text instead of bytes.")
@click.option(
    "--file-passphrase-fd",
    type=click.IntRange(0),
    metavar="N",
    help="Read the new file's passphrase from file descriptor N.",
)
@_store_options
def export(
    file: Path,
    recipients: tuple[str, ...],
    store: Path,
    passphrase_fd: int | None,
    file_passphrase_fd: int | None,
    *,
    armor: bool,
    as_json: bool,
) -> None:
    """Write all collections, items and values to a new age file.

    It is encrypted to the given recipients, or else with a passphrase that is asked for.
    """
    known: list[Recipient] = [parse_recipient(text) for text in recipients]
    with _opened(store, passphrase_fd) as vault, new_file(file) as output:
        if not known:
            secret = passphrase(
                "Passphrase for the export",
                file_passphrase_fd,
                option="--file-passphrase-fd or --recipient",
                new=True,
            )
            known = [ScryptRecipient(secret)]
        encryptor = Encryptor(known, os.urandom, armored=armor)
        collections, items = 0, 0
        for line in _lines(vault):
            output.write(encryptor.feed(line_of(line)))
            collections += isinstance(line, CollectionLine)
            items += isinstance(line, ItemLine)
        output.write(encryptor.finish())
    _report("exported", {"collections": collections, "items": items}, as_json=as_json)


@command.command("import")
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--identity",
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="An age identity file; without it, a passphrase is asked for.",
)
@click.option(
    "--file-passphrase-fd",
    type=click.IntRange(0),
    metavar="N",
    help="Read the file's passphrase from file descriptor N.",
)
@_store_options
def import_(
    file: Path,
    identity: Path | None,
    store: Path,
    passphrase_fd: int | None,
    file_passphrase_fd: int | None,
    *,
    as_json: bool,
) -> None:
    """Add everything that an export holds to the store, or nothing if anything is wrong with it.

    Items that are there already, the same in every part, are skipped. Nothing is overwritten.
    """
    with _opened(store, passphrase_fd) as vault:
        identities: list[Identity]
        if identity is not None:
            identities = parse_identities(Secret(read_whole(identity, _MAX_IDENTITY_FILE)))
        else:
            secret = passphrase(
                "Passphrase of the export",
                file_passphrase_fd,
                option="--file-passphrase-fd or --identity",
            )
            identities = [ScryptIdentity(secret)]
        lines = _sound(file, _decrypted(file, identities))
        intake = _Intake(vault)
        added = insert_many(vault, intake.items(lines), replace=False)
        intake.settle()
    _report("imported", {"added": added, "skipped": intake.skipped}, as_json=as_json)


@command.command("passphrase")
@click.option(
    "--new-passphrase-fd",
    type=click.IntRange(0),
    metavar="N",
    help="Read the new passphrase from file descriptor N.",
)
@_store_options
def rekey(
    store: Path, passphrase_fd: int | None, new_passphrase_fd: int | None, *, as_json: bool
) -> None:
    """Change the passphrase of the store.

    Older copies of the store, in backups, still open with the old one.
    """
    with _found(store) as vault:
        old = passphrase("Passphrase of the store", passphrase_fd, option="--passphrase-fd")
        vault.unlock(old)
        new = passphrase(
            "New passphrase", new_passphrase_fd, option="--new-passphrase-fd", new=True
        )
        change_passphrase(vault, old, new)
    _report("changed the passphrase", {}, as_json=as_json)


class _Intake:
    """Turns the lines of an export into items for a store, and leaves out what that holds."""

    def __init__(self, vault: Vault) -> None:
        self.skipped = 0
        self._vault = vault
        self._there = Counter(
            _fingerprint(item.collection, item.info, item.value) for item in contents(vault)
        )
        self._known = {info.id: info.id for info in vault.collections()}
        self._labelled = _by_label(vault)
        self._lines: dict[str, CollectionLine] = {}
        self._filled: set[str] = set()

    def items(self, lines: Iterable[CollectionLine | ItemLine]) -> Iterator[Exported]:
        """Yield what the store lacks."""
        for line in lines:
            if isinstance(line, CollectionLine):
                self._lines[line.id] = line
                continue
            named = self._lines[line.collection]
            self._filled.add(named.id)
            info = ItemInfo(
                ref=ItemRef(collection=self._target(named), item=""),
                label=line.label,
                attributes=line.attributes,
                content_type=line.content_type,
                created=line.created,
                modified=line.modified,
            )
            value = Secret(line.value, line.content_type)
            print_ = _fingerprint(info.ref.collection, info, value)
            if self._there[print_]:
                self._there[print_] -= 1
                self.skipped += 1
            else:
                yield Exported(info.ref.collection, named.label, info, value)

    def settle(self) -> None:
        """Make the collections that came without items, and the aliases that the store lacks."""
        labelled = _by_label(self._vault)
        aliases = self._vault.aliases()
        for line in self._lines.values():
            target = self._known.get(line.id) or labelled.get(line.label, "")
            if not target and line.id not in self._filled:
                target = self._vault.create_collection(line.label)
            for alias in line.aliases:
                if target and alias not in aliases:
                    self._vault.set_alias(alias, target)

    def _target(self, line: CollectionLine) -> str:
        """Return the store's collection of that name or that label; else its name in the export."""
        return self._known.get(line.id) or self._labelled.get(line.label) or line.id


def _by_label(vault: Vault) -> dict[str, str]:
    """Return the oldest collection of each label."""
    return {info.label: info.id for info in reversed(vault.collections()) if info.label}


def _fingerprint(collection: str, info: ItemInfo, value: Secret) -> bytes:
    parts = (collection, info.label, info.attributes, value.content_type)
    return sha256(encode(parts) + b"\0" + value.expose()).digest()


def _lines(vault: Vault) -> Iterator[StoreLine | CollectionLine | ItemLine]:
    yield StoreLine(version=VERSION)
    aliases: dict[str, list[str]] = {}
    for alias, collection in vault.aliases().items():
        aliases.setdefault(collection, []).append(alias)
    for info in vault.collections():
        names = tuple(sorted(aliases.get(info.id, ())))
        yield CollectionLine(id=info.id, label=info.label, aliases=names)
    for item in contents(vault):
        yield ItemLine(
            collection=item.collection,
            label=item.info.label,
            attributes=item.info.attributes,
            content_type=item.info.content_type,
            created=item.info.created,
            modified=item.info.modified,
            value=item.value.expose(),
        )


def _sound(
    path: Path, lines: Iterable[CollectionLine | ItemLine]
) -> Iterator[CollectionLine | ItemLine]:
    """Yield the lines, and lay what is wrong with them to the file, not to the store."""
    try:
        yield from lines
    except CorruptError as error:
        raise PrivysealError(
            f"cannot import {str(path)!r}: {error}", hint="export it again; nothing was changed"
        ) from error


def _decrypted(path: Path, identities: list[Identity]) -> Iterator[CollectionLine | ItemLine]:
    decryptor, reader = Decryptor(identities), LineReader()
    try:
        with (
            path.open("rb") as file,
            click.progressbar(
                length=path.stat().st_size,
                file=sys.stderr,
                label="importing",
                hidden=not sys.stderr.isatty(),
            ) as progress,
        ):
            while piece := file.read(_PIECE):
                progress.update(len(piece))
                yield from reader.feed(decryptor.feed(piece))
    except FileNotFoundError as error:
        raise NotFoundError(f"there is no file {str(path)!r}") from error
    except OSError as error:
        raise PrivysealError(f"cannot read {str(path)!r}: {error.strerror}") from error
    yield from reader.feed(decryptor.finish())
    reader.finish()


@contextmanager
def _found(folder: Path) -> Iterator[Vault]:
    if not store_path(folder).exists():
        raise NotFoundError(
            f"there is no store in {str(folder)!r}", hint="make one with `privy unlock`"
        )
    with closing(load(folder, clock=SystemClock())) as vault:
        yield vault


@contextmanager
def _opened(folder: Path, passphrase_fd: int | None) -> Iterator[Vault]:
    with _found(folder) as vault:
        vault.unlock(passphrase("Passphrase of the store", passphrase_fd, option="--passphrase-fd"))
        yield vault


def _report(done: str, counts: dict[str, int], *, as_json: bool) -> None:
    if as_json:
        print_json(counts)
    else:
        words = [
            f", {number} {name.removesuffix('s') if number == 1 else name}"
            for name, number in counts.items()
        ]
        say(done + "".join(words))
