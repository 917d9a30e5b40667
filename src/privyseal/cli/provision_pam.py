"""The optional PAM hook: one line in the stack of all logins, which starts a companion.

Without it the companion comes with the user manager. The hook brings it back at the next login
after a person logged out on the console.
"""

from pathlib import Path
from typing import Final

import msgspec

from privyseal.cli.journal import Change, look
from privyseal.cli.provision_files import at, deploy
from privyseal.errors import UnsupportedError

_STACKS: Final = ("common-session", "system-login", "postlogin")  # Debian and SUSE, Arch, Fedora
_HOOK: Final = "/privyseal/deploy/pam/login.sh"


def pam_change(root: Path, *, wanted: bool) -> Change | None:
    """Return what has to change for the hook to be there, or not; None when nothing has.

    The line is the last one, so whatever else a stack holds then or later stays as it is.

    Raises:
        UnsupportedError: The hook is wanted, and there is no stack to put it into.
    """
    folder = at(root, Path("/etc/pam.d"))
    for path in (folder / name for name in _STACKS):
        before = look(path)
        if before is None or before.kind != "file":
            continue
        lines = before.content.splitlines(keepends=True)
        # pam_exec(8): optional, as root also below su, and the script ends with status 0 whatever
        # happens.
        options = "quiet seteuid type=open_session"
        hook = f"session optional pam_exec.so {options} /bin/sh {deploy()}/pam/login.sh\n".encode()
        if wanted and hook in lines:
            return None
        if wanted and lines and not lines[-1].endswith(b"\n"):
            raise UnsupportedError(
                f"the last line of {path} is not ended", hint="add the line feed first"
            )
        kept = [line for line in lines if _HOOK.encode() not in line]
        content = b"".join([*kept, hook] if wanted else kept)
        after = msgspec.structs.replace(before, content=content)
        return None if after == before else Change(path=str(path), before=before, after=after)
    if wanted:
        stacks = ", ".join(_STACKS)
        raise UnsupportedError(f"there is none of {stacks} in {folder} that could take the hook")
    return None
