"""Loads the configuration: /etc below the person's own file, the environment above both."""

import asyncio
import json
import os
import subprocess
import sys
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

from privyseal.errors import NotFoundError, PrivysealError, UsageError
from privyseal.model.config import Config, Setting, build, from_environment, from_tree
from privyseal.runtime.paths import config_home, data_home, state_home

SYSTEM_FILE: Final = Path("/etc/privyseal/config.yaml")
READ_SECONDS: Final = 10


class Loaded(NamedTuple):
    """A configuration, and for each path that is set where it was."""

    config: Config
    settings: Mapping[str, Setting]


def user_file() -> Path:
    """Return where a person's own configuration lies."""
    return config_home() / "config.yaml"


def store_path(config: Config) -> Path:
    """Return the folder or file of the embedded store."""
    return Path(config.store.path).expanduser() if config.store.path else data_home() / "store"


def audit_path(config: Config) -> Path:
    """Return the folder of the audit log."""
    return Path(config.audit.path).expanduser() if config.audit.path else state_home() / "audit"


async def load(path: Path | None = None, environ: Mapping[str, str] = os.environ) -> Config:
    """Return the configuration; an explicit `path` stands in for both files.

    Raises:
        NotFoundError: The explicit file is not there.
        UsageError: A file or the environment holds something that is no setting.
    """
    outputs = [(file, await _read(file)) for file in _files(path)]
    return _combine(outputs, environ).config


def load_now(path: Path | None = None, environ: Mapping[str, str] = os.environ) -> Loaded:
    """Do as `load`, blocking, and say where each setting comes from."""
    return _combine([(file, _read_now(file)) for file in _files(path)], environ)


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


def _files(path: Path | None) -> list[Path]:
    if path is None:
        return [file for file in (SYSTEM_FILE, user_file()) if os.path.lexists(file)]
    if not path.exists():
        raise NotFoundError(f"no such configuration file: {str(path)!r}")
    return [path]


def _command(file: Path) -> list[str]:
    return [sys.executable, "-I", "-m", "privyseal.runtime.yamlread", str(file)]


async def _read(file: Path) -> bytes:
    process = await asyncio.create_subprocess_exec(*_command(file), stdin=DEVNULL, stdout=PIPE)
    try:
        async with asyncio.timeout(READ_SECONDS):
            output, _ = await process.communicate()
    except TimeoutError as error:
        raise _too_slow(file) from error
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return output


def _read_now(file: Path) -> bytes:
    try:
        done = subprocess.run(
            _command(file),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            timeout=READ_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise _too_slow(file) from error
    return done.stdout


def _too_slow(file: Path) -> PrivysealError:
    return PrivysealError(f"reading took longer than {READ_SECONDS} seconds: {str(file)!r}")


def _combine(outputs: list[tuple[Path, bytes]], environ: Mapping[str, str]) -> Loaded:
    layers = [_settings(file, output) for file, output in outputs]
    layers.append(from_environment(environ))
    merged = {path: setting for layer in layers for path, setting in layer.items()}
    return Loaded(build(merged), merged)


def _settings(file: Path, output: bytes) -> dict[str, Setting]:
    try:
        answer = json.loads(output)
    except ValueError as error:
        raise PrivysealError(f"the YAML reader failed: {str(file)!r}") from error
    if "error" in answer:
        place = f"{file}:{answer['line']}" if answer["line"] else str(file)
        raise UsageError(f"{answer['error']}: {place}")
    return from_tree(answer["value"], answer["lines"], str(file))
