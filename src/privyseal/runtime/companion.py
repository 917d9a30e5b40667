"""Where the companion of a user lives: its names and places, all made from the user's UID."""

from pathlib import Path
from typing import Annotated, Final

import msgspec

from privyseal.errors import PrivysealError
from privyseal.model.value import Name, Value, decode

RECORDS: Final = Path("/etc/privyseal/companions")
_MAX_RECORD: Final = 4096


class Companion(Value, frozen=True):
    """What `privy provision` wrote down: whose companion it is, and which terminal is its own."""

    uid: Annotated[int, msgspec.Meta(ge=0)]
    user: Name
    vt: Annotated[int, msgspec.Meta(ge=1, le=63)]

    @property
    def account(self) -> str:
        """The name of the second user."""
        return f"privyseal-{self.uid}"

    @property
    def home(self) -> Path:
        """The folder with everything that stays: store, audit log, receipt key, phrase."""
        return Path("/var/lib/privyseal") / str(self.uid)

    @property
    def bus_name(self) -> str:
        """The keeper's name on the system bus."""
        return f"org.privyseal.Keeper1.u{self.uid}"

    @property
    def private_bus(self) -> str:
        """The address of the bus where deciding happens."""
        return f"unix:path=/run/privyseal/{self.uid}/bus"

    @property
    def witness(self) -> Path:
        """The socket of the witness."""
        return Path(f"/run/privyseal/witness-{self.uid}")

    @property
    def broker(self) -> Path:
        """The socket of the AWS broker."""
        return Path(f"/run/privyseal/aws-{self.uid}")

    @property
    def way_in(self) -> str:
        """The keys that lead to the console."""
        return f"Ctrl+Alt+F{self.vt}"


def find(uid: int, records: Path = RECORDS) -> Companion | None:
    """Return the companion of a user, or None when there is none.

    Raises:
        PrivysealError: The record cannot be read.
    """
    file = records / f"{uid}.json"
    try:
        with file.open("rb") as record:
            text = record.read(_MAX_RECORD)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise PrivysealError(f"cannot read {str(file)!r}: {error.strerror}") from error
    return decode(text.decode(errors="replace"), Companion, what=f"the record {str(file)!r}")
