"""Plans that were made before: an unchanged configuration needs no planning.

A plan holds no secret. It serves while everything that it was made from is the same: the state of
the files, the variables, the flags; and it is forgotten when a key is added or removed.
"""

from __future__ import annotations

import os

from privyseal.cli.aws.files import config_file, credentials_file
from privyseal.runtime.clock import SystemClock
from privyseal.wire import jsontext

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, Final

    Remembered = dict[str, Any]
    """`plan`: the JSON of a `Plan`; `region` and `endpoint`: what the command gets as variables;
    `mfa_process`: what computes codes."""

    MadeFrom = list[Any]
    """All that a plan was made from, as JSON gives it back."""
else:
    Remembered, MadeFrom = dict, list

FORM: Final = "1"
"""Changes whenever plans are made differently."""

KEPT_SECONDS: Final = 3600.0
_SECRET: Final = ("KEY", "SECRET", "TOKEN", "PASS")
_FROM: Final = "made_from"
_PRIME: Final = 2**61 - 1
"""A remainder by it tells texts apart well enough, and no module has to be loaded for it."""


def made_from(profile: str, flags: Mapping[str, Any], environment: Mapping[str, str]) -> MadeFrom:
    """Return what a plan is made from; no variable is part of it whose name speaks of a secret."""
    return [
        FORM,
        profile,
        [[name, str(value)] for name, value in flags.items()],
        sorted(
            [name, value]
            for name, value in environment.items()
            if name.startswith("AWS_") and not _is_secret(name)
        ),
        environment.get("HOME", ""),
        _state(config_file(environment)),
        _state(credentials_file(environment)),
    ]


def recall(source: MadeFrom) -> Remembered | None:
    """Return what was made from the same within the last hour, None when nothing was."""
    try:
        fd = os.open(_file(source), os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        with os.fdopen(fd, "rb") as file:
            state = os.fstat(fd)
            if state.st_uid != os.getuid() or SystemClock().wall() - state.st_mtime > KEPT_SECONDS:
                return None
            found = jsontext.read(file.read().decode())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) and found.get(_FROM) == source else None


def remember(source: MadeFrom, found: Remembered) -> None:
    """Remember a plan; without a runtime folder that is left out."""
    from contextlib import suppress  # noqa: PLC0415 - where a plan was made, nothing is quick

    path = _file(source)
    temporary = f"{path}.{os.getpid()}"
    with suppress(OSError):
        os.makedirs(_folder(), mode=0o700, exist_ok=True)  # noqa: PTH103 - pathlib costs 6 ms
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "w") as file:
            file.write(jsontext.write({**found, _FROM: source}))
        os.replace(temporary, path)  # noqa: PTH105 - the same


def forget() -> None:
    """Forget every plan."""
    from contextlib import suppress  # noqa: PLC0415 - the same

    with suppress(OSError):
        for entry in os.scandir(_folder()):
            with suppress(OSError):
                os.unlink(entry.path)  # noqa: PTH108 - pathlib costs 6 ms


def _is_secret(name: str) -> bool:
    return any(word in name for word in _SECRET) and not name.endswith("_TTL")


def _state(path: str) -> list[int]:
    try:
        found = os.stat(path)  # noqa: PTH116 - pathlib costs 6 ms
    except OSError:
        return []
    return [found.st_dev, found.st_ino, found.st_mtime_ns, found.st_ctime_ns, found.st_size]


def _folder() -> str:
    base = os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.getuid()}"
    return f"{base}/privyseal/aws-plans"


def _file(source: MadeFrom) -> str:
    # A name that two sources share is no harm, the file says which of them it has.
    return f"{_folder()}/{int.from_bytes(repr(source).encode(), 'big') % _PRIME:016x}"
