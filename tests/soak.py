"""How often the long tests repeat: a little in every run, in full with `make soak`."""

import os


def times(usual: int, *, soak: int) -> int:
    """Return `soak` when SOAK is set, else `usual`."""
    return soak if os.environ.get("SOAK") else usual
