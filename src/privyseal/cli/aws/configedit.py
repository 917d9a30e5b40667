"""Changes to ~/.aws/config: shown as a diff first, then put in place whole."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from difflib import unified_diff
from fcntl import LOCK_EX, flock
from pathlib import Path
from typing import NamedTuple

from privyseal.cli.report import GREEN, RED, paint
from privyseal.errors import ConflictError, CorruptError, PrivysealError, UsageError
from privyseal.runtime.durable import durable_file
from privyseal.wire.aws.inifile import IniFile, parse
from privyseal.wire.sanitise import fit

_LONGEST_LINE = 500


class Change(NamedTuple):
    """A file before and after an edit; nothing is written until `write`."""

    path: Path
    before: str
    after: str

    def diff(self) -> list[str]:
        """Return the lines of a unified diff, none where nothing changes."""
        lines = unified_diff(
            self.before.splitlines(),
            self.after.splitlines(),
            str(self.path),
            str(self.path),
            "",
            "",
        )
        return [line.rstrip("\n") for line in lines]

    def write(self) -> None:
        """Put the file in place, for its owner alone where it is new.

        Raises:
            ConflictError: Somebody else changed it since it was read.
            PrivysealError: It cannot be written.
        """
        if self.after == self.before:
            return
        # Through a link, so that a configuration kept in a dotfiles folder stays there.
        real = self.path.resolve()
        try:
            real.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with _alone(real.parent):
                if _text(real) != self.before:
                    raise ConflictError(
                        f"{str(self.path)!r} was changed meanwhile, and is left as it is",
                        hint="run the command again",
                    )
                mode = real.stat().st_mode & 0o777 if real.exists() else 0o600
                with durable_file(real) as file:
                    os.fchmod(file.fileno(), mode)
                    file.write(self.after.encode())
        except OSError as error:
            raise PrivysealError(f"cannot write {str(self.path)!r}: {error.strerror}") from error


def propose(path: str | Path, edit: Callable[[IniFile], IniFile]) -> Change:
    """Return what an edit makes of a file; one that is missing counts as empty.

    Raises:
        CorruptError: The file cannot be read as a configuration.
        UsageError: The edit would write what cannot stand in the file.
    """
    before = _text(Path(path))
    try:
        after = edit(parse(before)).text()
    except CorruptError as error:
        raise CorruptError(f"{str(path)!r}, {error}") from error
    return Change(Path(path), before, after)


def print_diff(change: Change) -> None:
    """Print a change for a person, on stdout."""
    for line in change.diff():
        colour = {"+": GREEN, "-": RED}.get(line[:1], "")
        shown = fit(line, _LONGEST_LINE)
        print(paint(shown, colour, sys.stdout) if colour else shown)


def _text(path: Path) -> str:
    try:
        # As bytes: reading as text would turn CRLF into LF.
        return path.read_bytes().decode()
    except FileNotFoundError:
        return ""
    except UnicodeDecodeError as error:
        raise UsageError(f"the file is no text: {str(path)!r}") from error
    except OSError as error:
        raise PrivysealError(f"cannot read {str(path)!r}: {error.strerror}") from error


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        flock(fd, LOCK_EX)
        yield
    finally:
        os.close(fd)
