"""Credentials that a command asks for: by a server beside it, or by credential_process."""

import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import NamedTuple

import msgspec

from privyseal.aws.servers.ecs import serve_ecs
from privyseal.aws.servers.imds import Offer, serve_imds
from privyseal.aws.servers.private import serve_imds_apart
from privyseal.cli.aws.become import program
from privyseal.cli.aws.child import hold_signals, leave, run
from privyseal.cli.aws.childconfig import child_config
from privyseal.cli.aws.credentials import obtain
from privyseal.cli.aws.environment import session
from privyseal.cli.aws.obtained import Obtained
from privyseal.cli.aws.planned import survey
from privyseal.cli.report import say
from privyseal.cli.spec import Values
from privyseal.model.aws import Credentials


def run_served(values: Values, profile: str, command: tuple[str, ...]) -> int:
    """Run a command that gets no credentials in its environment, but a way to ask for them."""
    program(command[0])
    supply = _Supply(values, profile, command)
    # Codes and decisions come first, while Ctrl-C still is ours.
    found = survey(values, profile) if values["lazy"] else supply.first()
    environment = session(os.environ, profile, region=found.region, endpoint=found.endpoint)
    supply.begin()
    mask = hold_signals()
    with ExitStack() as stack:
        way = stack.enter_context(_way(values, profile, supply, environment, found.region))
        status = run([*way.prefix, *command], environment | way.variables, mask, way.fds)
    return leave(status)


class _Way(NamedTuple):
    """How a command comes to its credentials: by variables, and perhaps in a network of its own."""

    variables: dict[str, str]
    prefix: tuple[str, ...] = ()
    fds: tuple[int, ...] = ()


class _Supply:
    """Gets credentials for a server: of the profile, or of a role with those."""

    def __init__(self, values: Values, profile: str, command: tuple[str, ...]) -> None:
        self._values = values
        self._profile = profile
        self._command = command
        self._first: Obtained | None = None

    def first(self) -> Obtained:
        """Get the profile's own credentials now, and hand them out once."""
        self._first = obtain(self._values, self._profile, self._command)
        return self._first

    def begin(self) -> None:
        """Leave the terminal to the command: a person is asked elsewhere if she can be."""
        spent = {"mfa_token": ""} if self._first else {}
        self._values = self._values | {"busy": True} | spent

    def __call__(self, role: str) -> Credentials:
        """Return credentials of a role, or of the profile for ""."""
        found = None
        if not role:
            found, self._first = self._first, None
        if found is None:
            found = obtain(self._values | self._on_top(role), self._profile, self._command)
        return msgspec.convert({**found.credentials}, Credentials)

    def _on_top(self, role: str) -> Values:
        on_top: Values = {"fresh": False}
        if role and self._values["role_arn"]:
            on_top["chain"] = (*self._values["chain"], role)
        elif role:
            on_top["role_arn"] = role
        return on_top


@contextmanager
def _way(
    values: Values,
    profile: str,
    supply: _Supply,
    environment: Mapping[str, str],
    region: str,
) -> Iterator[_Way]:
    if values["profile_env"]:
        with child_config(environment, profile, process=True) as given:
            yield _Way(given)
        return
    with child_config(environment, "", process=False) as files, ExitStack() as stack:
        around = {**environment, **files}
        offer = Offer(region, version_1=bool(values["imds_v1"]), lazy=bool(values["lazy"]))
        if values["imds"]:
            network = stack.enter_context(serve_imds_apart(supply, around, offer))
            if network.notice:
                say(network.notice)
            yield _Way(files | network.variables, network.prefix, network.fds)
            return
        if values["ec2_server"]:
            given = stack.enter_context(serve_imds(supply, around, offer))
        else:
            plain = not values["no_env"]
            given = stack.enter_context(
                serve_ecs(supply, around, lazy=offer.lazy, plain_token=plain)
            )
        yield _Way(files | given)
