"""A person at a terminal of her own, who answers what a command asks."""

import os
import pty
import select
import subprocess
import time
from collections.abc import Mapping, Sequence
from typing import Final

from tests.integration.cli.aws.desk import Desk, Done
from tests.waiting import PATIENCE

INTERRUPT: Final = "\x03"
_AGAIN_SECONDS: Final = 3.0


def at_terminal(
    desk: Desk,
    argv: Sequence[str],
    answers: Sequence[tuple[str, str]],
    env: Mapping[str, str] | None = None,
) -> Done:
    """Run a command with a controlling terminal; answer each question when it comes.

    What the terminal showed is `err`, what went to standard output is `out`.
    """
    master, slave = pty.openpty()
    variables = {**desk.environment, **(env or {})}
    try:
        with subprocess.Popen(
            ["setsid", "--ctty", "--wait", *argv],
            env={name: text for name, text in variables.items() if text},
            stdin=slave,
            stdout=subprocess.PIPE,
            stderr=slave,
        ) as process:
            os.close(slave)
            shown, answer = b"", ""
            try:
                for question, answer in answers:
                    shown += _until(master, question)
                    os.write(master, f"{answer}\n".encode())
                out = _ended(process, master, INTERRUPT if INTERRUPT in answer else "")
            except BaseException:
                process.kill()
                raise
            shown += _rest(master)
    finally:
        os.close(master)
    return Done(process.returncode, out.decode(), shown.decode(errors="replace"))


def _ended(process: "subprocess.Popen[bytes]", master: int, again: str) -> bytes:
    """Return the output of a command that ends; like a person, press Ctrl-C again if it does not.

    A signal that comes just before a read(2) does not end it.
    """
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return process.communicate(timeout=_AGAIN_SECONDS if again else PATIENCE)[0]
        except subprocess.TimeoutExpired:
            if time.monotonic() > deadline or not again:
                raise
            os.write(master, again.encode())


def _until(master: int, question: str) -> bytes:
    found, deadline = b"", time.monotonic() + PATIENCE
    while question.encode() not in found:
        ready, _, _ = select.select([master], [], [], max(0.0, deadline - time.monotonic()))
        more = _read(master) if ready else b""
        assert more, f"{question!r} was not asked: {found!r}"
        found += more
    return found


def _rest(master: int) -> bytes:
    found = b""
    while select.select([master], [], [], 0)[0] and (more := _read(master)):
        found += more
    return found


def _read(master: int) -> bytes:
    try:
        return os.read(master, 65536)
    except OSError:
        return b""  # the other end is closed
