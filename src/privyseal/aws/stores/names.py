"""Names of entries as paths in a tree of files, for pass and passage.

aws-vault joins folder and name as they are. That loses the second slash of a URL, lets a name climb
out of its folder, and lists a password of the same tree as a key. A name that survives being a path
stays as aws-vault has it; any other is escaped, and comes back as it was.
"""

import re
from typing import Final
from urllib.parse import unquote

from privyseal.errors import UsageError

_ESCAPED: Final = re.compile(r"%[0-9A-Fa-f]{2}")
_UNSAFE: Final = re.compile(r"[%/\x00-\x1f\x7f]|^[.-]")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
_TORN: Final = re.compile(r"(oidc:https?:)/(?=[^/])")


def path_of(key: str) -> str:
    """Return the path, below the store's folder and without a suffix, for an entry."""
    if not key:
        raise UsageError("the name of an entry is empty")
    if _survives(key):
        return key
    return _UNSAFE.sub(lambda found: f"%{ord(found[0]):02X}", key)


def older_path(key: str) -> str:
    """Return where aws-vault keeps the entry; "" when that is no other place, or another's too."""
    path = re.sub("/+", "/", key).strip("/")
    odd = _CONTROL.search(path) or {".", ".."} & {*path.split("/")}
    return "" if odd or path == path_of(key) or key_of(path) != key else path


def key_of(path: str) -> str:
    """Return the entry that a path, without its suffix, is for."""
    if "/" not in path and _ESCAPED.search(path):
        return unquote(path)
    # What aws-vault stored under a URL has lost one of its slashes.
    return _TORN.sub(r"\1//", path)


def _survives(key: str) -> bool:
    parts = key.split("/")
    torn = _TORN.match(key) is not None  # a path of this kind is read as aws-vault's
    odd = _ESCAPED.search(key) or _CONTROL.search(key)
    return not torn and not odd and all(part and part[0] not in ".-" for part in parts)
