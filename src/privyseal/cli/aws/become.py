"""The command that this process turns into."""

from __future__ import annotations

import os

from privyseal.errors import NotFoundError, PrivysealError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def program(name: str) -> str:
    """Return the path of a command, as a shell would find it.

    Raises:
        NotFoundError: There is none.
    """
    places = [""] if "/" in name else os.get_exec_path()
    for place in places:
        path = os.path.join(place, name)  # noqa: PTH118 - pathlib costs 6 ms
        if os.path.isfile(path) and os.access(path, os.X_OK):  # noqa: PTH113 - the same
            return path
    if "/" in name and os.path.exists(name):  # noqa: PTH110 - the same
        raise NotFoundError(f"no command: {name!r} cannot be executed")
    raise NotFoundError(f"no such command: {name!r}")


def become(path: str, command: Sequence[str], environment: Mapping[str, str]) -> None:
    """Turn this process into the command, whose `program` is at the path.

    Raises:
        PrivysealError: The system refuses to run it.
    """
    try:
        os.execve(path, [*command], {**environment})  # noqa: S606 - no shell may see the values
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise PrivysealError(f"cannot run {command[0]!r}: {reason}") from error
