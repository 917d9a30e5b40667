"""Files of a tree opened by the programs that people have for that: pass, gopass's pass, passage."""

import os
from collections.abc import Mapping
from pathlib import Path

from privyseal.aws.stores.tool import run


class Pass:
    """Runs `pass`, or another program with the same commands, on the tree in `top`."""

    suffix = ".gpg"
    _variable = "PASSWORD_STORE_DIR"
    _missing = "install pass, or name your program with `--pass-cmd`"

    def __init__(self, command: str, top: Path, environment: Mapping[str, str]) -> None:
        self._command = command
        self._environment = {"GPG_TTY": _terminal(), **environment, self._variable: str(top)}

    def show(self, name: str) -> bytes:
        """Return the text of an entry."""
        return self._run("show", name)

    def insert(self, name: str, text: bytes) -> None:
        """Write an entry, the text on stdin."""
        self._run("insert", "-m", "-f", name, given=text)

    def remove(self, name: str) -> None:
        """Delete an entry."""
        self._run("rm", "-f", name)

    def _run(self, *words: str, given: bytes = b"") -> bytes:
        argv = [self._command, *words]
        return run(argv, self._environment, given=given, missing=self._missing)


class Passage(Pass):
    """Runs `passage`."""

    suffix = ".age"
    _variable = "PASSAGE_DIR"
    _missing = "install passage, or name your program with `--pass-cmd`"


def _terminal() -> str:
    # pass asks tty(1) for it, which cannot tell: our standard input is a pipe to it.
    return next((os.ttyname(fd) for fd in (0, 2, 1) if os.isatty(fd)), "")
