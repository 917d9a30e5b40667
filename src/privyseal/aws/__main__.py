"""Run the broker, which calls AWS for the keeper: `python -I -m privyseal.aws --fd N`.

--fd N      one connected socket, from the keeper that started this program
(none)      a listening socket from systemd (sd_listen_fds(3)): whoever connects as our own user
            is the companion's keeper, since nothing else of the companion does
"""

import argparse
import logging
import os
import socket
import sys
from pathlib import Path
from typing import Final

from privyseal.aws import broker
from privyseal.aws.flights import Flights
from privyseal.aws.means import Means
from privyseal.aws.ports import KeyStore, Talk
from privyseal.errors import UsageError
from privyseal.model.aws import Order
from privyseal.model.secret import Secret
from privyseal.runtime import serve
from privyseal.runtime.clock import SystemClock
from privyseal.runtime.paths import runtime_dir

FIRST_FD: Final = 3

log = logging.getLogger(__name__)


def main() -> int:
    """Serve until the keeper hangs up."""
    parser = argparse.ArgumentParser(prog="privyseal.aws", description=__doc__)
    parser.add_argument("--fd", type=int, help="a connected socket of the keeper")
    options = parser.parse_args()
    serve.harden()
    serve.log_to_stderr()
    folder = Path(os.environ.get("RUNTIME_DIRECTORY") or runtime_dir() / "aws")
    clock, flights = SystemClock(), Flights(folder)

    def work(order: Order, store: KeyStore, talk: Talk, value: Secret | None) -> bytes:
        from privyseal.aws.engine import carry_out  # noqa: PLC0415 - it needs more packages

        return carry_out(order, Means(store, talk, clock, flights), value)

    if options.fd is None:
        return _listen(work)
    with socket.socket(fileno=options.fd) as link:
        if not broker.is_own(link, os.getppid()):
            log.error("the socket is not of the program that started this one")
            return UsageError.exit_status
        broker.serve(link, work)
    return 0


def _listen(work: broker.CarryOut) -> int:
    if (os.environ.get("LISTEN_PID"), os.environ.get("LISTEN_FDS")) != (str(os.getpid()), "1"):
        log.error("neither --fd nor a socket of systemd: the keeper starts this program")
        return UsageError.exit_status
    with socket.socket(fileno=FIRST_FD) as listener:
        link, _ = listener.accept()
    with link:
        if broker.is_own(link):
            broker.serve(link, work)
    return 0


if __name__ == "__main__":
    sys.exit(main())
