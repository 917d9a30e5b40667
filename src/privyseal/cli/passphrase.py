"""Passphrases: from the terminal or from a file descriptor, never from arguments or environment."""

import os
from typing import Final

from privyseal.errors import UsageError
from privyseal.model.passphrase import check_new
from privyseal.model.secret import Secret

LONGEST: Final = 4096


def passphrase(what: str, fd: int | None, *, option: str, new: bool = False) -> Secret:
    """Return a passphrase, read from `fd` up to its end if there is one, else from the terminal.

    Args:
        what: What it is for, as the prompt says: "Passphrase of the store".
        fd: The descriptor that a person gave with `option`.
        option: The name of that option, for the hint where there is no terminal.
        new: Ask twice, and take none that is too short.

    Raises:
        UsageError: It is empty, too long, too short to be new, or there is nowhere to read it from.
    """
    if fd is not None:
        return _from_fd(fd, new=new)
    from getpass import getpass  # noqa: PLC0415 - most calls of privy ask nothing

    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC))
    except OSError as error:
        raise UsageError(
            f"there is no terminal to ask for the {what[:1].lower()}{what[1:]}",
            hint=f"use {option}",
        ) from error
    try:
        first = _checked(getpass(f"{what}: ").encode(), new=new)
        if new and first != Secret(getpass("Once more: ").encode()):
            raise UsageError("the two passphrases differ")
    except EOFError as error:
        raise UsageError("no passphrase was given") from error
    return first


def _from_fd(fd: int, *, new: bool) -> Secret:
    value = b""
    try:
        while len(value) <= LONGEST and (more := os.read(fd, LONGEST)):
            value += more
    except OSError as error:
        raise UsageError(f"cannot read descriptor {fd}: {error.strerror}") from error
    return _checked(value.removesuffix(b"\n"), new=new)


def _checked(value: bytes, *, new: bool) -> Secret:
    if not value:
        raise UsageError("the passphrase is empty")
    if len(value) > LONGEST:
        raise UsageError(f"the passphrase is longer than {LONGEST} bytes")
    secret = Secret(value)
    if new:
        check_new(secret)
    return secret
