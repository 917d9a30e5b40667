"""Every error that may leave the program, with its exit status and its D-Bus name.

    PrivysealError          1   org.privyseal.Error.Failed
    |-- UsageError          2   org.freedesktop.DBus.Error.InvalidArgs
    |   |-- UnknownMethodError     2   org.freedesktop.DBus.Error.UnknownMethod
    |   |-- UnknownInterfaceError  2   org.freedesktop.DBus.Error.UnknownInterface
    |   |-- UnknownPropertyError   2   org.freedesktop.DBus.Error.UnknownProperty
    |   `-- ReadOnlyError          2   org.freedesktop.DBus.Error.PropertyReadOnly
    |-- NotFoundError       3   org.freedesktop.Secret.Error.NoSuchObject
    |   `-- NoSessionError  3   org.freedesktop.Secret.Error.NoSession
    |-- DeniedError         4   org.freedesktop.DBus.Error.AccessDenied
    |-- ExpiredError        5   org.freedesktop.DBus.Error.Timeout
    |-- UnreachableError    6   org.freedesktop.DBus.Error.NoServer
    |-- LockedError         7   org.freedesktop.Secret.Error.IsLocked
    |-- ConflictError       1   org.freedesktop.Secret.Error.AlreadyExists
    |-- LimitError          1   org.freedesktop.DBus.Error.LimitsExceeded
    |-- UnsupportedError    1   org.freedesktop.DBus.Error.NotSupported
    `-- CorruptError        1   org.privyseal.Error.Corrupt

A class exists because somebody handles it by type or because it has its own status. A message is
one clause in lower case without a full stop, quotes foreign text with `!r` and never holds a secret;
a hint is an imperative ("unlock the store with `privy unlock`").
"""


class PrivysealError(Exception):
    """Something a person can act on; anything that is not one of these is a defect."""

    exit_status = 1
    bus_name = "org.privyseal.Error.Failed"

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class UsageError(PrivysealError):
    """What was asked is malformed; nothing was changed."""

    exit_status = 2
    bus_name = "org.freedesktop.DBus.Error.InvalidArgs"


class UnknownMethodError(UsageError):
    """The object on the bus has no such method."""

    bus_name = "org.freedesktop.DBus.Error.UnknownMethod"


class UnknownInterfaceError(UsageError):
    """The object on the bus has no such interface."""

    bus_name = "org.freedesktop.DBus.Error.UnknownInterface"


class UnknownPropertyError(UsageError):
    """The object on the bus has no such property."""

    bus_name = "org.freedesktop.DBus.Error.UnknownProperty"


class ReadOnlyError(UsageError):
    """The property may be read and not set."""

    bus_name = "org.freedesktop.DBus.Error.PropertyReadOnly"


class NotFoundError(PrivysealError):
    """No such item, collection, request or file."""

    exit_status = 3
    bus_name = "org.freedesktop.Secret.Error.NoSuchObject"


class NoSessionError(NotFoundError):
    """The Secret Service session does not exist or belongs to another peer."""

    bus_name = "org.freedesktop.Secret.Error.NoSession"


class DeniedError(PrivysealError):
    """A person, a rule or the bus policy refused."""

    exit_status = 4
    bus_name = "org.freedesktop.DBus.Error.AccessDenied"


class ExpiredError(PrivysealError):
    """Nobody decided in time."""

    exit_status = 5
    bus_name = "org.freedesktop.DBus.Error.Timeout"


class UnreachableError(PrivysealError):
    """The keeper, the bus or the backend does not answer."""

    exit_status = 6
    bus_name = "org.freedesktop.DBus.Error.NoServer"


class LockedError(PrivysealError):
    """The store is locked."""

    exit_status = 7
    bus_name = "org.freedesktop.Secret.Error.IsLocked"


class ConflictError(PrivysealError):
    """It exists already, or it was decided already."""

    bus_name = "org.freedesktop.Secret.Error.AlreadyExists"


class LimitError(PrivysealError):
    """Too much of something: size, number or rate."""

    bus_name = "org.freedesktop.DBus.Error.LimitsExceeded"


class UnsupportedError(PrivysealError):
    """A valid wish that this program does not fulfil."""

    bus_name = "org.freedesktop.DBus.Error.NotSupported"


class CorruptError(PrivysealError):
    """A file of ours is not what we wrote."""

    bus_name = "org.privyseal.Error.Corrupt"


_BY_BUS_NAME = {
    cls.bus_name: cls
    for cls in (
        PrivysealError,
        UsageError,
        UnknownMethodError,
        UnknownInterfaceError,
        UnknownPropertyError,
        ReadOnlyError,
        NotFoundError,
        NoSessionError,
        DeniedError,
        ExpiredError,
        UnreachableError,
        LockedError,
        ConflictError,
        LimitError,
        UnsupportedError,
        CorruptError,
    )
}


def from_bus(name: str, message: str, hint: str = "") -> PrivysealError:
    """Return the error that another of our processes put on the bus as `name` and `message`."""
    cls = _BY_BUS_NAME.get(name)
    if cls is not None:
        return cls(message, hint=hint)
    if name in {
        "org.freedesktop.DBus.Error.ServiceUnknown",
        "org.freedesktop.DBus.Error.NameHasNoOwner",
        "org.freedesktop.DBus.Error.NoReply",
        "org.freedesktop.DBus.Error.Disconnected",
    }:
        return UnreachableError("the keeper does not run", hint="start it with `privy try`")
    return PrivysealError(message, hint=hint)


def leaves(group: BaseExceptionGroup[PrivysealError]) -> list[PrivysealError]:
    """Return the errors in a group and in the groups within it."""
    found: list[PrivysealError] = []
    for error in group.exceptions:
        found += leaves(error) if isinstance(error, BaseExceptionGroup) else [error]
    return found
