"""Opens the store that passage keeps: through passage, or by our own codec where that is missing."""

import shutil

from privyseal.aws.choice import Settings
from privyseal.aws.stores import agefiles, passtool
from privyseal.aws.stores.notes import NotedStore, NoteFile
from privyseal.aws.stores.tree import Cipher, TreeStore


def open_store(settings: Settings) -> NotedStore:
    """Return the store."""
    top = _top(settings)
    prefix = settings.options.pass_prefix
    verdicts = NoteFile(settings.notes(top, kind="verdicts"))
    tree = TreeStore(settings.path(top), prefix, _cipher(settings), verdicts)
    return NotedStore(tree, NoteFile(settings.notes(f"{top}/{prefix}")))


def absent(settings: Settings) -> str:
    """Return why it will not do: there is no tree yet, or no identity that opens it."""
    top, own = settings.path(_top(settings)), agefiles.identities(settings.environment)
    if not top.is_dir():
        return f"there is no store of passage in {str(top)!r}"
    return "" if own.is_file() else f"there are no identities of passage in {str(own)!r}"


def _cipher(settings: Settings) -> Cipher:
    command = settings.options.pass_cmd or "passage"
    top = settings.path(_top(settings))
    named = bool(settings.options.pass_cmd)
    if named or shutil.which(command, path=settings.environment.get("PATH")):
        return passtool.Passage(command, top, settings.environment)
    return agefiles.Passage(top, settings.environment)


def _top(settings: Settings) -> str:
    given = settings.options.pass_dir or settings.environment.get("PASSAGE_DIR", "")
    return given or "~/.passage/store"
