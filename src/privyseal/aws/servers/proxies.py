"""Variables that keep a child's HTTP proxy out of the way between it and a local server."""

from collections.abc import Mapping
from typing import Final

_PROXIES: Final = ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY")
_EXCEPTIONS: Final = ("no_proxy", "NO_PROXY")


def unproxied(environment: Mapping[str, str], address: str) -> dict[str, str]:
    """Return what to set so that `address` is asked directly; nothing where no proxy is set.

    Both spellings get the same list: programs differ in which one they read.
    """
    if not any(environment.get(name) for name in _PROXIES):
        return {}
    kept = next((environment[name] for name in _EXCEPTIONS if environment.get(name)), "")
    if kept.strip() == "*" or address in kept.split(","):
        return {}
    return dict.fromkeys(_EXCEPTIONS, f"{kept},{address}" if kept else address)
