"""The way from a command to its keys: through the keeper, or straight to a store."""

from collections.abc import Collection
from types import TracebackType
from typing import Protocol, Self

from privyseal.cli.spec import Values
from privyseal.errors import UnsupportedError
from privyseal.model.secret import Secret


class Door(Protocol):
    """One way in; a context manager, since it holds a connection or an open store."""

    @property
    def description(self) -> str:
        """Name the store behind it in a person's words."""
        ...

    def carry_out(self, order: object, value: Secret | None = None) -> bytes:
        """Carry out an order of `privyseal.model.aws`; return its result as a JSON text.

        Waits for a person where one has to decide or to type, and says so on stderr.

        Raises:
            DeniedError: She refused, or a rule did.
            ExpiredError: Nobody decided in time.
        """
        ...

    def keys(self) -> Collection[str]:
        """Return the names of the long-lived keys that the store keeps."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


def open_door(values: Values) -> Door:
    """Return the door that the options of a command choose; its values hold `options.STORE`.

    `--backend` or AWS_VAULT_BACKEND names a store; without it the keeper is asked when one runs.

    Raises:
        UnreachableError: The keeper or the store is out of reach.
    """
    raise UnsupportedError(f"no door yet for {values!r}")
