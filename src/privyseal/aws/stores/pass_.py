"""Opens the store that pass keeps, as aws-vault has it."""

import shutil

from privyseal.aws.choice import Settings
from privyseal.aws.stores.notes import NotedStore, NoteFile
from privyseal.aws.stores.passtool import Pass
from privyseal.aws.stores.tree import TreeStore


def open_store(settings: Settings) -> NotedStore:
    """Return the store; `pass` itself opens and makes its files."""
    top = _top(settings)
    prefix = settings.options.pass_prefix
    cipher = Pass(settings.options.pass_cmd or "pass", settings.path(top), settings.environment)
    verdicts = NoteFile(settings.notes(top, kind="verdicts"))
    tree = TreeStore(settings.path(top), prefix, cipher, verdicts)
    return NotedStore(tree, NoteFile(settings.notes(f"{top}/{prefix}")))


def absent(settings: Settings) -> str:
    """Return why it will not do: no program, or a tree that `pass init` has not seen."""
    command = settings.options.pass_cmd or "pass"
    if not shutil.which(command, path=settings.environment.get("PATH")):
        return f"there is no program {command!r}"
    top = settings.path(_top(settings))
    return "" if (top / ".gpg-id").is_file() else f"there is no store of pass in {str(top)!r}"


def _top(settings: Settings) -> str:
    given = settings.options.pass_dir or settings.environment.get("PASSWORD_STORE_DIR", "")
    return given or "~/.password-store"
