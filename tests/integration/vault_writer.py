"""A program that writes into a store for ever and says on stdout what is durable; it is made to die.

Each line is `ITEM NUMBER`, printed after the write of that number to that item has returned: a new
item, or every third time a new value for an older one.
"""

import sys
from pathlib import Path

from privyseal.model.secret import Secret
from privyseal.runtime import vault
from privyseal.runtime.clock import SystemClock


def main() -> None:
    store = vault.load(Path(sys.argv[1]), clock=SystemClock())
    store.unlock(Secret(b"correct horse"))
    latest = None
    number = 0
    say("ready")
    while True:
        number += 1
        value = Secret(b"%d" % number * 100)
        if latest is not None and number % 3 == 0:
            store.write(latest, value)
        else:
            attributes = {"number": str(number)}
            latest, _ = store.create("login", "an item", attributes, value, replace=False)
        say(f"{latest.item} {number}")


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
