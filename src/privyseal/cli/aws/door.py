"""The way from a command to its keys: through the keeper, or straight to a store."""

import os
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager
from typing import Final

import msgspec

from privyseal.aws.ports import KeyStore, Talk
from privyseal.cli.aws import remembered
from privyseal.cli.aws.authorities import disobeyed, without_bundle
from privyseal.cli.aws.keeperdoor import KeeperLink, NoKeeperError, keeper_link
from privyseal.cli.aws.options import KEEPER, backend, chosen
from privyseal.cli.aws.wishes import patience, person
from privyseal.cli.reach import way_in
from privyseal.cli.report import say
from privyseal.cli.spec import Values
from privyseal.errors import NotFoundError
from privyseal.model.aws import (
    Clear,
    Keep,
    Known,
    Link,
    Obtain,
    Order,
    PortalRole,
    Remove,
    Rotate,
    StoredKey,
    Vaulted,
)
from privyseal.model.secret import Secret
from privyseal.model.value import decode
from privyseal.wire.aws import utf8

TO_A_KEEPER: Final = "set DBUS_SESSION_BUS_ADDRESS: `privy try` prints the line for that"


class Asked:
    """The person at a command; `mfa_process` computes codes for a profile, "" for none."""

    def __init__(self, values: Values) -> None:
        self._values = values
        self._talks: dict[str, Talk] = {}
        self.mfa_process = ""

    def __call__(self) -> Talk:
        """Return the talk with her, which is made when it is needed first."""
        # A store is listed before it is known what computes codes.
        if self.mfa_process not in self._talks:
            self._talks[self.mfa_process] = person(self._values, self.mfa_process)
        return self._talks[self.mfa_process]


class KeeperDoor:
    """The keeper keeps the keys and asks a person; what begins outside is done in this process."""

    description = "the keeper"
    remark = ""
    remembers = True

    def __init__(self, link: KeeperLink, asked: Asked) -> None:
        self._link = link
        self._said = False
        self.asked = asked

    def carry_out(self, order: Order, value: Secret | None = None) -> bytes:
        """Carry out an order; return its result as a JSON text.

        Waits for a person where one has to decide or to type, and says so on stderr.

        Raises:
            UsageError: It holds text that is none.
            DeniedError: She refused, or a rule did.
            ExpiredError: Nobody decided in time.
        """
        utf8.check(order)
        if isinstance(order, Known):
            return msgspec.json.encode(self.known())
        if isinstance(order, Obtain | Link) and not isinstance(
            order.plan.source, StoredKey | PortalRole
        ):
            from privyseal.cli.aws.direct import MemoryStore, carry_out_here  # noqa: PLC0415 - slow

            return carry_out_here(order, MemoryStore(), self.asked())
        if isinstance(order, Keep | Remove | Clear | Rotate):
            remembered.forget()
        return self._link.carry_out(msgspec.to_builtins(self._for_keeper(order)), value)

    def _for_keeper(self, order: Order) -> Order:
        """Return the order without authorities of its own; say once that they do not count."""
        if (text := disobeyed(order)) and not self._said:
            self._said = True
            say(text)
        return without_bundle(order)

    def known(self) -> Vaulted:
        """Return what is kept, without a secret."""
        return msgspec.convert(self._link.known(), Vaulted)

    def keys(self) -> Collection[str]:
        """Return the names of the long-lived keys that are kept."""
        return frozenset(key.name for key in self.known().keys)


class StoreDoor:
    """The keys lie in a store of the user's, and the engine runs in this process.

    `remark` says so where it was not she who chose it, but the lack of a keeper; else it is "".
    """

    remembers = False

    def __init__(self, store: KeyStore, asked: Asked, *, instead: bool) -> None:
        self._store = store
        self.asked = asked
        self.description = store.description
        text = f"no keeper answers here, so keys are with {store.description}"
        self.remark = f"{text}; to reach a keeper, {TO_A_KEEPER}" if instead else ""

    def carry_out(self, order: Order, value: Secret | None = None) -> bytes:
        """Carry out an order; return its result as a JSON text.

        Raises:
            UsageError: It holds text that is none.
            DeniedError: The person refused, or AWS did.
        """
        from privyseal.cli.aws.direct import carry_out_here  # noqa: PLC0415 - slow

        utf8.check(order)
        return carry_out_here(order, self._store, self.asked(), value)

    def known(self) -> Vaulted:
        """Return what is kept, without a secret."""
        return decode(self.carry_out(Known()), Vaulted, what="the list of the store")

    def keys(self) -> Collection[str]:
        """Return the names of the long-lived keys that are kept."""
        return frozenset(key.name for key in self.known().keys)


Door = KeeperDoor | StoreDoor


@contextmanager
def open_door(values: Values, *, wake: bool = True) -> Iterator[Door]:
    """Lend the door that the options of a command choose; its values hold `options.STORE`.

    `--backend` or AWS_VAULT_BACKEND names a store; without it the keeper is asked when one runs,
    and else the first store that works here. With `wake` a companion that is logged out is started.

    Raises:
        UnreachableError: The keeper or the store is out of reach.
    """
    asked = Asked(values)
    wanted = backend(values, os.environ)
    with ExitStack() as stack:
        if wanted in {"", KEEPER}:
            try:
                link = stack.enter_context(keeper_link(asked, wake=wake, seconds=patience(values)))
            except NoKeeperError:
                if wanted or way_in() is not None:
                    raise
            else:
                yield KeeperDoor(link, asked)
                return
        from privyseal.cli.aws.direct import open_direct  # noqa: PLC0415 - slow

        door = StoreDoor(open_direct(chosen(values)), asked, instead=not wanted)
        try:
            yield door
        except NotFoundError as error:
            if wanted:
                raise
            # First of all: or she types the key that a keeper has into a store of less worth.
            hint = f"{door.remark}; or {error.hint}" if error.hint else door.remark
            raise NotFoundError(str(error), hint=hint) from error
