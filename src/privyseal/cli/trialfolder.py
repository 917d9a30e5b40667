"""The name that the folder of a trial begins with: keeper and store of a trial lie in it, and end with it."""

from typing import Final

PREFIX: Final = "privy-try-"
