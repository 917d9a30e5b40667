"""Credentials by role for a server: got once, renewed early, asked for by one thread at a time."""

import threading
from collections.abc import Callable
from typing import Final

from privyseal.errors import LimitError, PrivysealError
from privyseal.model.aws import Credentials
from privyseal.model.clock import Clock
from privyseal.wire.aws.served import ENDLESS

Obtain = Callable[[str], Credentials]
"""Return credentials of a role, or of the profile for ""; may take long and raise PrivysealError."""

EARLY: Final = 20 * 60.0
"""Seconds before the end at which credentials are renewed.

Under 15 minutes botocore asks again at every use, and under 10 each use waits for the answer.
"""

MAX_ROLES: Final = 64
_PAUSE: Final = 15.0
_LAST: Final = 5.0


class Supply:
    """What a server hands out.

    Credentials that still hold are handed out at once, also while they are renewed behind the
    client's back. Renewal begins `EARLY`, or halfway where a source gives less than twice that, so
    that no source is asked at every use. An error holds for some seconds: clients ask three times
    in a row, and a person who said no is not asked three times.
    """

    def __init__(self, obtain: Obtain, clock: Clock) -> None:
        self._obtain = obtain
        self._clock = clock
        self._lock = threading.Lock()
        self._shelves: dict[str, _Shelf] = {}

    def get(self, role: str = "") -> Credentials:
        """Return credentials of a role that hold for some time, "" for the profile itself.

        Raises:
            LimitError: More roles were asked for than one command needs.
            PrivysealError: There are none, and the source says why.
        """
        with self._lock:
            if role not in self._shelves and len(self._shelves) >= MAX_ROLES:
                raise LimitError(f"one server gives at most {MAX_ROLES} roles")
            shelf = self._shelves.setdefault(role, _Shelf(role, self._obtain, self._clock))
        return shelf.get()


class _Shelf:
    def __init__(self, role: str, obtain: Obtain, clock: Clock) -> None:
        self._role = role
        self._obtain = obtain
        self._clock = clock
        self._changed = threading.Condition()
        self._busy = False
        self._kept: Credentials | None = None
        self._renew_at = 0.0
        self._error: PrivysealError | None = None
        self._quiet_until = 0.0

    def get(self) -> Credentials:
        with self._changed:
            while True:
                now = self._clock.wall()
                kept = self._kept
                holds = kept is not None and (not kept.expires or kept.expires > now + _LAST)
                quiet = self._error is not None and now < self._quiet_until
                if kept is not None and holds:
                    if now >= self._renew_at and not self._busy and not quiet:
                        self._renew_behind()
                    return kept
                if self._busy:
                    self._changed.wait()
                elif quiet and self._error is not None:
                    raise self._error
                else:
                    self._busy = True
                    break
        self._renew()
        with self._changed:
            if self._error is not None:
                raise self._error
            assert self._kept is not None  # noqa: S101 - one of the two is there after a renewal
            return self._kept

    def _renew_behind(self) -> None:
        self._busy = True
        try:
            threading.Thread(target=self._renew, daemon=True).start()
        except RuntimeError:  # the system has no more threads just now: the next client tries
            self._busy = False

    def _renew(self) -> None:
        got: Credentials | PrivysealError
        try:
            got = self._obtain(self._role)
        except PrivysealError as error:
            got = error
        except Exception as error:  # noqa: BLE001 - whoever waits must learn that it failed
            got = PrivysealError(f"a defect: {type(error).__name__}")
        with self._changed:
            now = self._clock.wall()
            if isinstance(got, Credentials):
                self._kept, self._error = got, None
                left = got.expires - now if got.expires else ENDLESS
                self._renew_at = now + left - min(EARLY, left / 2)
            else:
                self._error, self._quiet_until = got, now + _PAUSE
            self._busy = False
            self._changed.notify_all()
