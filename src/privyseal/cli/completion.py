"""`privy completion`: what a shell has to load to complete `privy`."""

from typing import Final

from privyseal.cli.spec import Argument, Spec, Values
from privyseal.errors import UsageError

_SHELLS: Final = ("bash", "zsh", "fish")


def run(values: Values) -> int:
    """Print the script."""
    from click.shell_completion import get_completion_class  # noqa: PLC0415 - 20 ms

    from privyseal.cli.tree import root  # noqa: PLC0415 - loads click

    shell = values["shell"]
    found = get_completion_class(shell) if shell in _SHELLS else None
    if found is None:
        raise UsageError(f"no shell {shell!r}", hint=f"use one of {', '.join(_SHELLS)}")
    # Not `source()`: for bash it starts a bash to ask its version, and warns on stdout.
    script = found(root, {}, "privy", "_PRIVY_COMPLETE")
    print(script.source_template % script.source_vars())
    return 0


SPEC: Final = Spec(
    "Print the completion script of a shell.",
    run,
    (),
    (Argument("shell", complete="shells"),),
    "SHELL is bash, zsh or fish. For bash: `privy completion bash > "
    "~/.local/share/bash-completion/completions/privy`.",
)
