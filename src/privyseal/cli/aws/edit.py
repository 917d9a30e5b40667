"""Changes to the files of the AWS configuration: comments, order and modes stay as they are."""

import os
from collections.abc import Mapping
from pathlib import Path

from privyseal.cli.aws.files import text
from privyseal.errors import PrivysealError
from privyseal.runtime.durable import durable_file
from privyseal.wire.aws import inifile

_FOLDER_MODE = 0o700


def with_values(path: str, section: str, values: Mapping[str, str | None]) -> None:
    """Set keys of a section, or with None take them out; file and folder are made if missing.

    Raises:
        CorruptError: The file cannot be read; it stays as it is.
        PrivysealError: It cannot be written.
    """
    write(path, inifile.parse(text(path)).with_values(section, values).text())


def write(path: str, content: str) -> None:
    """Put a text in place of a file, whole or not at all; a link stays one."""
    target = Path(os.path.realpath(path))
    try:
        target.parent.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
        mode = target.stat().st_mode & 0o777 if target.exists() else None
        with durable_file(target) as file:
            if mode is not None:
                os.fchmod(file.fileno(), mode)
            file.write(content.encode())
    except OSError as error:
        raise PrivysealError(f"cannot write {path!r}: {error.strerror}") from error
