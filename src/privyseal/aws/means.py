"""What orders are carried out with, handed on as one from whoever takes them."""

from typing import NamedTuple

from privyseal.aws.flights import Flights
from privyseal.aws.ports import KeyStore, Talk
from privyseal.model.clock import Clock


class Means(NamedTuple):
    """A store of keys, the person at the command that asked, the time, and who else is aloft."""

    store: KeyStore
    talk: Talk
    clock: Clock
    flights: Flights
