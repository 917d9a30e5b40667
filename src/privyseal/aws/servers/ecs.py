"""The container credentials server: a loopback port and a token for one command."""

import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from privyseal.aws.servers.desk import listen_here
from privyseal.aws.servers.listener import LIMITS, Limits, answering
from privyseal.aws.servers.peers import open_peers
from privyseal.aws.servers.proxies import unproxied
from privyseal.aws.servers.supply import Obtain, Supply
from privyseal.aws.servers.tokenfile import token_file
from privyseal.errors import PrivysealError
from privyseal.model.clock import Clock
from privyseal.runtime.clock import SystemClock
from privyseal.wire.aws import ecs
from privyseal.wire.aws.exchange import Request, Response

_TOKEN_BYTES: Final = 32


@contextmanager
def serve_ecs(
    obtain: Obtain,
    environment: Mapping[str, str],
    *,
    lazy: bool = False,
    plain_token: bool = True,
    clock: Clock | None = None,
    limits: Limits = LIMITS,
) -> Iterator[dict[str, str]]:
    """Serve credentials on loopback while the block runs; lend the variables for the child.

    Args:
        obtain: Where credentials come from.
        environment: What the child inherits; its proxies are told to leave the server alone.
        lazy: Obtain nothing before a client asks; else a failure comes before the child starts.
        plain_token: Give the token in a variable too, besides its file, for older SDKs.
        clock: Time, the machine's by default.
        limits: What one client may cost.

    Raises:
        PrivysealError: There are no credentials, or no port, or no place for the token.
    """
    clock = clock or SystemClock()
    supply = Supply(obtain, clock)
    if not lazy:
        supply.get()
    token = secrets.token_urlsafe(_TOKEN_BYTES)
    listening = listen_here()
    address, port = listening.getsockname()
    gate = ecs.Gate(token, frozenset({f"{address}:{port}"}))

    def answer(request: Request) -> Response:
        wanted = ecs.judge(request, gate)
        if isinstance(wanted, Response):
            return wanted
        try:
            credentials = supply.get(wanted.role)
        except PrivysealError as error:
            return ecs.failure(str(error))
        return ecs.grant(credentials, clock.wall())

    with (
        listening,
        open_peers() as peers,
        token_file(token) as path,
        answering(listening, answer, peers, limits),
    ):
        variables = {
            "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"http://{address}:{port}",
            "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": str(path),
        }
        if plain_token:
            variables["AWS_CONTAINER_AUTHORIZATION_TOKEN"] = token
        yield variables | unproxied(environment, address)
