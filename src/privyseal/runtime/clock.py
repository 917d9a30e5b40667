"""The machine's clocks behind the `Clock` port."""

import time


class SystemClock:
    """Reads CLOCK_REALTIME and CLOCK_MONOTONIC."""

    def wall(self) -> float:
        """Return seconds since 1970-01-01 UTC."""
        return time.time()  # noqa: TID251 - the one place where wall time comes in

    def monotonic(self) -> float:
        """Return seconds that never go back."""
        return time.monotonic()
