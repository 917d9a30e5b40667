"""A folder for a store and the GnuPG home beside it."""

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.waiting import PATIENCE

# The least that gpg-agent takes: deriving a key from a passphrase is not what is tested.
_QUICK = "s2k-count 65536\nno-allow-external-cache\n"


@contextmanager
def gnupg_folder() -> Iterator[Path]:
    """Yield a folder with a short path, as an agent's socket needs it; ends the agent."""
    with tempfile.TemporaryDirectory(prefix="pv") as name:
        folder = Path(name)
        home = folder / ".gnupg"
        home.mkdir(mode=0o700)
        (home / "gpg-agent.conf").write_text(_QUICK)
        try:
            yield folder
        finally:
            subprocess.run(
                ["gpgconf", "--homedir", home, "--kill", "gpg-agent"], check=False, timeout=PATIENCE
            )
