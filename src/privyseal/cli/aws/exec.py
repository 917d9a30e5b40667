"""`privy aws exec`: run a command with credentials of a profile."""

from __future__ import annotations

import os
import sys

from privyseal.cli.aws.become import become, program
from privyseal.cli.aws.credentials import obtain
from privyseal.cli.aws.environment import session, variables
from privyseal.cli.aws.profile import chosen_profile
from privyseal.cli.aws.wishes import OPTIONS, refuse_nested
from privyseal.cli.spec import Argument, Option, Spec, Values
from privyseal.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

ECS: Final = Option("--ecs-server", "Give credentials through a server, as containers get them.")
EC2: Final = Option("--ec2-server", "Give credentials through a server, as EC2 instances get them.")
IMDS: Final = Option("--imds", "The same, at 169.254.169.254 in a network namespace.")
IMDS_V1: Final = Option(
    "--imds-v1", "Let a metadata server answer without a token too, as its first version does."
)
NO_ENV: Final = Option("--no-env", "Put no credentials into the environment.")
PROFILE_ENV: Final = Option(
    "--profile-env", "Set AWS_PROFILE, and let credential_process do the rest."
)
SERVERS: Final = ("server", "ecs_server", "ec2_server", "imds")


def run(values: Values) -> int:
    """Get credentials, then become the command, or run it beside a server."""
    refuse_nested(values)
    _refuse_conflicts(values)
    values["profile_env"] = values["profile_env"] or bool(os.environ.get("AWS_VAULT_PROFILE_ENV"))
    profile = chosen_profile(values, interactive=not values["command"])
    if values["json"]:
        from privyseal.cli.aws.export import print_one  # noqa: PLC0415 - an old form

        return print_one(values, profile, "json")
    command = tuple(values["command"]) or _shell()
    if values["no_env"] or values["profile_env"] or any(values[name] for name in SERVERS):
        from privyseal.cli.aws.served import run_served  # noqa: PLC0415 - servers are slow to load

        return run_served(values, profile, command)
    path = program(command[0])  # nobody decides about a command that is not there
    found = obtain(values, profile, command)
    environment = session(os.environ, profile, region=found.region, endpoint=found.endpoint)
    become(path, command, environment | variables(found.credentials))
    return 0


def _refuse_conflicts(values: Values) -> None:
    serving = [name for name in SERVERS if values[name]]
    kinds = {"ecs_server" if name == "server" else name for name in serving}
    if len(kinds) > 1:
        flags = " and ".join(_flag(name) for name in sorted(kinds))
        raise UsageError(f"{flags} cannot be used together")
    for name in ("json", "no_session", "profile_env"):
        if serving and values[name]:
            raise UsageError(f"{_flag(serving[0])} cannot be used with {_flag(name)}")


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def _shell() -> tuple[str]:
    shell = os.environ.get("SHELL") or "/bin/sh"
    quiet = os.environ.get("AWS_VAULT_DISABLE_HELP_MESSAGE") == "1"
    if sys.stdout.isatty() and not quiet:
        from privyseal.cli.report import say  # noqa: PLC0415 - only for a person at a terminal

        say(f"starting a subshell {shell}: leave it with `exit`")
    return (shell,)


SPEC: Final = Spec(
    "Run a command with credentials of a profile.",
    run,
    (
        *OPTIONS,
        Option("--server", "The same as --ecs-server.", short="-s"),
        ECS,
        EC2,
        IMDS,
        IMDS_V1,
        Option("--lazy", "Get credentials when the command asks the server first."),
        NO_ENV,
        PROFILE_ENV,
        Option("--nested", "Start a session inside a session."),
        Option("--json", "Print the credentials: use `export --format json`.", short="-j"),
    ),
    (
        Argument("profile", complete="profiles", optional=True),
        Argument("command", rest=True, optional=True),
    ),
    "For example: `privy aws exec dev -- terraform plan`. Without PROFILE it is AWS_PROFILE, or you choose "
    "from a list; without COMMAND it is your shell. "
    "The command loses every credential that its environment held. It takes the place of this "
    "process, unless a server has to run beside it.",
    interspersed=True,
)
