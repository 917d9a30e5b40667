"""A stand-in for security(1) of macOS, as far as the keychain store uses it.

Run with the file that it keeps everything in as first argument; refuses a secret on its command
line, which other users of a machine can read.
"""

import json
import shlex
import sys
from pathlib import Path

NOT_FOUND = "The specified item could not be found in the keychain."
NO_KEYCHAIN = "The specified keychain does not exist."

Items = dict[str, dict[str, str]]


class RefusedError(Exception):
    """The command fails with this complaint."""


def options(words: list[str]) -> tuple[dict[str, str], str]:
    """Return the options and the keychain, which comes last."""
    found: dict[str, str] = {}
    rest = list(words)
    while len(rest) > 1:
        word = rest.pop(0)
        flag = word in {"-U", "-P"} or (word == "-w" and len(rest) == 1)
        found[word] = "" if flag else rest.pop(0)
    return found, rest[0]


def dump(items: Items, keychain: str) -> str:
    lines = []
    for name, item in items.items():
        shown = f'"{name}"' if name.isascii() else f'0x{name.encode().hex().upper()}  "?"'
        lines += [f'keychain: "{keychain}"', 'class: "genp"', "attributes:"]
        lines += [f'    "acct"<blob>={shown}', f'    "svce"<blob>="{item["service"]}"']
    return "".join(f"{line}\n" for line in lines)


def add(items: Items, given: dict[str, str], *, typed: bool) -> None:
    if not typed:
        raise RefusedError("the secret is on the command line")
    if given["-a"] in items and "-U" not in given:
        raise RefusedError("The specified item already exists in the keychain.")
    secret = bytes.fromhex(given["-X"]).decode() if "-X" in given else given["-w"]
    trust = "nobody" if given.get("-T") == "" else "security"
    items[given["-a"]] = {"service": given["-s"], "secret": secret, "trust": trust}


def find(items: Items, given: dict[str, str]) -> str:
    item = items.get(given["-a"])
    if item is None or item["service"] != given["-s"]:
        raise RefusedError(NOT_FOUND)
    secret = item["secret"]
    return secret if secret.isascii() and secret.isprintable() else secret.encode().hex()


def run(state: dict[str, Items], words: list[str], *, typed: bool) -> str:
    """Carry out one command; return what it prints."""
    command = words[0]
    given, keychain = options(words[1:])
    if command == "create-keychain":
        state[keychain] = {}
    if keychain not in state:
        raise RefusedError(NO_KEYCHAIN)
    items = state[keychain]
    if command == "dump-keychain":
        return dump(items, keychain)
    if command == "add-generic-password":
        add(items, given, typed=typed)
    if command == "delete-generic-password":
        find(items, given)
        del items[given["-a"]]
    if command == "find-generic-password":
        secret = find(items, given)
        return f"{secret}\n" if "-w" in given else 'class: "genp"\n'
    return ""


def main() -> int:
    path, words = Path(sys.argv[1]), sys.argv[2:]
    state = json.loads(path.read_text()) if path.exists() else {}
    try:
        if words == ["-i"]:
            for line in sys.stdin:
                sys.stdout.write("security> " + run(state, shlex.split(line), typed=True))
        else:
            sys.stdout.write(run(state, words, typed=False))
    except RefusedError as error:
        sys.stderr.write(f"security: {error}\n")
        return 44
    path.write_text(json.dumps(state))
    return 0


if __name__ == "__main__":
    sys.exit(main())
