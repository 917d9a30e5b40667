"""Prints how many seconds passed from the end of process PID until VT 8 showed a console again."""

import sys
import time
from pathlib import Path


def main() -> None:
    old = Path("/proc") / sys.argv[1]
    while old.exists():
        time.sleep(0.01)
    start = time.monotonic()
    while time.monotonic() < start + 30:
        with Path("/dev/vcsu8").open("rb") as file:
            if "PRIVYSEAL" in file.read(320).decode("utf-32-le", errors="replace"):
                print(f"{time.monotonic() - start:.2f}")
                return
        time.sleep(0.01)


if __name__ == "__main__":
    main()
