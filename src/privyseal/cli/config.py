"""`privy config`: show, edit and check the configuration."""

import json
import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import click

from privyseal.cli.reach import way_in
from privyseal.cli.report import print_json, say
from privyseal.errors import NotFoundError, PrivysealError, UsageError
from privyseal.model.settings import KEYS, Setting, describe
from privyseal.runtime.config import SYSTEM_FILE, user_file
from privyseal.runtime.durable import sync_folder
from privyseal.runtime.settings import load_now

_FILE: Final = click.option(
    "--config",
    "file",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Take this file in place of the usual ones.",
)


@click.group(help="Show, edit or check the configuration.")
def command() -> None:
    """Group the three commands."""


@command.command(help="Print every setting, and where it was set.")
@_FILE
@click.option("--defaults", is_flag=True, help="Print what holds when nothing is set.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, in the schema of the guide.")
def show(file: Path | None, *, defaults: bool, as_json: bool) -> None:
    """Print the configuration in force as YAML that can be used as a file."""
    settings = {} if defaults else dict(load_now(file).settings)
    if as_json:
        print_json(
            {
                path: {
                    "value": settings[path].value if path in settings else key.default,
                    "origin": settings[path].origin if path in settings else "default",
                }
                for path, key in KEYS.items()
            }
        )
        return
    companion = way_in()
    if companion is not None and file is None and not defaults:
        print(f"# In force for the agent and the commands of {companion.user} alone. The keeper of")
        print(f"# the companion reads {SYSTEM_FILE} and, above it,")
        print(f"# {companion.config}")
    for line in _as_yaml(settings):
        print(line)


@command.command(help="Check the configuration and say what is wrong with it.")
@_FILE
def validate(file: Path | None) -> None:
    """Load the configuration as the keeper would."""
    load_now(file)
    say("the configuration is valid")


@command.command(help="Edit your configuration file; it is checked before it is replaced.")
@_FILE
def edit(file: Path | None) -> None:
    """Let a person edit a copy, and put it in place once it is valid."""
    target = file or user_file()
    before = _text(target)
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    number, name = tempfile.mkstemp(suffix=".yaml", prefix=".config-", dir=target.parent)
    draft = Path(name)
    with os.fdopen(number, "w", encoding="utf-8") as copy:
        copy.write(before if before is not None else "\n".join(_template()) + "\n")
    try:
        _let_edit(draft)
        _until_valid(draft)
        if draft.read_text(encoding="utf-8") == before:
            say("nothing was changed")
            return
        _put(draft, target)
    finally:
        draft.unlink(missing_ok=True)
    say(f"saved: {target}")


def _until_valid(draft: Path) -> None:
    while True:
        try:
            load_now(draft, {})
        except UsageError as error:
            problem = str(error).replace(str(draft), "your draft")
            if not (sys.stdin.isatty() and click.confirm(f"{problem}\nEdit again?", default=True)):
                raise UsageError(f"{problem}; nothing was changed") from error
            _let_edit(draft)
        else:
            return


def _let_edit(draft: Path) -> None:
    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi"
    try:
        words = shlex.split(editor)
        status = subprocess.run([*words, str(draft)], check=False).returncode
    except (ValueError, IndexError, OSError) as error:
        raise NotFoundError(f"cannot start the editor {editor!r}", hint="set VISUAL") from error
    if status != 0:
        raise PrivysealError(f"the editor ended with status {status}; nothing was changed")


def _put(draft: Path, target: Path) -> None:
    # Through a link, so that a configuration kept in a dotfiles folder stays there.
    real = target.resolve()
    if real.parent != draft.parent:
        draft = _beside(draft, real)
    with draft.open("rb") as file:
        os.fchmod(file.fileno(), real.stat().st_mode & 0o777 if real.exists() else 0o600)
        os.fsync(file.fileno())
    draft.replace(real)
    sync_folder(real.parent)


def _beside(draft: Path, real: Path) -> Path:
    number, name = tempfile.mkstemp(suffix=".yaml", prefix=".config-", dir=real.parent)
    with os.fdopen(number, "wb") as copy:
        copy.write(draft.read_bytes())
    return Path(name)


def _text(file: Path) -> str | None:
    try:
        return file.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"the file cannot be read: {str(file)!r}") from error


def _as_yaml(settings: dict[str, Setting]) -> Iterator[str]:
    inside = ""
    for path, key in KEYS.items():
        section, _, name = path.rpartition(".")
        if section != inside and section:
            yield f"{section}:"
        inside = section
        setting = settings.get(path, Setting(key.default, ""))
        origin = f"  # {setting.origin}" if setting.origin else ""
        yield f"{'  ' if section else ''}{name}: {_scalar(setting.value)}{origin}"


def _scalar(value: object) -> str:
    return json.dumps(value)  # which is a YAML scalar too


def _template() -> Iterator[str]:
    yield "# Settings of Privyseal. Every key and its default; remove a # to set one."
    inside = ""
    for path, key in KEYS.items():
        section, _, name = path.rpartition(".")
        if section != inside and section:
            yield f"# {section}:"
        inside = section
        yield f"# {'  ' if section else ''}{name}: {_scalar(key.default)}  # {describe(key.type)}"
