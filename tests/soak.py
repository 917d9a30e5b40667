"""How often the long tests repeat: a little in every run, in full with `make soak`."""

import os


def times(usual: int, *, soak: int) -> int:
    """Return `soak` when PRIVYSEAL_SOAK is set, else `usual`."""
    return soak if os.environ.get("PRIVYSEAL_SOAK") else usual
