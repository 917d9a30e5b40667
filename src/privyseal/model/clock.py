"""The port through which every process reads time, so that tests own it."""

from typing import Protocol


class Clock(Protocol):
    """Two readings: the wall, for people and records; the monotonic one, for every interval."""

    def wall(self) -> float:
        """Return seconds since 1970-01-01 UTC."""
        ...

    def monotonic(self) -> float:
        """Return seconds that never go back."""
        ...
