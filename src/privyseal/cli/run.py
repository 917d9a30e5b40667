"""`privy run`: become a command that finds secrets in its environment or behind descriptors."""

import os
import re
from typing import Final

from privyseal.cli.fetch import LONGEST_WAIT, TIMEOUT
from privyseal.cli.finding import fetch
from privyseal.cli.get import NAMING
from privyseal.cli.reach import reach
from privyseal.cli.ref import Ref, parse
from privyseal.cli.spec import Argument, Option, Spec, Values, number
from privyseal.errors import NotFoundError, PrivysealError, UsageError

SECRET: Final = Option("--secret", "Put this secret into variable NAME.", "NAME=REF", many=True)
FILE: Final = Option(
    "--file", "Put the path of a file that holds this secret into NAME.", "NAME=REF", many=True
)

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def run(values: Values) -> int:
    """Fetch every secret in one request, then become the command."""
    command = tuple(values["command"])
    in_variable = [_named(text, SECRET) for text in values["secret"]]
    in_file = [_named(text, FILE) for text in values["file"]]
    both = [*in_variable, *in_file]
    names = [name for name, _ in both]
    if not both:
        raise UsageError("no secret was named", hint="use --secret NAME=REF or --file NAME=REF")
    if twice := next((name for name in names if names.count(name) > 1), ""):
        raise UsageError(f"the variable {twice} stands twice")
    program = _program(command[0])
    seconds = number(values, TIMEOUT, 0, most=LONGEST_WAIT)
    with reach(wake=True) as keeper:
        secrets = fetch(keeper, [ref for _, ref in both], seconds or None)
    environment = dict(os.environb)
    for name, secret in zip(names, secrets, strict=True):
        value = secret.expose()
        if name in dict(in_file):
            value = f"/dev/fd/{_inherited(value)}".encode()
        elif b"\0" in value:
            raise UsageError(
                f"the secret for {name} holds a zero byte, which no variable can",
                hint=f"use --file {name}=…",
            )
        environment[name.encode()] = value
    try:
        os.execve(program, command, environment)  # noqa: S606 - no shell may see the values
    except OSError as error:
        raise PrivysealError(f"cannot run {command[0]!r}: {error.strerror}") from error


def _named(text: str, option: Option) -> tuple[str, Ref]:
    name, equals, ref = text.partition("=")
    if not equals or _NAME.fullmatch(name) is None:
        raise UsageError(f"{option.flag} wants NAME=REF, not {text!r}")
    return name, parse(ref)


def _program(name: str) -> str:
    places = [""] if "/" in name else os.get_exec_path()
    for place in places:
        path = os.path.join(place, name)  # noqa: PTH118 - pathlib costs 6 ms
        if os.path.isfile(path) and os.access(path, os.X_OK):  # noqa: PTH113 - the same
            return path
    raise NotFoundError(f"no such command: {name!r}")


def _inherited(value: bytes) -> int:
    # Not sealed and not close-on-exec: it belongs to the command now. It is read from the start,
    # since opening /dev/fd/N opens the file anew.
    fd = os.memfd_create("secret", os.MFD_ALLOW_SEALING)
    view = memoryview(value)
    while view:
        view = view[os.write(fd, view) :]
    os.lseek(fd, 0, os.SEEK_SET)
    return fd


SPEC: Final = Spec(
    "Run a command that gets secrets, after a person allowed it.",
    run,
    (SECRET, FILE, TIMEOUT),
    (Argument("command", rest=True),),
    f"{NAMING} All secrets are one request. The command takes the place of this process, so its "
    "signals and its exit status are its own.",
)
