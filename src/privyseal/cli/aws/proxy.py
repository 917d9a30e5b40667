"""`privy aws proxy`: what took the place of aws-vault's root proxy, and an end to one left behind."""

import http.client
import socket
from typing import Final

from privyseal.cli.report import say
from privyseal.cli.spec import Option, Spec, Values
from privyseal.errors import PrivysealError

STOP: Final = Option("--stop", "End a proxy of aws-vault that still runs.")

_ADDRESS: Final = "169.254.169.254"
_PORT: Final = 80
_SECONDS: Final = 3.0
_REMOVE: Final = f"sudo ip addr del {_ADDRESS}/24 dev lo"


def run(values: Values) -> int:
    """Say how credentials are served without a proxy; with --stop end an old one."""
    left_behind = _own_address()
    if values["stop"] and left_behind:
        return _stop()
    if values["stop"]:
        say("no proxy runs, and none is needed")
        return 0
    say("no proxy runs as root any more: `privy aws exec --imds` answers at")
    say(f"{_ADDRESS} in a network of the command's own, `--ec2-server` on a free port")
    if left_behind:
        say(f"{_ADDRESS} is an address of this whole machine, as aws-vault's proxy leaves it")
        say("  try: privy aws proxy --stop")
    return 0


def _own_address() -> bool:
    """Return whether the metadata address is this machine's own: no instance of EC2 has it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((_ADDRESS, 0))
        except OSError:
            return False
    return True


def _stop() -> int:
    connection = http.client.HTTPConnection(_ADDRESS, _PORT, timeout=_SECONDS)
    try:
        connection.request("GET", "/stop")
        connection.getresponse().read()
    except (OSError, http.client.HTTPException):
        pass  # it ends without an answer, or had ended before
    finally:
        connection.close()
    if _own_address():
        raise PrivysealError(
            f"{_ADDRESS} is still an address of this machine", hint=f"take it off: {_REMOVE}"
        )
    say("the proxy has ended")
    return 0


SPEC: Final = Spec(
    "Say what took the place of aws-vault's proxy.",
    run,
    (STOP,),
    details="aws-vault needed a proxy that ran as root, and an address that every program of the machine "
    "could reach. Neither is needed here.",
)
