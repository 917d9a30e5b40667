"""The machine from outside: its power, its keyboard, its screen's pixels, its serial line."""

import contextlib
import subprocess
import time
from pathlib import Path
from typing import Final

from tests.vm.build import Image
from tests.vm.channel import Channel, HungError

_MEMORY_MIB: Final = 1024
_MONITOR_SECONDS: Final = 60
_HOLD_MILLISECONDS: Final = 25
_KEY_SECONDS: Final = 0.06


class Qemu:
    """A running QEMU, emulating in software: no hardware support, no window, no network until it is plugged in."""

    def __init__(self, image: Image, folder: Path, *, serial_shell: bool) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("monitor", "guest", "serial"):
            (folder / name).unlink(missing_ok=True)
        self.serial_log = folder / "serial.log"
        self.serial_log.unlink(missing_ok=True)
        self._log = folder / "qemu.log"
        with self._log.open("wb") as output:
            self._process = subprocess.Popen(
                _command(image, folder, serial_shell=serial_shell),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                # Ctrl-C in a terminal is for the run, which then ends the machine in order.
                start_new_session=True,
            )
        try:
            self._monitor = Channel(folder / "monitor")
            self._monitor.receive(_MONITOR_SECONDS)
            self.command("qmp_capabilities")
        except HungError as error:
            self.stop()
            raise HungError(f"{error}\n{self._log.read_text(errors='replace')}") from error

    @property
    def pid(self) -> int:
        """The process to end when it was left running."""
        return self._process.pid

    def command(self, name: str, **arguments: object) -> object:
        """Give a command to QEMU's monitor (QMP) and return its answer.

        Raises:
            HungError: It was refused, or nothing came back.
        """
        self._monitor.send({"execute": name, "arguments": arguments})
        while True:
            answer = self._monitor.receive(_MONITOR_SECONDS)
            if "return" in answer:
                return answer["return"]
            if "error" in answer:
                raise HungError(f"QEMU refused {name!r}: {answer['error']}")

    def press(self, *keys: str) -> None:
        """Press keys together and let go, in QEMU's names: "ctrl", "alt", "f8", "sysrq", "a"."""
        wanted = [{"type": "qcode", "data": key} for key in keys]
        self.command("send-key", keys=wanted, **{"hold-time": _HOLD_MILLISECONDS})
        time.sleep(_KEY_SECONDS)  # the emulated keyboard holds sixteen bytes

    def plug_network(self) -> None:
        """Plug in a card whose network is this host's user, in QEMU's own way: 10.0.2.0/24."""
        self.command("netdev_add", type="user", id="net")
        self.command("device_add", driver="virtio-net-pci", netdev="net", id="card")

    def unplug_network(self) -> None:
        """Pull the card out, once the machine lets go of it, and its network."""
        self.command("device_del", id="card")
        self.command("netdev_del", id="net")

    def picture(self, file: Path) -> None:
        """Save what a person in front of the screen sees, as a PNG."""
        file.parent.mkdir(parents=True, exist_ok=True)
        self.command("screendump", filename=str(file), format="png")

    def serial_tail(self, lines: int = 40) -> str:
        """Return the end of what the kernel and systemd said on the serial line."""
        with contextlib.suppress(OSError):
            return "\n".join(self.serial_log.read_text(errors="replace").splitlines()[-lines:])
        return ""

    def stop(self) -> None:
        """Switch it off, whatever it is doing."""
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def _command(image: Image, folder: Path, *, serial_shell: bool) -> list[str]:
    kernel = "root=/dev/vda rw rootflags=noatime console=tty0 console=ttyS0 mitigations=off quiet"
    if not serial_shell:
        kernel += " systemd.mask=serial-getty@ttyS0.service"
    disk = f"file={image.disk},format=raw,if=virtio,snapshot=on,cache=unsafe"
    return [
        "qemu-system-x86_64",
        *("-machine", "pc,usb=off"),
        *("-accel", "tcg,thread=multi,tb-size=256"),
        *("-cpu", "qemu64"),
        *("-smp", "2"),
        *("-m", str(_MEMORY_MIB)),
        *("-nodefaults", "-no-user-config"),
        *("-display", "none"),
        *("-vga", "std"),
        *("-rtc", "base=utc,clock=host"),
        *("-kernel", str(image.kernel)),
        *("-initrd", str(image.initrd)),
        *("-append", kernel),
        *("-drive", disk),
        *("-qmp", f"unix:{folder}/monitor,server=on,wait=off"),
        *(
            "-chardev",
            f"socket,id=s,path={folder}/serial,server=on,wait=off,logfile={folder}/serial.log",
        ),
        *("-serial", "chardev:s"),
        *("-device", "virtio-serial-pci"),
        *("-chardev", f"socket,id=g,path={folder}/guest,server=on,wait=off"),
        *("-device", "virtserialport,chardev=g,name=checks"),
        *("-device", "virtio-rng-pci"),
    ]
