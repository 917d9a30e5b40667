"""Plans that were made before: an unchanged configuration needs no planning.

A plan holds no secret. It is found again by everything that it was made from: the state of the
files, the variables, the flags; and it is forgotten when a key is added or removed.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

from privyseal.cli.aws.environment import CREDENTIAL_INPUTS, OUR_SECRETS
from privyseal.cli.aws.files import config_file, credentials_file
from privyseal.runtime.clock import SystemClock

Remembered = dict[str, Any]
"""`plan`: the JSON of a `Plan`; `region` and `endpoint`: what the command gets as variables."""

FORM: Final = "1"
"""Changes whenever plans are made differently."""

KEPT_SECONDS: Final = 3600.0
_CHOOSING: Final = frozenset(
    {"AWS_ROLE_ARN", "AWS_ROLE_SESSION_NAME", "AWS_WEB_IDENTITY_TOKEN_FILE"}
)


def fingerprint(profile: str, flags: Mapping[str, Any], environment: Mapping[str, str]) -> str:
    """Return what identifies all that a plan is made from."""
    secret = (CREDENTIAL_INPUTS | OUR_SECRETS) - _CHOOSING
    parts = [
        FORM,
        profile,
        sorted((name, str(value)) for name, value in flags.items()),
        sorted(
            (name, value)
            for name, value in environment.items()
            if name.startswith("AWS_") and name not in secret
        ),
        environment.get("HOME", ""),
        _state(config_file(environment)),
        _state(credentials_file(environment)),
    ]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def recall(fingerprint: str) -> Remembered | None:
    """Return what was remembered within the last hour, None when nothing was."""
    path = _file(fingerprint)
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        with os.fdopen(fd, "rb") as file:
            state = os.fstat(fd)
            if state.st_uid != os.getuid() or SystemClock().wall() - state.st_mtime > KEPT_SECONDS:
                return None
            found = json.loads(file.read())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def remember(fingerprint: str, found: Remembered) -> None:
    """Remember a plan; without a runtime folder that is left out."""
    path = _file(fingerprint)
    temporary = f"{path}.{os.getpid()}"
    with suppress(OSError):
        os.makedirs(_folder(), mode=0o700, exist_ok=True)  # noqa: PTH103 - pathlib costs 6 ms
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "w") as file:
            json.dump(found, file)
        os.replace(temporary, path)  # noqa: PTH105 - the same


def forget() -> None:
    """Forget every plan."""
    with suppress(OSError):
        for entry in os.scandir(_folder()):
            with suppress(OSError):
                os.unlink(entry.path)  # noqa: PTH108 - pathlib costs 6 ms


def _state(path: str) -> list[int]:
    try:
        found = os.stat(path)  # noqa: PTH116 - pathlib costs 6 ms
    except OSError:
        return []
    return [found.st_dev, found.st_ino, found.st_mtime_ns, found.st_ctime_ns, found.st_size]


def _folder() -> str:
    base = os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.getuid()}"
    return f"{base}/privyseal/aws-plans"


def _file(fingerprint: str) -> str:
    return f"{_folder()}/{fingerprint}"
