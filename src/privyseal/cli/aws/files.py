"""The files of the AWS configuration: where they are, and their text."""

from __future__ import annotations

import os

from privyseal.errors import CorruptError, PrivysealError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from privyseal.aws.leaks import Leak
    from privyseal.wire.aws.profiles import Profiles


def config_file(environment: Mapping[str, str]) -> str:
    """Return the path of the configuration: AWS_CONFIG_FILE, else ~/.aws/config."""
    return _path(environment, "AWS_CONFIG_FILE", "config")


def credentials_file(environment: Mapping[str, str]) -> str:
    """Return the path of the file with plain keys, which is looked at and never used."""
    return _path(environment, "AWS_SHARED_CREDENTIALS_FILE", "credentials")


def load_profiles(environment: Mapping[str, str]) -> Profiles:
    """Return the profiles of the configuration; none where there is no file.

    Raises:
        CorruptError: A line of a file cannot be read.
        PrivysealError: A file cannot be read at all.
    """
    from privyseal.wire.aws.inifile import parse  # noqa: PLC0415 - not on the quick path
    from privyseal.wire.aws.profiles import Profiles  # noqa: PLC0415 - not on the quick path

    files = []
    for path in (config_file(environment), credentials_file(environment)):
        try:
            files.append(parse(text(path)))
        except CorruptError as error:
            raise CorruptError(f"{path!r}, {error}") from error
    return Profiles(*files)


def leaks(environment: Mapping[str, str]) -> list[Leak]:
    """Return the secrets of AWS that lie as plain text in the two files, and in `~/.aws`."""
    from pathlib import Path  # noqa: PLC0415 - not on the quick path

    from privyseal.aws.leaks import scan  # noqa: PLC0415 - not on the quick path
    from privyseal.runtime.clock import SystemClock  # noqa: PLC0415 - not on the quick path

    folder = Path(os.path.expanduser("~/.aws"))  # noqa: PTH111 - pathlib's raises without a home
    files = (Path(config_file(environment)), Path(credentials_file(environment)))
    return scan(*files, folder, SystemClock().wall())


def text(path: str) -> str:
    """Return the text of a file, "" when there is none.

    Raises:
        UsageError: It is no text.
        PrivysealError: It cannot be read.
    """
    try:
        with open(path, "rb") as file:  # noqa: PTH123 - pathlib costs 6 ms
            found = file.read()
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise PrivysealError(f"cannot read {path!r}: {error.strerror}") from error
    try:
        return found.decode().replace("\r\n", "\n").replace("\r", "\n")
    except UnicodeDecodeError as error:
        line = found.count(b"\n", 0, error.start) + 1
        raise UsageError(f"the file is no text in UTF-8: {path!r}, line {line}") from error


def _path(environment: Mapping[str, str], variable: str, name: str) -> str:
    given = environment.get(variable)
    return os.path.expanduser(given or f"~/.aws/{name}")  # noqa: PTH111 - pathlib costs 6 ms
