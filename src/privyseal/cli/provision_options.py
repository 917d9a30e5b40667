"""Which options of `privy provision` go together: one that would be passed over is a mistake."""

from typing import Final

from privyseal.errors import UsageError

_GOES_WITH: Final = {
    "--vt": ("",),
    "--pam": ("",),
    "--dry-run": ("", "--import", "--undo"),
    "--json": ("--check", "--import"),
    "--verbose": ("--check",),
    "--delete-old": ("--import",),
    "--passphrase-fd": ("--import",),
    "--delete-secrets": ("--undo",),
}
"""The modes in which an option means something; "" is provisioning itself."""


def refuse_mixed(modes: dict[str, bool], options: dict[str, bool]) -> None:
    """Refuse two modes at once, and options that belong to another mode.

    Args:
        modes: Each option that chooses a mode, and whether it was given.
        options: Each other option of the table, and whether it was given.

    Raises:
        UsageError: They do not go together.
    """
    chosen = [mode for mode, given in modes.items() if given]
    if len(chosen) > 1:
        raise UsageError(f"{chosen[0]} and {chosen[1]} do not go together")
    mode = chosen[0] if chosen else ""
    for option, given in options.items():
        fits = _GOES_WITH[option]
        if not given or mode in fits:
            continue
        if "" in fits:
            raise UsageError(f"{option} does not go with {mode}")
        raise UsageError(f"{option} goes with {' or '.join(fits)}")
