"""A client that searches: `python -m bench.searcher SEARCHES FILL`.

With FILL above zero it first stores that many items in the volatile collection. It prints how long
each search took, in microseconds, as one JSON list.
"""

import json
import sys
import time

import secretstorage


def main() -> None:
    """Fill, search and report."""
    searches, fill = int(sys.argv[1]), int(sys.argv[2])
    connection = secretstorage.dbus_init()
    total = fill
    if fill:
        volatile = secretstorage.get_collection_by_alias(connection, "session")
        for number in range(fill):
            attributes = {"n": str(number), "service": "bench"}
            volatile.create_item(f"item {number}", attributes, b"x" * 32)
    else:
        total = sum(1 for _ in secretstorage.search_items(connection, {"service": "bench"}))
    spent: list[int] = []
    for number in range(searches):
        wanted = {"n": str(number * 7919 % total)}
        begun = time.perf_counter_ns()
        found = list(secretstorage.search_items(connection, wanted))
        spent.append((time.perf_counter_ns() - begun) // 1000)
        if len(found) != 1:
            raise SystemExit(f"{len(found)} items have {wanted}")
    print(json.dumps(spent))


if __name__ == "__main__":
    main()
