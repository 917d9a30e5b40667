"""The person at this command, as the engine and the broker talk with her."""

import os
import sys
from functools import cache

from privyseal.aws.ports import Talk
from privyseal.aws.prompts.choice import CodeSource, Driver, choose
from privyseal.aws.talk import TerminalTalk
from privyseal.cli.aws.environment import cleaned
from privyseal.cli.spec import Values
from privyseal.runtime.clock import SystemClock


def person_of(values: Values, mfa_process: str = "", *, busy: bool = False) -> Talk:
    """Return the person as the options of a command reach her.

    Args:
        values: They may hold `prompt`, `mfa_token` and `stdout`.
        mfa_process: The command of her profile that computes codes.
        busy: Another program has the terminal: a window is the better place to ask.
    """
    clock = SystemClock()

    @cache
    def driver() -> Driver:
        name = values.get("prompt") or os.environ.get("AWS_VAULT_PROMPT", "")
        return choose(str(name), os.environ, busy=busy or not sys.stdout.isatty())

    codes = CodeSource(str(values.get("mfa_token", "")), mfa_process, driver, os.environ, clock)
    show_only = bool(values.get("stdout") or os.environ.get("AWS_VAULT_STDOUT"))
    environment = cleaned(os.environ)
    return TerminalTalk(codes.code, clock, environment, sys.stderr, show_only=show_only)
