"""Where the checks keep things: everything lies under build/vm of the checkout."""

from pathlib import Path
from typing import Final

CHECKOUT: Final = Path(__file__).resolve().parents[2]
SOURCES: Final = Path(__file__).resolve().parent
BUILD: Final = CHECKOUT / "build" / "vm"
PICTURES: Final = BUILD / "pictures"
FAILURES: Final = BUILD / "failures"
RUNNING: Final = BUILD / "running"
