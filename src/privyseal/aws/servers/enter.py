"""The program that becomes a command inside a private network: `enter FD… -- COMMAND…`.

Standard library only: it stands between a person and every command.
"""

import os
import sys
from pathlib import Path

from privyseal.aws.servers.namespaces import enter

NOT_FOUND = 127


def main(words: list[str]) -> int:
    """Enter the namespaces behind the descriptors in order, then become the command."""
    split = words.index("--")
    command = words[split + 1 :]
    folder = Path.cwd()
    for word in words[:split]:
        enter(int(word))
        os.close(int(word))
    # A new mount namespace begins at its root.
    os.chdir(folder)
    try:
        os.execvp(command[0], command)  # noqa: S606 - no shell stands between
    except OSError as error:
        print(  # noqa: T201 - a command's own last word
            f"privy: error: cannot run {command[0]!r}: {error.strerror}", file=sys.stderr
        )
    return NOT_FOUND


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
