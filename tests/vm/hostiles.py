"""How checks attack: the programs in attacks/, run by alice, and what they say."""

from pathlib import Path
from typing import Final

from tests.vm.desk import Desk
from tests.vm.place import RUNNING, SOURCES

_THERE: Final = "/opt/attacks"
_OUT: Final = "/tmp/attack.out"
_LONGEST_SECONDS: Final = 30


def planted(desk: Desk) -> None:
    """Have the programs in the machine."""
    for file in (SOURCES / "attacks").glob("*.py"):
        desk.vm.write(f"{_THERE}/{file.name}", file.read_bytes())


def at_terminal(desk: Desk, *names: str, front: int = 0) -> str:
    """Run attacks of terminal.py as alice on VT 1; `front` comes to the front meanwhile."""
    planted(desk)
    desk.vm.write(_OUT, "", mode=0o666)
    desk.command(f"python3 {_THERE}/terminal.py {_OUT} {' '.join(names)}")
    if front:
        desk.sit_at(front)
    desk.vm.wait_until_succeeds(f"grep -qx end {_OUT}", seconds=_LONGEST_SECONDS)
    return desk.vm.succeed(f"cat {_OUT}")


def reach(desk: Desk, kind: str, *targets: str, user: str = "alice") -> dict[str, str]:
    """Run attacks of reach.py; return what became of each: "through ..." or "refused ..."."""
    planted(desk)
    command = f"id -un; python3 {_THERE}/reach.py {kind} {' '.join(targets)}"
    who, *lines = desk.vm.succeed(command, user=user, seconds=120).splitlines()
    assert who == user, f"the attack ran as {who}"
    return dict(line.split(" ", 1) for line in lines)


def pixels(desk: Desk) -> bytes:
    """Return the pixels that a person sees."""
    file: Path = RUNNING / "pixels.ppm"
    desk.vm.qemu.command("screendump", filename=str(file))
    return file.read_bytes()
