"""A command as a child: its signals are ours, and so is how it ends."""

import os
import signal
from collections.abc import Mapping, Sequence
from typing import Final

from privyseal.cli.aws.become import program
from privyseal.errors import PrivysealError

_FROM_KERNEL: Final = 0x80  # SI_KERNEL: the terminal sent it, to the child as well (sigaction(2))
_KEPT: Final = frozenset({signal.SIGKILL, signal.SIGSTOP, signal.SIGCHLD})
FORWARDED: Final = frozenset(signal.valid_signals()) - _KEPT


def hold_signals() -> set[signal.Signals]:
    """Keep signals for `run`; return the mask before. Threads started from now on hear none."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, FORWARDED | {signal.SIGCHLD})
    return {signal.Signals(number) for number in before}


def run(
    command: Sequence[str],
    environment: Mapping[str, str],
    mask: set[signal.Signals],
    fds: Sequence[int] = (),
) -> int:
    """Run the command as a child with our terminal, files and `fds`, after `hold_signals`.

    Every signal that somebody sends us goes on to it; those of the terminal reach it anyway. When
    it is stopped we stop as well, so that the shell gets its prompt.

    Returns:
        Its exit status. A child that a signal ended takes us with it by the same signal.

    Raises:
        NotFoundError: There is no such command.
        PrivysealError: The system refuses to run it.
    """
    path = program(command[0])
    for fd in fds:
        os.set_inheritable(fd, True)  # noqa: FBT003 - its only form
    ours = {signal.SIGPIPE, signal.SIGXFSZ}  # Python ignores these; a command expects them
    try:
        pid = os.posix_spawn(path, [*command], {**environment}, setsigmask=mask, setsigdef=ours)
    except OSError as error:
        raise PrivysealError(f"cannot run {command[0]!r}: {error.strerror}") from error
    while True:
        info = signal.sigwaitinfo(FORWARDED | {signal.SIGCHLD})
        if info.si_signo != signal.SIGCHLD:
            if info.si_code != _FROM_KERNEL:
                os.kill(pid, info.si_signo)
            continue
        found, status = os.waitpid(pid, os.WNOHANG | os.WUNTRACED)
        if found and os.WIFSTOPPED(status):
            os.kill(os.getpid(), signal.SIGSTOP)
            os.kill(pid, signal.SIGCONT)
        elif found:
            return status


def leave(status: int) -> int:
    """Return the exit status for what `run` returned, or die of the signal that the child died of."""
    if not os.WIFSIGNALED(status):
        return os.WEXITSTATUS(status)
    number = os.WTERMSIG(status)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {number})
    if number not in {signal.SIGKILL, signal.SIGSTOP}:
        signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
    return 128 + number
