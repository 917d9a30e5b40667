"""A profile explained: where each value was set, and its plan in words."""

from collections.abc import Collection, Iterator, Mapping
from typing import Final, NamedTuple, assert_never

from privyseal.errors import NotFoundError, PrivysealError, UsageError
from privyseal.model.aws import (
    Ambient,
    FederationStep,
    Plan,
    PortalRole,
    Process,
    RoleStep,
    SessionStep,
    Source,
    Step,
    StoredKey,
    WebIdentity,
)
from privyseal.wire.aws import arn
from privyseal.wire.aws.durations import spoken
from privyseal.wire.aws.planning import plan as make_plan
from privyseal.wire.aws.profiles import NO_FLAGS, Flags, Profile, Profiles
from privyseal.wire.aws.roles import ALLOW_ALL
from privyseal.wire.aws.route import route
from privyseal.wire.broker import is_endpoint

_AMBIENT: Final = {
    "environment": "the environment",
    "ec2": "the machine, from its metadata",
    "ecs": "the container",
    "login": "a login",
}


class Row(NamedTuple):
    """One value that holds, and where it was set."""

    key: str
    value: str
    origin: str


class Explanation(NamedTuple):
    """What a profile comes to.

    `values` has the rows of the profile and of each that it builds on, by name. Without a `plan`
    a `problem` says why there is none.
    """

    values: Mapping[str, tuple[Row, ...]]
    plan: Plan | None
    words: tuple[str, ...]
    warnings: tuple[str, ...]
    problem: str = ""


def explain(
    profiles: Profiles,
    name: str,
    *,
    keys: Collection[str],
    environment: Mapping[str, str],
    flags: Flags = NO_FLAGS,
) -> Explanation:
    """Return what a profile comes to; `keys` names the keys in the store.

    A plan that cannot be made is part of the answer.

    Raises:
        NotFoundError: There is neither a profile nor a key of this name.
        UsageError: Profiles include each other in a circle.
    """
    target = profiles.resolve(name, environment, flags)
    if not target.exists and name not in keys:
        raise NotFoundError(
            f"profile {name!r} is not in the AWS configuration, and no key of that name is stored",
            hint=profiles.near(name) or "see `privy aws list`",
        )
    links: tuple[Profile, ...] = (target,)
    made, problem = None, ""
    try:
        links = route(profiles, name, keys=keys, environment=environment, flags=flags).links
        made = make_plan(profiles, name, keys=keys, environment=environment, flags=flags)
    except PrivysealError as error:
        problem = f"{error} (try: {error.hint})" if error.hint else str(error)
    return Explanation(
        {link.name: tuple(_rows(link)) for link in links},
        made,
        tuple(words(made)) if made else (),
        (
            *(made.notes if made else ()),
            *_regionless(target, made),
            *_inheritance(profiles, name),
            *profiles.warnings(*(link.name for link in links)),
        ),
        problem,
    )


def words(plan: Plan) -> Iterator[str]:
    """Yield a plan as sentences, one for its beginning, each call, and how AWS is reached."""
    yield _source(plan.source)
    for step in plan.steps:
        yield _step(step)
    network = plan.network
    region = network.region or "no region, so AWS's first one"
    yield f"AWS is called in {region}" + _manner(plan)
    services: dict[str, list[str]] = {}
    for service, address in network.endpoints.items():
        services.setdefault(address, []).append(service)
    for address, names in services.items():
        whose = "" if is_endpoint(address) else ", which is not AWS's own address"
        yield f"{', '.join(names)} {'are' if names[1:] else 'is'} reached at {address}{whose}"
    if network.ca_bundle:
        yield f"who answers is vouched for by the authorities in {network.ca_bundle}"


def _rows(profile: Profile) -> Iterator[Row]:
    for key, setting in sorted(profile.settings.items()):
        yield Row(key, setting.value, setting.origin)
    for service, setting in sorted(profile.services.items()):
        yield Row(f"{service}.endpoint_url", setting.value, setting.origin)


def _regionless(target: Profile, made: Plan | None) -> Iterator[str]:
    if not target["region"]:
        called = made.network.region if made else ""
        yield (
            "no region is set, and the command gets none: "
            + (f"{called} is for the calls above alone; " if called else "")
            + "set `region` in the profile, AWS_REGION or --region"
        )


def _inheritance(profiles: Profiles, name: str) -> Iterator[str]:
    keys = profiles.left_behind(name)
    if keys:
        yield (
            f"{', '.join(keys)} of [default] counts for {name!r} in aws-vault and not here, unless"
            " it has include_profile = default"
        )


def _source(source: Source) -> str:
    match source:
        case StoredKey(name=name):
            return f"begin with the stored key {name!r}"
        case PortalRole(portal=portal, account=account, role=role):
            return f"begin with the role {role!r} of account {account} from {portal.start_url}"
        case WebIdentity(role=role, token_file=file, token_command=command):
            token = f"the token in {file}" if file else f"the token that `{command}` prints"
            return f"begin with {_role(role)} for {token}, for {spoken(source.duration)}"
        case Process(command=command):
            return f"begin with what `{command}` prints"
        case Ambient(kind="login", session=session):
            return f"begin with the AWS CLI's login of {session}"
        case Ambient(kind=kind):
            return f"begin with the credentials of {_AMBIENT[kind]}"
        case _:
            assert_never(source)


def _step(step: Step) -> str:
    match step:
        case SessionStep():
            return f"ask for a session of {spoken(step.duration)}{_code(step.mfa)}"
        case FederationStep():
            narrowed = _narrowed("" if step.policy == ALLOW_ALL else step.policy, step.policy_arns)
            return f"ask for a federated session of {spoken(step.duration)}{narrowed}"
        case RoleStep():
            return "".join(
                [
                    f"assume {_role(step.arn)} for {spoken(step.duration)}",
                    _code(step.mfa),
                    f", as {step.session_name!r}" if step.session_name else "",
                    f", external id {step.external_id!r}" if step.external_id else "",
                    f", on behalf of {step.source_identity!r}" if step.source_identity else "",
                    _tags(step),
                    _narrowed(step.policy, step.policy_arns),
                ]
            )
        case _:
            assert_never(step)


def _role(text: str) -> str:
    try:
        role = arn.role(text)
    except UsageError:
        return f"role {text!r}"
    return f"role {role.name!r} of account {role.account}"


def _code(serial: str) -> str:
    return f", with a code of {serial}" if serial else ""


def _tags(step: RoleStep) -> str:
    if not step.tags:
        return ""
    tags = ", ".join(
        f"{key}={value}" + ("*" if key in step.transitive else "")
        for key, value in step.tags.items()
    )
    return f", tags {tags}" + (" (* go on to further roles)" if step.transitive else "")


def _narrowed(policy: str, arns: tuple[str, ...]) -> str:
    narrowing = [name.rpartition("/")[2] for name in arns]
    if policy:
        narrowing.append("a policy of its own")
    return f", narrowed by {' and '.join(narrowing)}" if narrowing else ""


def _manner(plan: Plan) -> str:
    network = plan.network
    manners = [
        text
        for given, text in (
            (network.fips, "by FIPS endpoints"),
            (network.dual_stack, "by dual-stack endpoints"),
            (network.global_sts, "STS by its global endpoint"),
        )
        if given
    ]
    return f", {', '.join(manners)}" if manners else ""
