"""Loads the configuration: /etc below the person's own file, the environment above both."""

import asyncio
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from privyseal.errors import NotFoundError, PrivysealError, UsageError
from privyseal.model.config import Config
from privyseal.model.value import Text, Value, decode
from privyseal.runtime.paths import config_home, data_home, state_home

SYSTEM_FILE: Final = Path("/etc/privyseal/config.yaml")
READ_SECONDS: Final = 60


class Answer(Value, frozen=True):
    """What the reading process says: a configuration, or why there is none."""

    config: Config = Config()
    error: Text = ""
    hint: Text = ""


def user_file() -> Path:
    """Return where a person's own configuration lies."""
    return config_home() / "config.yaml"


def store_path(config: Config) -> Path:
    """Return the folder of the embedded store."""
    return Path(config.store.path).expanduser() if config.store.path else data_home() / "store"


def audit_path(config: Config) -> Path:
    """Return the folder of the audit log."""
    return Path(config.audit.path).expanduser() if config.audit.path else state_home() / "audit"


async def load(path: Path | None = None, environ: Mapping[str, str] = os.environ) -> Config:
    """Return the configuration; an explicit `path` stands in for both files.

    A process of its own reads and judges the files (`privyseal.runtime.settings`), so that no YAML
    parser is loaded where secrets are.

    Raises:
        NotFoundError: The explicit file is not there.
        UsageError: A file or the environment holds something that is no setting.
    """
    command = ["-I", "-m", "privyseal.runtime.settings", *map(str, files(path))]
    process = await asyncio.create_subprocess_exec(
        sys.executable, *command, stdin=DEVNULL, stdout=PIPE, env=environ
    )
    try:
        async with asyncio.timeout(READ_SECONDS):
            output, _ = await process.communicate()
    except TimeoutError as error:
        text = f"reading the configuration took longer than {READ_SECONDS} seconds"
        raise PrivysealError(text) from error
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    answer = decode(output, Answer, what="what was read as configuration")
    if answer.error:
        raise UsageError(answer.error, hint=answer.hint)
    return answer.config


def stamp(path: Path | None = None) -> tuple[tuple[str, int, int], ...]:
    """Return what tells whether the files of `load(path)` have changed since."""
    marks: list[tuple[str, int, int]] = []
    for file in [path] if path is not None else [SYSTEM_FILE, user_file()]:
        try:
            status = file.stat()
        except OSError:
            continue
        marks.append((str(file), status.st_mtime_ns, status.st_ino))
    return tuple(marks)


def files(path: Path | None) -> list[Path]:
    """Return the files to read, the later ones above the earlier.

    Raises:
        NotFoundError: The explicit one is not there.
    """
    if path is None:
        return [file for file in (SYSTEM_FILE, user_file()) if os.path.lexists(file)]
    if not path.exists():
        raise NotFoundError(f"no such configuration file: {str(path)!r}")
    return [path]
