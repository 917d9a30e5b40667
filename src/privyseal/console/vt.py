"""The virtual terminal under the console: who is in front, and whether one may switch away.

The numbers are those of linux/vt.h and linux/kd.h; console_ioctl(4) and ioctl_vt(2) explain them.
No call here needs a capability: the kernel grants them to whose controlling terminal it is.
"""

import contextlib
import fcntl
import os
import signal
import struct
from typing import Final

from privyseal.errors import UsageError

RELEASE: Final = signal.SIGUSR1
"""The kernel sends it when somebody wants to switch away; it waits for `allow` or `refuse`."""
ACQUIRE: Final = signal.SIGUSR2
"""The kernel sends it when this terminal has come to the front."""

_TTY_MAJOR: Final = 4
_MOST_CONSOLES: Final = 63

_KDSETMODE: Final = 0x4B3A
_KD_TEXT: Final = 0
_KDSKBMODE: Final = 0x4B45
_K_UNICODE: Final = 3
_VT_GETMODE: Final = 0x5601
_VT_SETMODE: Final = 0x5602
_VT_GETSTATE: Final = 0x5603
_VT_RELDISP: Final = 0x5605
_VT_ACTIVATE: Final = 0x5606
_VT_AUTO: Final = 0
_VT_PROCESS: Final = 1
_VT_ACKACQ: Final = 2
_MODE: Final = struct.Struct("bbhhh")
_STATE: Final = struct.Struct("HHH")


class VirtualTerminal:
    """The virtual terminal open as `fd`, which has to be this process's controlling terminal.

    Raises:
        UsageError: `fd` is another kind of terminal, or not the controlling one.
    """

    def __init__(self, fd: int = 0) -> None:
        device = os.fstat(fd).st_rdev
        self.number = os.minor(device)
        if os.major(device) != _TTY_MAJOR or not 1 <= self.number <= _MOST_CONSOLES:
            raise UsageError("standard input is not a virtual terminal")
        self._fd = fd
        try:
            self.reset()
        except OSError as error:
            raise UsageError(
                f"cannot take the virtual terminal tty{self.number}: {error.strerror}",
                hint="start it with its controlling terminal, as the unit does with TTYPath=",
            ) from error

    def reset(self) -> None:
        """Undo what another program may have done to screen and keyboard.

        systemd hands terminals over so that write(1) and wall(1) can write to them; not this one.
        """
        os.fchmod(self._fd, 0o600)
        fcntl.ioctl(self._fd, _KDSETMODE, _KD_TEXT)
        fcntl.ioctl(self._fd, _KDSKBMODE, _K_UNICODE)

    @property
    def in_front(self) -> bool:
        """Whether this is the terminal that a person sees and types on."""
        active, *_ = _STATE.unpack(fcntl.ioctl(self._fd, _VT_GETSTATE, bytes(_STATE.size)))
        return bool(active == self.number)

    def guard(self) -> None:
        """Let the kernel ask this process before each switch; it has to listen already.

        When this process dies, however it dies, the kernel lets the next switch pass.

        Raises:
            UsageError: The kernel did not take it.
        """
        wanted = _MODE.pack(_VT_PROCESS, 0, RELEASE, ACQUIRE, 0)
        fcntl.ioctl(self._fd, _VT_SETMODE, wanted)
        if fcntl.ioctl(self._fd, _VT_GETMODE, bytes(_MODE.size)) != wanted:
            raise UsageError(f"tty{self.number} does not ask before it is switched away")

    def unguard(self) -> None:
        """Leave switching to the kernel again; no error when the terminal is gone."""
        with contextlib.suppress(OSError):
            fcntl.ioctl(self._fd, _VT_SETMODE, _MODE.pack(_VT_AUTO, 0, 0, 0, 0))

    def refuse(self) -> None:
        """Stay in front: the switch that the kernel asked about does not happen."""
        self._answer(0)

    def allow(self) -> None:
        """Let the switch happen that the kernel asked about."""
        self._answer(1)

    def acquired(self) -> None:
        """Confirm that this process knows to be in front."""
        self._answer(_VT_ACKACQ)

    def activate(self) -> None:
        """Ask for the front, without waiting: whoever is there may refuse."""
        with contextlib.suppress(OSError):
            fcntl.ioctl(self._fd, _VT_ACTIVATE, self.number)

    def _answer(self, answer: int) -> None:
        # EINVAL: the kernel no longer waits for an answer.
        with contextlib.suppress(OSError):
            fcntl.ioctl(self._fd, _VT_RELDISP, answer)
