"""What a passphrase must be before a store is made under it."""

from typing import Final

from privyseal.errors import UsageError
from privyseal.model.secret import Secret

SHORTEST: Final = 8
"""Characters: the least that NIST SP 800-63B-3, 5.1.1 asks of a secret that a person chooses."""


def check_new(passphrase: Secret) -> None:
    """Refuse a passphrase that whoever has a copy of the store would soon have guessed.

    Raises:
        UsageError: It is shorter than `SHORTEST`.
    """
    if len(passphrase.expose().decode(errors="replace")) < SHORTEST:
        raise UsageError(
            f"a new passphrase has at least {SHORTEST} characters",
            hint="choose a longer one: four or five words are easy to keep",
        )
