"""The optional PAM hook: one line in the stack of all logins, which starts a companion.

Without it the companion comes with the user manager. The hook brings it back at the next login
after a person logged out on the console.
"""

import re
from pathlib import Path
from typing import Final

import msgspec

from privyseal.cli.journal import Change, look
from privyseal.cli.provision_files import at, deploy
from privyseal.errors import UnsupportedError

_STACKS: Final = ("common-session", "system-login", "postlogin")  # Debian and SUSE, Arch, Fedora
_USERS_OWN: Final = re.compile(rb"\s*-?(\w+)\s[^#]*pam_env\.so[^#]*user_readenv=1")
_HOOK: Final = "/privyseal/deploy/pam/login.sh"


def pam_change(root: Path, *, wanted: bool) -> Change | None:
    """Return what has to change for the hook to be there, or not; None when nothing has.

    The line is the last one, so whatever else a stack holds then or later stays as it is.

    Raises:
        UnsupportedError: The hook is wanted, and there is no stack to put it into, or a user could
            set what root runs it with.
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
        if wanted and (trap := _users_environment(folder, path.name)):
            raise UnsupportedError(
                f"{trap} lets users set the environment in which the hook would run as root",
                hint="take `user_readenv=1` out there, or do without --pam",
            )
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


def _users_environment(folder: Path, stack: str) -> str:
    """Return a file where pam_env(8) reads a user's own file before the end of a stack, or "".

    pam_exec(8) gives what it runs the environment of PAM, and the loader obeys LD_PRELOAD there.
    """
    for path in sorted(folder.iterdir()):
        known = look(path)
        if known is None or known.kind != "file":
            continue
        ended = False
        for line in known.content.splitlines():
            own = _USERS_OWN.match(line)
            if own and not (ended and own[1] == b"session"):
                return str(path)
            words = line.partition(b"#")[0].split()
            taken_in = words[:1] == [b"@include"] or b"session" in words
            ended = ended or (taken_in and stack.encode() in words)
    return ""
