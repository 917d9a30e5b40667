"""A client of the Secret Service that reads one item over and over: `python -m bench.reader N`.

It says `ready` once it holds an unlocked item, waits for a line, reads N times, and prints how
long each read took, in microseconds, as one JSON list.
"""

import json
import sys
import time

import secretstorage


def main() -> None:
    """Read and report."""
    count = int(sys.argv[1])
    connection = secretstorage.dbus_init()
    item = next(iter(secretstorage.search_items(connection, {"service": "bench"})))
    if item.is_locked():
        item.unlock()
    item.get_secret()
    print("ready", flush=True)
    sys.stdin.readline()
    spent: list[int] = []
    for _ in range(count):
        begun = time.perf_counter_ns()
        item.get_secret()
        spent.append((time.perf_counter_ns() - begun) // 1000)
    print(json.dumps(spent))


if __name__ == "__main__":
    main()
