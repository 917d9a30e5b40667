"""What is known of a requester, each fact graded by who said so."""

from typing import Literal

from privyseal.model.value import Name, Text, Value

Grade = Literal["verified", "reported", "warning"]


class ProcessRef(Value, frozen=True):
    """One process and no other: a PID alone is used again, with its start time it is not.

    `start_ticks` is field 22 of /proc/PID/stat (proc(5)), in clock ticks since boot.
    """

    pid: int
    start_ticks: int


class Program(Value, frozen=True):
    """What a process runs, by facts that a path cannot fake.

    `script_sha256` is empty for a program that is no interpreter, or whose script is unknown.
    `anchor` is the session leader, `cgroup` the control group: together they say "this terminal".
    """

    uid: int
    exe_device: int
    exe_inode: int
    mount_namespace: int
    script_sha256: Name = ""
    cgroup: Text = ""
    anchor: ProcessRef | None = None


class Fact(Value, frozen=True):
    """One line a person reads; `value` is foreign text and is sanitised where it is drawn."""

    grade: Grade
    name: Name
    value: Text


class Evidence(Value, frozen=True):
    """Everything known of one requester at one instant.

    `summary` names it in a list ("node agent.js"). `process` and `program` are missing when the
    requester was gone before it could be looked at, or is on another machine. `trusted` is False
    as soon as any fact says that the program may not be what it seems: then no lease outlives the
    process itself. `image` changes with every execve(2), also of the same file; it is empty when
    the kernel does not tell. `through` names the process whose word it is that this requester asks;
    it is empty when that asks on its own connection.
    """

    summary: Text
    process: ProcessRef | None = None
    program: Program | None = None
    image: Name = ""
    through: Name = ""
    trusted: bool = False
    facts: tuple[Fact, ...] = ()
