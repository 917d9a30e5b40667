"""Looks for secrets of AWS that lie about as plain text, and says what to do about each.

What is found is told by its kind, its end and the last letters of a key's id, never by its value.
"""

import json
import re
import shlex
from collections.abc import Collection, Iterator, Mapping
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any, Final, NamedTuple

from privyseal.errors import PrivysealError
from privyseal.wire.aws import inifile

_MAX_FILE: Final = 4 * 1024 * 1024
_MAX_FILES: Final = 2000
_OTHERS: Final = 0o077
_KEY: Final = re.compile(rb"(?<![A-Z0-9])AKIA[A-Z0-9]{12}([A-Z0-9]{4})(?![A-Z0-9])")
_TOKEN: Final = re.compile(rb'"(?:accessToken|refreshToken|SecretAccessKey)"')
_MIGRATE: Final = "take it over with `privy aws migrate --apply`"
_DELETE: Final = "delete the file"
_LOOK: Final = "see what it is, and delete it"
_LOGOUT: Final = "run `aws sso logout`, and sign in with `privy aws login`"


class Leak(NamedTuple):
    """Something secret in a file that any program of the user can read."""

    path: str
    what: str
    advice: str


def scan(config: Path, credentials: Path, folder: Path, now: float) -> list[Leak]:
    """Return what lies in the two files, in the caches below the folder `~/.aws`, and beside them.

    `now` is seconds since 1970. Files that cannot be read are passed over.
    """
    found = [*_keys(credentials), *_keys(config)]
    for place, look in (
        (folder / "cli" / "cache", _role),
        (folder / "boto" / "cache", _role),
        (folder / "sso" / "cache", _token),
        (folder / "login" / "cache", _login),
    ):
        for path in sorted(place.glob("*.json"))[:_MAX_FILES]:
            content = _json(path)
            what = look(content, now) if content else None
            if what:
                found.append(Leak(str(path), *what))
    found += _beside(folder, {str(config), str(credentials), *(leak.path for leak in found)})
    return found + list(_open(dict.fromkeys(leak.path for leak in found)))


def _keys(path: Path) -> Iterator[Leak]:
    text = _text(path)
    try:
        sections = inifile.parse(text).sections()
    except PrivysealError:
        return
    for section, values in sections.items():
        if not values.get("aws_secret_access_key"):
            continue
        tail = values.get("aws_access_key_id", "")[-4:]
        if values.get("aws_session_token"):
            yield Leak(
                str(path), f"temporary credentials …{tail} in [{section}]", "delete the section"
            )
        else:
            yield Leak(str(path), f"a long-lived key …{tail} in [{section}]", _MIGRATE)


def _beside(folder: Path, known: Collection[str]) -> Iterator[Leak]:
    for path in islice(sorted(folder.rglob("*")), _MAX_FILES):
        text = b"" if str(path) in known else _bytes(path)
        if len(text) == _MAX_FILE:
            continue  # nobody wrote that by hand
        if found := _KEY.search(text):
            yield Leak(str(path), f"what looks like a long-lived key …{found[1].decode()}", _LOOK)
        elif path.suffix == ".json" and _TOKEN.search(text):
            yield Leak(str(path), "what looks like a token or a key", _LOOK)


def _role(content: Mapping[str, Any], now: float) -> tuple[str, str] | None:
    found = content.get("Credentials")
    if not isinstance(found, dict) or not found.get("SecretAccessKey"):
        return None
    tail = str(found.get("AccessKeyId", ""))[-4:]
    return f"temporary credentials …{tail}{_until(found.get('Expiration'), now)}", _DELETE


def _token(content: Mapping[str, Any], now: float) -> tuple[str, str] | None:
    if content.get("accessToken"):
        where = str(content.get("startUrl") or "a portal")
        renews = ", and how to renew it" if content.get("refreshToken") else ""
        return f"the token of {where}{_until(content.get('expiresAt'), now)}{renews}", _LOGOUT
    if content.get("clientSecret"):
        return f"a registration as client{_until(content.get('expiresAt'), now)}", _DELETE
    return None


def _login(content: Mapping[str, Any], now: float) -> tuple[str, str] | None:
    if not content.get("refreshToken") and not content.get("accessToken"):
        return None
    until = content.get("expiresAt")
    return f"a sign-in of `aws login`{_until(until, now)}", "run `aws logout`"


def _open(paths: Mapping[str, None]) -> Iterator[Leak]:
    for path in paths:
        try:
            mode = Path(path).stat().st_mode & 0o777
        except OSError:
            continue
        if mode & _OTHERS:
            back = f"take that back with `chmod 600 {shlex.quote(path)}`"
            yield Leak(path, f"other users may read it (mode {mode:o})", back)


def _until(text: object, now: float) -> str:
    try:
        moment = datetime.fromisoformat(str(text))
        moment = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):  # years 1 and 9999 have an hour that UTC has not
        return ""
    spoken = f"{moment:%Y-%m-%d %H:%M} UTC"
    return f", expired since {spoken}" if moment.timestamp() <= now else f", until {spoken}"


def _json(path: Path) -> Mapping[str, Any]:
    try:
        found = json.loads(_text(path))
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _text(path: Path) -> str:
    return _bytes(path).decode(errors="replace")


def _bytes(path: Path) -> bytes:
    try:
        if not path.is_file():
            return b""  # to open a pipe would be to wait for its other end
        with path.open("rb") as file:
            return file.read(_MAX_FILE)
    except OSError:
        return b""
