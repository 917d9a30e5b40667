"""The EC2 metadata server at its own address, in a private network that one command is in."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Final, NamedTuple

from privyseal.aws.servers import apart, enter
from privyseal.aws.servers.imds import Offer, answers, enabled, stock
from privyseal.aws.servers.listener import answering
from privyseal.aws.servers.peers import Peers
from privyseal.aws.servers.proxies import unproxied
from privyseal.aws.servers.relay import relaying
from privyseal.aws.servers.supply import Obtain
from privyseal.errors import PrivysealError, UnsupportedError
from privyseal.model.clock import Clock
from privyseal.runtime.clock import SystemClock
from privyseal.wire.aws import imds

_TABLES: Final = len(apart.TABLES)


class Network(NamedTuple):
    """A private network: how a command gets into it, and a line for the person, if any.

    The command is run as `[*prefix, *command]` with `fds` passed on to it; they are inheritable.
    """

    variables: dict[str, str]
    prefix: tuple[str, ...]
    fds: tuple[int, ...]
    notice: str


@contextmanager
def serve_imds_apart(
    obtain: Obtain,
    environment: Mapping[str, str],
    offer: Offer = Offer(),  # noqa: B008 - an immutable value
    *,
    clock: Clock | None = None,
) -> Iterator[Network]:
    """Serve EC2 metadata at 169.254.169.254:80 while the block runs, to one private network.

    Args:
        obtain: Where credentials come from; it is asked for the profile's own only.
        environment: What the child inherits; `PATH` leads to the program that connects networks.
        offer: What the server says.
        clock: Time, the machine's by default.

    Raises:
        UnsupportedError: The system lets this user have no network of her own.
        PrivysealError: There are no credentials.
    """
    clock = clock or SystemClock()
    supply = stock(obtain, clock, lazy=offer.lazy)
    with ExitStack() as stack:
        said, fds = _make(stack, environment.get("PATH", ""))
        listening, inner = (stack.enter_context(socket.socket(fileno=fd)) for fd in fds[:2])
        tables, spaces = tuple(fds[2 : 2 + _TABLES]), tuple(fds[2 + _TABLES :])
        peers = Peers(tables, os.geteuid())
        proxies: dict[str, str] = {}
        around = environment
        if not said["network"]:
            proxies = stack.enter_context(relaying(inner, environment, peers))
            # What was reached without a proxy before is not now.
            around = proxies
        listening.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, offer.hops)
        answer = answers(supply, offer, imds.NAMES, clock)
        stack.enter_context(answering(listening, answer, peers, offer.limits))
        variables = {
            "AWS_EC2_METADATA_SERVICE_ENDPOINT": f"http://{imds.ADDRESS}",
            **enabled(version_1=offer.version_1),
            **proxies,
            **unproxied(around, imds.ADDRESS),
        }
        for space in spaces:
            os.set_inheritable(space, True)  # noqa: FBT003 - it takes no keyword
        words = [str(space) for space in spaces]
        prefix = (sys.executable, "-I", "-m", enter.__name__, *words, "--")
        yield Network(variables, prefix, spaces, _notice(said))


def _make(stack: ExitStack, path: str) -> tuple[Mapping[str, str], list[int]]:
    control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        try:
            program = subprocess.Popen(
                [sys.executable, "-I", "-m", apart.__name__, str(theirs.fileno()), path],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                start_new_session=True,  # an interrupt typed at the command is not for its network
            )
        except OSError as error:
            control.close()
            raise PrivysealError(f"cannot start the network: {error.strerror}") from error
    # Left in the opposite order: closing the socket ends the program.
    stack.callback(program.wait)
    stack.enter_context(control)
    message, fds = apart.receive(control)
    for fd in fds[2:]:
        stack.callback(os.close, fd)
    if not message:
        raise PrivysealError("the private network ended before it began")
    said: dict[str, str] = json.loads(message)
    if said["error"] or not fds:
        raise UnsupportedError(
            f"this system gives you no private network: {said['error']}",
            hint="use --ec2-server, which needs none, with a client that can be told where it is",
        )
    return said, fds


def _notice(said: Mapping[str, str]) -> str:
    if said["network"]:
        return said["trouble"]
    why = said["trouble"] or "neither pasta nor slirp4netns is installed"
    return f"{why}: the command reaches other machines through HTTPS_PROXY only"
