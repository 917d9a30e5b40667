"""Reads the settings of a person: `python -I -m privyseal.runtime.settings FILE...`.

As a program it prints an `Answer` of `privyseal.runtime.config` for a daemon that must not load a
YAML parser; as a module it serves `privy config`.
"""

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from privyseal.errors import PrivysealError
from privyseal.model.config import Config
from privyseal.model.settings import Setting, build, from_environment, from_tree
from privyseal.model.value import encode
from privyseal.runtime.config import Answer, files
from privyseal.runtime.yamlread import read


class Loaded(NamedTuple):
    """A configuration, and for each path that is set what was written where."""

    config: Config
    settings: Mapping[str, Setting]


def main() -> int:
    """Print what the files on the command line and the environment come to; return 0."""
    try:
        answer = Answer(config=_combine([Path(word) for word in sys.argv[1:]], os.environ).config)
    except PrivysealError as error:
        answer = Answer(error=str(error), hint=error.hint)
    sys.stdout.buffer.write(encode(answer))
    return 0


def load_now(path: Path | None = None, environ: Mapping[str, str] = os.environ) -> Loaded:
    """Return the configuration, and where each setting comes from.

    Raises:
        NotFoundError: The explicit file is not there.
        UsageError: A file or the environment holds something that is no setting.
    """
    return _combine(files(path), environ)


def _combine(paths: list[Path], environ: Mapping[str, str]) -> Loaded:
    settings: dict[str, Setting] = {}
    for path in paths:
        tree, lines = read(path)
        settings |= from_tree(tree, lines, str(path))
    settings |= from_environment(environ)
    return Loaded(build(settings), settings)


if __name__ == "__main__":
    sys.exit(main())
