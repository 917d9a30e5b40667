"""The units of a companion: their names, and whether a process is in one."""

from typing import Final, Literal

from privyseal.wire.procfs import parse_cgroup

_UNITS: Final[dict[str, Literal["boot", "login"]]] = {
    "privyseal-console@{}.service": "boot",
    "privyseal-witness@{}.socket": "boot",
    "privyseal-aws@{}.socket": "boot",
    "privyseal-companion@{}.target": "login",
    "privyseal-bus@{}.service": "login",
    "privyseal-provider@{}.service": "login",
    "privyseal-keeper@{}.service": "login",
    "privyseal-agent@{}.service": "login",
}


def unit_names(uid: int) -> dict[str, Literal["boot", "login"]]:
    """Return the units of a user's companion, and from when on each is to run."""
    return {unit.format(uid): when for unit, when in _UNITS.items()}


def is_in_unit(cgroup: bytes, unit: str) -> bool:
    """Return whether a process is in a unit of the system, by its /proc/PID/cgroup (cgroups(7)).

    Every user can make a unit of that name in a manager of their own; that lies in `user.slice`.
    Below `system.slice` only process 1 puts anybody.
    """
    group = parse_cgroup(cgroup) or b""
    return group.startswith(b"/system.slice/") and group.endswith(f"/{unit}".encode())
