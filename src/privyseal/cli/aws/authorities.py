"""The authorities that a profile names (`ca_bundle`): obeyed where this process calls AWS itself.

The keeper's broker trusts the machine's alone: no program of the desktop chooses whom it believes.
"""

from typing import TypeVar

import msgspec

from privyseal.errors import PrivysealError
from privyseal.model.aws import Network, Order

_Value = TypeVar("_Value", bound=msgspec.Struct)


def bundle_of(value: msgspec.Struct) -> str:
    """Return the file of authorities that an order, or a part of one, names; "" for none."""
    if isinstance(value, Network):
        return value.ca_bundle
    parts = (getattr(value, name, None) for name in ("plan", "network"))
    return next((bundle_of(part) for part in parts if isinstance(part, msgspec.Struct)), "")


def without_bundle(value: _Value) -> _Value:
    """Return an order, or a part of one, without the file of authorities that it names."""
    if isinstance(value, Network):
        return msgspec.structs.replace(value, ca_bundle="")
    for name in ("plan", "network"):
        if isinstance(part := getattr(value, name, None), msgspec.Struct):
            return msgspec.structs.replace(value, **{name: without_bundle(part)})
    return value


def disobeyed(order: Order) -> str:
    """Return what to say of the file that an order for the keeper names; "" where all is well.

    That it is when the machine trusts every authority in the file anyway.
    """
    return remark(bundle_of(order))


def remark(bundle: str) -> str:
    """Return what to say of a file of authorities that the keeper's broker does not obey."""
    if not bundle or _known_to_the_machine(bundle):
        return ""
    return (
        f"the keeper's broker trusts this machine's authorities, not those of ca_bundle {bundle!r}: add"
        " them there, with `update-ca-certificates` or `update-ca-trust`"
    )


def _known_to_the_machine(bundle: str) -> bool:
    from privyseal.aws.calls import trusted  # noqa: PLC0415 - only where a file is named

    machine = trusted()
    try:
        return isinstance(machine, str) and _certificates(trusted(bundle)) <= _certificates(machine)
    except PrivysealError:
        return False


def _certificates(file: str | bool) -> set[bytes]:  # noqa: FBT001 - as `trusted` returns it
    import ssl  # noqa: PLC0415 - likewise

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cafile=str(file))
    return {*context.get_ca_certs(binary_form=True)}
