"""`privy aws login`: open the web console as a profile."""

import json
import os
from typing import Final

from privyseal.aws.console import after_logout, resolve
from privyseal.cli.aws.door import Door, open_door
from privyseal.cli.aws.environment import cleaned, outside
from privyseal.cli.aws.planned import Survey, flags_of
from privyseal.cli.aws.profile import chosen_profile
from privyseal.cli.aws.wishes import OPTIONS, STDOUT, wanted
from privyseal.cli.spec import Argument, Option, Spec, Values
from privyseal.model.aws import Ambient, Link, Plan, PortalRole, RoleStep, StoredKey, WebIdentity
from privyseal.runtime.clock import SystemClock
from privyseal.wire.aws.network import network
from privyseal.wire.aws.partitions import of_region
from privyseal.wire.aws.profiles import load

PAGE: Final = Option("--path", "Page of the console: a path as s3/home, or its address.", "PATH")
SIGNIN: Final = Option("--signin-url", "Where the console's sign-in is, if not at AWS.", "URL")
AUTO_LOGOUT: Final = Option(
    "--auto-logout", "Log the browser out of the console first.", short="-a"
)
PRINTED: Final = Option(STDOUT.flag, STDOUT.help, short="-s")
SIGNIN_VARIABLE: Final = "AWS_ENDPOINT_URL_SIGNIN"


def run(values: Values) -> int:
    """Get a sign-in link, and open or print it."""
    with open_door(values) as door:
        url = str(json.loads(door.carry_out(_order(values, door)))["url"])
    if values["auto_logout"] or os.environ.get("AWS_VAULT_AUTO_LOGOUT"):
        url = after_logout(url)
    if values["stdout"] or os.environ.get("AWS_VAULT_STDOUT"):
        print(url)
        return 0
    from privyseal.aws.handover import open_secretly  # noqa: PLC0415 - slow, and not for --stdout

    open_secretly(url, cleaned(os.environ), SystemClock())
    return 0


def _order(values: Values, door: Door) -> Link:
    signin = values["signin_url"] or os.environ.get(SIGNIN_VARIABLE, "")
    settings = wanted(values)
    unnamed = not (values["profile"] or os.environ.get("AWS_PROFILE"))
    if unnamed and os.environ.get("AWS_ACCESS_KEY_ID"):
        plan = _of_environment(values)
    else:
        profile = chosen_profile(values, interactive=True)
        survey = Survey.of(door, settings, profile, purpose="login")
        door.asked.mfa_process = survey.mfa_process
        plan = survey.plan
    region = plan.network.region
    resolve(values["path"], region, of_region(region))  # nobody decides about a page of others
    return Link(
        plan=plan,
        destination=values["path"],
        duration=flags_of(settings).duration if _takes_duration(plan) else 0,
        federation=f"{signin.rstrip('/')}/federation" if signin else "",
    )


def _of_environment(values: Values) -> Plan:
    # A session around us may have set the region, and its credentials are what is meant.
    flags = flags_of(wanted(values))
    nobody = load("").resolve("", os.environ, flags)
    return Plan(
        profile="the environment",
        source=Ambient(kind="environment"),
        network=network(nobody, outside(os.environ)),
    )


def _takes_duration(plan: Plan) -> bool:
    # A session of the console may have a length of its own only for a role that was assumed with
    # no other session (IAM user guide, "Enabling custom identity broker access").
    match plan.source:
        case StoredKey():
            return [type(step) for step in plan.steps] == [RoleStep]
        case PortalRole() | WebIdentity():
            return not plan.steps
        case _:
            return False


SPEC: Final = Spec(
    "Open the web console as a profile.",
    run,
    (
        PAGE,
        AUTO_LOGOUT,
        *(PRINTED if option is STDOUT else option for option in OPTIONS),
        SIGNIN,
    ),
    (Argument("profile", complete="profiles", optional=True),),
    "Without PROFILE it is AWS_PROFILE, else the credentials in the environment, else you choose "
    "from a list. --duration is how long the session of the console lasts. With --stdout the link "
    "is printed: for a quarter of an hour it is as good as the credentials.",
)
