"""The memory of denials: a "no" is not asked again at once, and later each time it is repeated.

The memory is keyed by program (executable and script), not by process: a program that starts
itself anew to ask again meets the same refusal. It is lost when the keeper restarts.
"""

from dataclasses import dataclass
from typing import Final

from privyseal.model.clock import Clock
from privyseal.model.evidence import Evidence
from privyseal.model.policy import Timing

_MOST: Final = 10_000
_DOUBLINGS: Final = 32
"""More would make no denial longer, and in the end no float could hold the product."""


@dataclass(slots=True)
class _Refusal:
    count: int
    until: float
    forget: float


class Denials:
    """Which program was refused what, and until when that stays so without asking."""

    def __init__(self, clock: Clock, timing: Timing) -> None:
        self._clock = clock
        self.timing = timing
        self._refusals: dict[tuple[object, ...], _Refusal] = {}

    def remember(self, evidence: Evidence, kind: str, subject: object) -> None:
        """Note that a person denied this to this program."""
        now = self._clock.monotonic()
        key = _key(evidence, kind, subject)
        known = self._refusals.pop(key, None)
        count = known.count + 1 if known and now < known.forget else 1
        doubled = self.timing.denial_first * 2.0 ** min(count - 1, _DOUBLINGS)
        stay = min(doubled, self.timing.denial_longest)
        # The count outlives the refusal, or every second denial would start from the beginning.
        self._refusals[key] = _Refusal(count, now + stay, now + stay + self.timing.denial_longest)
        while len(self._refusals) > _MOST:
            del self._refusals[next(iter(self._refusals))]

    def left(self, evidence: Evidence, kind: str, subject: object) -> float:
        """Return for how many seconds this stays refused; 0 when a person may be asked."""
        known = self._refusals.get(_key(evidence, kind, subject))
        return max(0.0, known.until - self._clock.monotonic()) if known else 0.0


def _key(evidence: Evidence, kind: str, subject: object) -> tuple[object, ...]:
    program = evidence.program
    if program is None:
        return (evidence.process, kind, subject)
    who = (program.uid, program.exe_device, program.exe_inode, program.script_sha256)
    return (*who, kind, subject)
