"""ARNs, the names of AWS for everything it keeps: `arn:PARTITION:SERVICE:REGION:ACCOUNT:RESOURCE`."""

import re
from typing import Final, NamedTuple

from privyseal.errors import UsageError
from privyseal.wire.aws import partitions

_ACCOUNT: Final = re.compile(r"\d{12}", re.ASCII)
_PATH: Final = re.compile(r"[\x21-\x7e]+")
_FIELDS: Final = 6


class Arn(NamedTuple):
    """A parsed ARN; `resource` is all after the fifth colon, `role/path/name`."""

    partition: str
    service: str
    region: str
    account: str
    resource: str

    @property
    def kind(self) -> str:
        """The word before the first slash of the resource: `role`, `user`, `assumed-role`."""
        return self.resource.partition("/")[0]

    @property
    def name(self) -> str:
        """The last word of the resource: the name of a role or user without its path."""
        return self.resource.rpartition("/")[2]

    def __str__(self) -> str:
        return ":".join(("arn", *self))


def parse(text: str, what: str = "an ARN") -> Arn:
    """Return the parts of an ARN; `what` says in an error what should have been one.

    Raises:
        UsageError: It has another form, or names a partition that AWS does not have.
    """
    fields = text.split(":", _FIELDS - 1)
    if len(fields) != _FIELDS or fields[0] != "arn" or not fields[5]:
        raise UsageError(f"{what} is no ARN: {text[:200]!r}", hint="an ARN begins with `arn:aws:`")
    if partitions.named(fields[1]) is None:
        raise UsageError(f"{what} names no partition of AWS: {text[:200]!r}")
    return Arn(*fields[1:])


def role(text: str, what: str = "the role") -> Arn:
    """Return the parts of a role's ARN.

    Raises:
        UsageError: It is the ARN of something else, or none.
    """
    arn = parse(text, what)
    named = arn.resource.startswith("role/") and bool(arn.name) and bool(_PATH.fullmatch(text))
    if arn.service != "iam" or not named or not _ACCOUNT.fullmatch(arn.account):
        raise UsageError(
            f"{what} is not the ARN of a role: {text[:200]!r}",
            hint="it has the form arn:aws:iam::123456789012:role/NAME",
        )
    return arn


def managed_policy(partition: str, name: str) -> str:
    """Return the ARN of a policy that AWS itself keeps, `ReadOnlyAccess`."""
    return f"arn:{partition}:iam::aws:policy/{name}"
