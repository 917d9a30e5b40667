"""What the broker does not do, whoever allows it."""

import re
from collections.abc import Iterator
from typing import Final

from privyseal.errors import DeniedError, UsageError
from privyseal.model.aws import Keep, Network, Obtain, Plan, Portal, PortalRole, StoredKey
from privyseal.model.value import Value
from privyseal.wire.broker import REGION, Begin, is_endpoint

_REGION: Final = re.compile(REGION)


def check(begin: Begin) -> None:
    """Refuse an order that is not for a broker, or would lead it astray.

    Raises:
        UsageError: It names what cannot be, or needs nothing that the keeper keeps.
        DeniedError: A companion does no such thing.
    """
    for part in _parts(begin.order):
        if isinstance(part, Plan) and not isinstance(part.source, StoredKey | PortalRole):
            raise UsageError(f"profile {part.profile!r} begins with nothing that the keeper keeps")
        # It becomes part of host names: nothing may be in it that ends one.
        if isinstance(part, Network | Portal) and part.region and not _is_region(part.region):
            raise UsageError(f"{part.region!r} is no region of AWS")
        if isinstance(part, Network) and part.ca_bundle:
            raise DeniedError(
                f"the broker trusts the machine's authorities, not {part.ca_bundle!r}"
            )
        if begin.companion:
            _check_calls(part, begin.endpoints)
    if begin.companion and isinstance(begin.order, Obtain):
        _check_short_lived(begin.order.plan)
    if isinstance(begin.order, Keep) and begin.order.typed and not begin.companion:
        raise UsageError("a key is typed at the console of a companion only")


def _is_region(name: str) -> bool:
    return _REGION.fullmatch(name) is not None


def _check_calls(part: Value, others: tuple[str, ...]) -> None:
    called = [*getattr(part, "endpoints", {}).values(), getattr(part, "federation", "")]
    for url in called:
        if url and not is_endpoint(url, others):
            raise DeniedError(
                f"the companion does not call {url!r}: it is not AWS",
                hint="root can allow it, with `aws.endpoints` in /etc/privyseal/config.yaml",
            )


def _check_short_lived(plan: Plan) -> None:
    if isinstance(plan.source, StoredKey) and not plan.steps:
        raise DeniedError(
            "a long-lived key does not leave the companion",
            hint="leave out --no-session, or name a role",
        )


def _parts(value: object) -> Iterator[Value]:
    """Yield a value and all values in it."""
    if isinstance(value, Value):
        yield value
        for field in value.__struct_fields__:
            yield from _parts(getattr(value, field))
    elif isinstance(value, tuple):
        for part in value:
            yield from _parts(part)
