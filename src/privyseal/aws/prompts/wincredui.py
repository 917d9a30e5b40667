"""Ask for a code in the credential dialogue of Windows (CredUIPromptForCredentialsW)."""

import ctypes
from collections.abc import Callable, Mapping
from typing import Any, Final

from privyseal.errors import DeniedError, UnsupportedError

_CAPTION: Final = "Enter MFA code for privy aws"
_MAX_NAME: Final = 513
_MAX_CODE: Final = 256
_GENERIC_ALWAYS_ASK_KEEP_NOTHING: Final = 0x40000 | 0x80 | 0x2
_CANCELLED: Final = 1223


class _Words(ctypes.Structure):
    """CREDUI_INFOW."""

    _fields_ = [  # type: ignore[mutable-override]  # ctypes wants it so
        ("size", ctypes.c_uint32),
        ("parent", ctypes.c_void_p),
        ("message", ctypes.c_wchar_p),
        ("caption", ctypes.c_wchar_p),
        ("banner", ctypes.c_void_p),
    ]


def wincredui(
    message: str,
    serial: str,
    environment: Mapping[str, str],
    dialogue: Callable[..., int] | None = None,
) -> str:
    """Return what the person types in the field for the password; the other shows the device.

    Raises:
        UnsupportedError: This is not Windows.
        DeniedError: She cancelled.
    """
    del environment
    show = dialogue or _dialogue()
    words = _Words(ctypes.sizeof(_Words), None, message, _CAPTION, None)
    name = ctypes.create_unicode_buffer(serial.rpartition(":")[2][: _MAX_NAME - 1], _MAX_NAME)
    code = ctypes.create_unicode_buffer(_MAX_CODE)
    keep = ctypes.c_int(0)
    status = show(
        ctypes.byref(words),
        "privy-aws",
        None,
        0,
        name,
        _MAX_NAME,
        code,
        _MAX_CODE,
        ctypes.byref(keep),
        _GENERIC_ALWAYS_ASK_KEEP_NOTHING,
    )
    if status:
        why = "cancelled" if status == _CANCELLED else f"error {status} of Windows"
        raise DeniedError(f"no code: {why}")
    return code.value.strip()


def _dialogue() -> Callable[..., int]:
    windows: Any = getattr(ctypes, "WinDLL", None)
    if windows is None:
        raise UnsupportedError("wincredui is a dialogue of Windows")
    found: Callable[..., int] = windows("credui").CredUIPromptForCredentialsW
    return found
