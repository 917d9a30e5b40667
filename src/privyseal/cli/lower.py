"""A child of root that becomes another user for good before it touches anything of that user's.

It is started as root, loads its code from root's files, and then gives everything up: what it
talks to afterwards sees the other user, and nothing of that user's may read its memory, because
the kernel lets no process that changed its user be traced by the new one (ptrace(2)).
"""

import ctypes
import os
import pwd
import signal
from typing import Final

from privyseal.errors import NotFoundError, PrivysealError

_PR_SET_PDEATHSIG: Final = 1
_PR_SET_NO_NEW_PRIVS: Final = 38
_ENVIRONMENT: Final = ("PATH", "LANG")


def become(uid: int) -> None:
    """Be user `uid`, with that user's groups and an environment of our own making.

    Who is that user already changes nothing but the environment.

    Raises:
        PrivysealError: We may not.
    """
    try:
        account = pwd.getpwuid(uid)
        name, gid, home = account.pw_name, account.pw_gid, account.pw_dir
    except KeyError:
        name, gid, home = "", uid, "/"
    try:
        if os.geteuid() == 0 and uid != 0:
            if name:
                os.initgroups(name, gid)
            else:
                os.setgroups([])
            os.setresgid(gid, gid, gid)
            os.setresuid(uid, uid, uid)
        elif os.geteuid() != uid:
            raise PrivysealError("only root can act as another user", hint="run it as root")
    except OSError as error:
        raise PrivysealError(f"cannot act as user {uid}: {error.strerror}") from error
    libc = ctypes.CDLL(None)
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    kept = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
    os.environ.clear()
    os.environ.update(kept)
    os.environ["HOME"] = home
    os.environ["XDG_RUNTIME_DIR"] = f"/run/user/{uid}"
    os.environ["DBUS_SESSION_BUS_ADDRESS"] = f"unix:path=/run/user/{uid}/bus"
    os.umask(0o077)


def account_uid(name: str) -> int:
    """Return the number of a user.

    Raises:
        NotFoundError: There is no such user.
    """
    try:
        return pwd.getpwnam(name).pw_uid
    except KeyError:
        raise NotFoundError(f"there is no user {name!r}", hint="see `getent passwd`") from None
