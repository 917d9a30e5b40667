"""Small working stand-ins for the ports of the product; each is held to its contract by a test."""

from privyseal.model.evidence import Evidence, Fact, ProcessRef, Program
from privyseal.wire.keeper import Notice


class FakeClock:
    """A clock that moves only when the test moves it."""

    def __init__(self, wall: float = 1_700_000_000.0) -> None:
        self._wall = wall
        self._monotonic = 1000.0

    def wall(self) -> float:
        return self._wall

    def monotonic(self) -> float:
        return self._monotonic

    def advance(self, seconds: float) -> None:
        """Let `seconds` pass on both clocks."""
        self._wall += seconds
        self._monotonic += seconds


class FakeWitness:
    """Knows the processes a test made up; `changed` makes one run another program."""

    def __init__(self) -> None:
        self.seen: dict[int, Evidence] = {}
        self.changed: dict[int, str] = {}

    def add(self, pidfd: int, name: str, *, pid: int = 0, trusted: bool = True) -> Evidence:
        """Make up a process; the same `name` is the same program in the same terminal."""
        number = sum(name.encode())
        evidence = Evidence(
            summary=name,
            process=ProcessRef(pid=pid or pidfd, start_ticks=1),
            program=Program(uid=1000, exe_device=1, exe_inode=number, mount_namespace=1),
            trusted=trusted,
            facts=(Fact(grade="verified", name="program", value=f"/usr/bin/{name}"),),
        )
        self.seen[pidfd] = evidence
        return evidence

    async def look(self, pidfd: int) -> Evidence:
        return self.seen[pidfd]

    async def check(self, pidfd: int, seen: Evidence) -> str:
        return self.changed.get(pidfd, "")


class FakeAudience:
    """Remembers what everybody was told."""

    def __init__(self) -> None:
        self.ends: dict[str, str] = {}
        self.notices: list[Notice] = []

    def resolved(self, face: str, request: str, state: str) -> None:
        assert request not in self.ends, "a caller was answered twice"
        self.ends[request] = state

    def notice(self, notice: Notice) -> None:
        self.notices.append(notice)
