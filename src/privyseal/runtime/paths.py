"""Where files lie: the XDG base directories, with a folder of ours in each."""

import os
from pathlib import Path


def config_home() -> Path:
    """Return `$XDG_CONFIG_HOME/privyseal`."""
    return _base("XDG_CONFIG_HOME", ".config")


def state_home() -> Path:
    """Return `$XDG_STATE_HOME/privyseal`."""
    return _base("XDG_STATE_HOME", ".local/state")


def data_home() -> Path:
    """Return `$XDG_DATA_HOME/privyseal`."""
    return _base("XDG_DATA_HOME", ".local/share")


def runtime_dir() -> Path:
    """Return `$XDG_RUNTIME_DIR/privyseal`, by default below /run/user/UID."""
    base = os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.getuid()}"
    return Path(base) / "privyseal"


def _base(variable: str, fallback: str) -> Path:
    # The specification says that a relative path in these variables is to be ignored.
    value = os.environ.get(variable, "")
    base = Path(value) if value.startswith("/") else Path.home() / fallback
    return base / "privyseal"
