"""The EC2 metadata server on loopback, for clients that can be told where it is."""

import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final, NamedTuple

from privyseal.aws.servers.desk import listen_here
from privyseal.aws.servers.listener import LIMITS, Answer, Limits, answering
from privyseal.aws.servers.peers import open_peers
from privyseal.aws.servers.proxies import unproxied
from privyseal.aws.servers.supply import Obtain, Supply
from privyseal.errors import PrivysealError
from privyseal.model.clock import Clock
from privyseal.runtime.clock import SystemClock
from privyseal.wire.aws import imds
from privyseal.wire.aws.exchange import Request, Response

_KEY_BYTES: Final = 32


class Offer(NamedTuple):
    """What a metadata server says, and to whom.

    `version_1` answers requests without a token too, as clients of the first version send them.
    `hops` is how far the answers may travel; 1 is this machine.
    """

    region: str = ""
    version_1: bool = False
    hops: int = 1
    lazy: bool = False
    limits: Limits = LIMITS


@contextmanager
def serve_imds(
    obtain: Obtain,
    environment: Mapping[str, str],
    offer: Offer = Offer(),  # noqa: B008 - an immutable value
    *,
    clock: Clock | None = None,
) -> Iterator[dict[str, str]]:
    """Serve EC2 metadata on a port of loopback while the block runs; lend the child's variables.

    Args:
        obtain: Where credentials come from; it is asked for the profile's own only.
        environment: What the child inherits; its proxies are told to leave the server alone.
        offer: What the server says.
        clock: Time, the machine's by default.

    Raises:
        PrivysealError: There are no credentials, or no port.
    """
    clock = clock or SystemClock()
    supply = stock(obtain, clock, lazy=offer.lazy)
    listening = listen_here(hops=offer.hops)
    address, port = listening.getsockname()
    hosts = frozenset({f"{address}:{port}"})
    answer = answers(supply, offer, hosts, clock)
    with listening, open_peers() as peers, answering(listening, answer, peers, offer.limits):
        yield {
            "AWS_EC2_METADATA_SERVICE_ENDPOINT": f"http://{address}:{port}",
            **enabled(version_1=offer.version_1),
            **unproxied(environment, address),
        }


def stock(obtain: Obtain, clock: Clock, *, lazy: bool) -> Supply:
    """Return a supply, with the profile's own credentials already in it unless `lazy`."""
    supply = Supply(obtain, clock)
    if not lazy:
        supply.get()
    return supply


def enabled(*, version_1: bool) -> dict[str, str]:
    """Return the variables that let a client ask, whatever the user's own configuration says.

    Without version 1 a client is told not to try it, so that it says what is wrong.
    """
    return {
        "AWS_EC2_METADATA_DISABLED": "false",
        "AWS_EC2_METADATA_V1_DISABLED": "false" if version_1 else "true",
    }


def answers(supply: Supply, offer: Offer, hosts: frozenset[str], clock: Clock) -> Answer:
    """Return what answers the requests of a metadata server that these `Host` values reach."""
    gate = imds.Gate(secrets.token_bytes(_KEY_BYTES), hosts, offer.region, offer.version_1)

    def answer(request: Request) -> Response:
        nonce = secrets.token_bytes(imds.NONCE_BYTES)
        wanted = imds.judge(request, gate, clock.monotonic(), nonce)
        if isinstance(wanted, Response):
            return wanted
        try:
            credentials = supply.get()
        except PrivysealError as error:
            return imds.failure(str(error))
        return imds.grant(credentials, clock.wall(), account=wanted.account)

    return answer
