"""The four calls of advapi32 that keep generic credentials (wincred.h), on Windows alone."""

import ctypes
import sys
from collections.abc import Sequence
from ctypes import wintypes
from typing import Final

from privyseal.errors import PrivysealError

assert sys.platform == "win32"  # noqa: S101 - tells the type checker which system this is

_GENERIC: Final = 1
_PERSIST_LOCAL_MACHINE: Final = 2
_NOT_FOUND: Final = 1168


class _Credential(ctypes.Structure):
    _fields_ = (
        ("flags", wintypes.DWORD),
        ("type", wintypes.DWORD),
        ("target", wintypes.LPWSTR),
        ("comment", wintypes.LPWSTR),
        ("written", wintypes.FILETIME),
        ("size", wintypes.DWORD),
        ("blob", ctypes.POINTER(ctypes.c_char)),
        ("persist", wintypes.DWORD),
        ("attribute_count", wintypes.DWORD),
        ("attributes", ctypes.c_void_p),
        ("alias", wintypes.LPWSTR),
        ("user", wintypes.LPWSTR),
    )


class Advapi:
    """Reads and writes the credentials of the user who runs this."""

    def __init__(self) -> None:
        self._library = ctypes.WinDLL("advapi32", use_last_error=True)

    def targets(self, prefix: str) -> Sequence[str]:
        """Return the names that begin with a prefix."""
        count = wintypes.DWORD()
        found = ctypes.POINTER(ctypes.POINTER(_Credential))()
        if not self._library.CredEnumerateW(
            f"{prefix}*", 0, ctypes.byref(count), ctypes.byref(found)
        ):
            self._unless_absent("list")
            return []
        try:
            return [str(found[number].contents.target) for number in range(count.value)]
        finally:
            self._library.CredFree(found)

    def read(self, target: str) -> bytes | None:
        """Return a blob, None when there is none."""
        found = ctypes.POINTER(_Credential)()
        if not self._library.CredReadW(target, _GENERIC, 0, ctypes.byref(found)):
            self._unless_absent("read")
            return None
        try:
            return ctypes.string_at(found.contents.blob, found.contents.size)
        finally:
            self._library.CredFree(found)

    def write(self, target: str, blob: bytes) -> None:
        """Keep a blob on this machine."""
        buffer = ctypes.create_string_buffer(blob, len(blob))
        credential = _Credential(
            type=_GENERIC,
            target=target,
            size=len(blob),
            blob=ctypes.cast(buffer, ctypes.POINTER(ctypes.c_char)),
            persist=_PERSIST_LOCAL_MACHINE,
            user="aws-vault",
        )
        if not self._library.CredWriteW(ctypes.byref(credential), 0):
            raise self._refused("write")

    def delete(self, target: str) -> bool:
        """Delete a blob; False when there is none."""
        if self._library.CredDeleteW(target, _GENERIC, 0):
            return True
        self._unless_absent("delete")
        return False

    def _unless_absent(self, verb: str) -> None:
        if ctypes.get_last_error() != _NOT_FOUND:
            raise self._refused(verb)

    def _refused(self, verb: str) -> PrivysealError:
        number = ctypes.get_last_error()
        return PrivysealError(f"Windows does not {verb} the credential (error {number})")
