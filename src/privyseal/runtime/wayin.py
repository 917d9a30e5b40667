"""The way in to a companion: where its keeper is, and what is said when only its console helps.

Commands that must start at once load this and not `privyseal.runtime.companion`, whose msgspec
costs 18 ms; a test holds the two equal.
"""

from __future__ import annotations

import os
import time

from privyseal.errors import DeniedError, LockedError, PrivysealError, UnreachableError
from privyseal.wire import jsontext

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final, TypeVar

    _Error = TypeVar("_Error", bound=PrivysealError)

RECORDS: Final = "/etc/privyseal/companions"
_MAX_RECORD: Final = 4096
_SYSTEM_BUS: Final = "unix:path=/run/dbus/system_bus_socket"


class WayIn:
    """A companion as its desktop user needs to know it."""

    __slots__ = ("uid", "user", "vt")

    def __init__(self, uid: int, user: str, vt: int) -> None:
        self.uid = uid
        self.user = user
        self.vt = vt

    @property
    def account(self) -> str:
        """The name of the second user."""
        return f"privyseal-{self.uid}"

    @property
    def bus_name(self) -> str:
        """The keeper's name on the system bus."""
        return f"org.privyseal.Keeper1.u{self.uid}"

    @property
    def config(self) -> str:
        """The settings of keeper and provider, above those of the machine."""
        return f"/var/lib/privyseal/{self.uid}/.config/privyseal/config.yaml"

    @property
    def store(self) -> str:
        """The folder of its store, which its provider alone has open."""
        return f"/var/lib/privyseal/{self.uid}/store"

    @property
    def keys(self) -> str:
        """The keys that lead to the console."""
        return f"Ctrl+Alt+F{self.vt}"


class ConsoleOnlyError(DeniedError):
    """This is done at the console and nowhere else: the keeper runs in companion mode."""


class LoggedOutError(UnreachableError):
    """The companion rests: a person logged out on the console, or nobody has asked yet."""


def find(uid: int) -> WayIn | None:
    """Return the way in to the companion of a user, or None when there is none.

    Raises:
        PrivysealError: The record cannot be read.
    """
    path = f"{RECORDS}/{uid}.json"
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            record: Any = jsontext.read(os.read(fd, _MAX_RECORD).decode())
        finally:
            os.close(fd)
        return WayIn(int(record["uid"]), str(record["user"]), int(record["vt"]))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise PrivysealError(f"cannot read {path!r}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise PrivysealError(
            f"the record {path!r} is malformed", hint="see `privy doctor`"
        ) from error


def any_recorded() -> bool:
    """Return whether some user of this machine has a companion."""
    try:
        return any(name.endswith(".json") for name in os.listdir(RECORDS))  # noqa: PTH208 - pathlib costs 6 ms
    except OSError:
        return False


def system_bus() -> str:
    """Return the address of the system bus."""
    return os.environ.get("DBUS_SYSTEM_BUS_ADDRESS") or _SYSTEM_BUS


def keeper_uid(account: str) -> int:
    """Return the UID that a companion's keeper has: never root's, never our own.

    Raises:
        UnreachableError: The account is not there, or is no second user.
    """
    import pwd  # noqa: PLC0415 - only in companion mode

    try:
        uid = pwd.getpwnam(account).pw_uid
    except KeyError as error:
        raise UnreachableError(
            f"there is no user {account!r}", hint="see `privy doctor`"
        ) from error
    if uid in {0, os.getuid()}:
        raise UnreachableError(f"{account!r} is no second user: it has UID {uid}")
    return uid


def console_only(what: str, keys: str) -> ConsoleOnlyError:
    """Return the refusal of what is done at the console; `what` ends with the deed."""
    return ConsoleOnlyError(f"{what} on the console ({keys}): this is companion mode.")


def locked(since: float, keys: str, *, initialised: bool = True) -> LockedError:
    """Return what a person is told while the store is locked, since when, and what to do."""
    if not initialised:
        return LockedError("Privyseal has no store yet", hint=f"make it on the console: {keys}")
    return LockedError(
        f"Privyseal is locked since {_clock(since)}", hint=f"unlock it on the console: {keys}"
    )


def away() -> UnreachableError:
    """Return what a person is told when the companion neither runs nor starts."""
    return UnreachableError(
        "Privyseal's companion does not run", hint="log in, or see `privy doctor`"
    )


def logged_out() -> LoggedOutError:
    """Return what a person is told by what only looks, and starts nothing."""
    return LoggedOutError("Privyseal's companion is logged out; the next request starts it")


def interrupted(keys: str) -> UnreachableError:
    """Return what a person is told when the keeper goes away in the middle."""
    return UnreachableError(
        "Privyseal was locked, or stopped, before it answered",
        hint=f"unlock it on the console: {keys}, then ask again",
    )


def impostor(uid: int, account: str) -> UnreachableError:
    """Return what a person is told when another user owns the keeper's name."""
    return UnreachableError(
        f"UID {uid} answers on the system bus in place of {account}, and is not believed",
        hint="see `privy doctor`",
    )


def sentence(error: _Error) -> _Error:
    """Return an error with its hint as a second sentence, fit for a dialog of any program."""
    hint = error.hint[:1].upper() + error.hint[1:]
    return type(error)(f"{error}. {hint}.")


def _clock(moment: float) -> str:
    then, now = time.localtime(moment), time.localtime()
    return time.strftime("%H:%M" if then[:3] == now[:3] else "%Y-%m-%d %H:%M", then)
