"""`privy aws add`: keep a long-lived key."""

import os
from collections.abc import Mapping
from typing import Final

from privyseal.aws.keys import check_id, check_shape, checked_name
from privyseal.cli.aws import tty
from privyseal.cli.aws.configedit import propose
from privyseal.cli.aws.door import Door, open_door
from privyseal.cli.aws.environment import outside
from privyseal.cli.aws.files import config_file, load_profiles
from privyseal.cli.aws.lines import print_lines
from privyseal.cli.aws.options import STORE
from privyseal.cli.fetch import TIMEOUT
from privyseal.cli.reach import way_in
from privyseal.cli.report import say
from privyseal.cli.spec import Argument, Option, Spec, Values
from privyseal.errors import UsageError
from privyseal.model.aws import AccessKey, Keep, Network
from privyseal.model.secret import Secret
from privyseal.model.value import encode
from privyseal.wire.aws import limits
from privyseal.wire.aws.network import network
from privyseal.wire.aws.profiles import Flags, Profiles
from privyseal.wire.aws.vocabulary import section_of

ENV: Final = Option("--env", "Take it from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.")
TYPED: Final = Option("--typed", "Type it at the console of your companion: the default with one.")
HERE: Final = Option("--here", "Type it in this terminal, even with a companion.")
ADD_CONFIG: Final = Option("--add-config", "Write a profile for it, if there is none: the default.")
NO_ADD_CONFIG: Final = Option("--no-add-config", "Leave the configuration as it is.")
NO_VERIFY: Final = Option("--no-verify", "Do not ask AWS whose it is.")
REPLACE: Final = Option("--replace", "Replace the key that is there without asking.")
REGION: Final = Option(
    "--region", "The region whose STS is asked, and of a profile that has none.", "REGION"
)
MFA_SERIAL: Final = Option("--mfa-serial", "The MFA device, which is not asked for then.", "ARN")

_NO_TERMINAL: Final = "use --env, and set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"


def run(values: Values) -> int:
    """Ask for the key, keep it, and write a profile for it."""
    name = checked_name(values["profile"])
    profiles = load_profiles(os.environ)
    source = profiles.own(name).get("source_profile", "")
    if source and source != name:
        raise UsageError(
            f"profile {name!r} takes its key from {source!r}: one of its own would go before that",
            hint=f"keep the key with `privy aws add {source}`, or take source_profile out first",
        )
    if values["env"] and (values["typed"] or values["here"]):
        raise UsageError("--env cannot be used with --typed or --here")
    with open_door(values) as door:
        guarded = _guarded(door)
        if door.remark:
            say(door.remark)
        if values["typed"] and not guarded:
            raise UsageError(
                "a key is typed at the console of a companion, and there is none here",
                hint="leave out --typed",
            )
        typed = guarded and not values["env"] and not values["here"]
        names = door.keys()
        if name in names and not _may_replace(values, name):
            return 0
        key = None if typed else _given(values)
        order = Keep(
            name=name,
            network=_network(profiles, values, name),
            typed=typed,
            replace=name in names or values["replace"] or values["env"],
            unverified=values["no_verify"],
        )
        result = door.carry_out(order, None if key is None else Secret(encode(key)))
    print_lines(result)
    _configure(values, profiles, name, key.mfa if key else values["mfa_serial"])
    return 0


def _network(profiles: Profiles, values: Values, name: str) -> Network:
    environment = outside(os.environ)
    flags = Flags(region=values["region"])
    return network(profiles.resolve(name, environment, flags), environment)


def _guarded(door: Door) -> bool:
    """Return whether this user's programs shall never hold a long-lived key."""
    return door.description == "the keeper" and way_in() is not None


def _may_replace(values: Values, name: str) -> bool:
    # What runs unattended replaces keys with --env, and cannot be asked.
    if values["env"] or values["replace"]:
        return True
    question = f'Replace the credentials that profile "{name}" has?'
    return tty.agreed(question, hint="use --replace")


def _given(values: Values) -> AccessKey:
    return _from_environment(values) if values["env"] else _asked(values)


def _from_environment(values: Values) -> AccessKey:
    found = {}
    for variable in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        found[variable] = os.environ.get(variable, "").strip()
        if not found[variable]:
            raise UsageError(f"missing environment variable {variable}")
    return AccessKey(
        access_key_id=found["AWS_ACCESS_KEY_ID"],
        secret_access_key=found["AWS_SECRET_ACCESS_KEY"],
        mfa=limits.serial(mfa, "--mfa-serial") if (mfa := values["mfa_serial"]) else "",
    )


def _asked(values: Values) -> AccessKey:
    # What is mistyped ends at its prompt, before more is typed and before somebody decides.
    strict = not values["no_verify"]
    access_key_id = tty.line("Enter Access Key ID: ", hint=_NO_TERMINAL)
    check_id(access_key_id, strict=strict)
    secret = tty.secret("Enter Secret Access Key: ", hint=_NO_TERMINAL)
    check_shape(AccessKey(access_key_id=access_key_id, secret_access_key=secret), strict=strict)
    mfa = values["mfa_serial"] or tty.line(
        "Enter MFA Device ARN (If MFA is not enabled, leave this blank): ", hint=_NO_TERMINAL
    )
    if mfa:
        limits.serial(mfa, "--mfa-serial" if values["mfa_serial"] else "this")
    return AccessKey(access_key_id=access_key_id, secret_access_key=secret, mfa=mfa)


def _configure(values: Values, profiles: Profiles, name: str, mfa: str) -> None:
    """Write what the configuration lacks: the profile, or the device that was typed for it."""
    if values["no_add_config"]:
        return
    path = config_file(os.environ)
    wanted = {
        "region": _region_to_write(profiles, name, values["region"]),
        "mfa_serial": _device_to_write(profiles, name, mfa),
    }
    found = {key: text for key, text in wanted.items() if text}
    if name in profiles.names() and not found:
        return
    propose(path, lambda file: file.with_values(section_of(name), found)).write()
    say(f"wrote [{section_of(name)}] to {path}")


def _region_to_write(profiles: Profiles, name: str, wanted: str) -> str:
    """Return the region that a profile lacks; one that it has stays, and a line says so."""
    there = profiles.resolve(name, {})["region"]
    if wanted and there and there != wanted:
        say(f"profile {name!r} keeps its region {there!r}: {wanted!r} was for this command alone")
    return "" if there else wanted


def _device_to_write(profiles: Profiles, name: str, mfa: str) -> str:
    own: Mapping[str, str] = profiles.own(name)
    if not mfa or own.get("mfa_serial", "") == mfa:
        return ""
    if name not in profiles.names() or tty.agreed(_question(name, own, mfa), hint=_NO_TERMINAL):
        return mfa
    return ""


def _question(name: str, own: Mapping[str, str], mfa: str) -> str:
    old = own.get("mfa_serial", "")
    was = f", in place of {old}" if old else ""
    return f'Set mfa_serial of profile "{name}" to {mfa}{was}?'


SPEC: Final = Spec(
    "Keep a long-lived key.",
    run,
    (
        ENV, TYPED, HERE, ADD_CONFIG, NO_ADD_CONFIG, NO_VERIFY, REPLACE, REGION, MFA_SERIAL, TIMEOUT, *STORE,
    ),
    (Argument("profile", complete="profiles"),),
)  # fmt: skip
