"""The packages that `privy aws` needs and the base installation does not bring."""

from typing import Final

from privyseal.errors import UnsupportedError

PACKAGES: Final = ("botocore", "h11", "jeepney", "secretstorage", "urllib3")
"""Those of the extra `aws`, as they are imported."""

INSTALL: Final = "install the extra: pip install 'privyseal[aws]'"


def missing(error: ModuleNotFoundError) -> UnsupportedError | None:
    """Return what to say when a module was not found, None when it is none of these."""
    package = (error.name or "").partition(".")[0]
    if package not in PACKAGES:
        return None
    return UnsupportedError(f"this needs {package}, which is not installed", hint=INSTALL)
