"""What a shell may offer after `privy aws` and `aws-vault`."""

import os
from collections.abc import Sequence
from typing import Final

from privyseal.cli.aws.files import load_profiles
from privyseal.cli.aws.formats import FORMATS
from privyseal.cli.aws.options import STORE
from privyseal.cli.aws.table import GROUP
from privyseal.cli.spec import Spec
from privyseal.errors import PrivysealError, UsageError

_SCRIPTS: Final = {
    "bash": """\
_aws_vault() {
    local i cur="${COMP_WORDS[COMP_CWORD]}"
    for (( i=1; i < COMP_CWORD; i++ )); do
        if [[ "${COMP_WORDS[i]}" == -- ]]; then
            # What follows is another command: its own completion knows it.
            declare -F _command_offset >/dev/null && _command_offset $((i + 1))
            return
        fi
    done
    mapfile -t COMPREPLY < <(compgen -W "$(aws-vault --completion-bash "${COMP_WORDS[@]:1:COMP_CWORD}")" -- "$cur")
}
complete -F _aws_vault -o default aws-vault""",
    "zsh": """\
#compdef aws-vault
_aws_vault() {
    local i
    for (( i=2; i < CURRENT; i++ )); do
        if [[ "${words[i]}" == -- ]]; then
            shift $i words
            (( CURRENT -= i ))
            _normal
            return
        fi
    done
    compadd -- ${(f)"$(aws-vault --completion-bash "${(@)words[2,CURRENT]}")"}
}
compdef _aws_vault aws-vault""",
}


def script(shell: str) -> str:
    """Return what a shell has to load to complete `aws-vault`.

    Raises:
        UsageError: There is none for this shell.
    """
    if shell not in _SCRIPTS:
        raise UsageError(f"no completion for {shell!r}", hint=f"use one of {', '.join(_SCRIPTS)}")
    return _SCRIPTS[shell]


def candidates(words: Sequence[str]) -> list[str]:
    """Return what may stand in place of the last of the words that follow `aws-vault`."""
    before, current = list(words[:-1]), words[-1] if words else ""
    command = next((word for word in before if not word.startswith("-")), "")
    found = GROUP.load(command) if command in GROUP.commands else None
    spec = found if isinstance(found, Spec) else None
    if current.startswith("-"):
        options = [*STORE, *(spec.options if spec else ())]
        return list(dict.fromkeys(option.flag for option in options))
    if not command:
        return [name for name, (_, line) in GROUP.commands.items() if line]
    if before[-1] == "--format":
        return list(FORMATS)
    return profiles()


def profiles() -> list[str]:
    """Return the names of the profiles, none where the file cannot be read."""
    try:
        return list(load_profiles(os.environ).names())
    except PrivysealError:
        return []  # a completion has no place for an error
