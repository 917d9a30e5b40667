"""One role of a plan, and the session policy that narrows what it may do."""

from typing import Final, NamedTuple

from msgspec.structs import replace

from privyseal.model.aws import FederationStep, RoleStep
from privyseal.wire.aws import arn, limits, partitions
from privyseal.wire.aws.profiles import Flags, Profile

READ_ONLY: Final = "ReadOnlyAccess"
"""AWS's own policy that `--read-only` narrows a session to."""

ALLOW_ALL: Final = (
    '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}'
)
"""A federated session may do what its policy and its user's have in common, so: all of the user's."""


class Policies(NamedTuple):
    """A session policy as text, the ARNs of others, and whether reading is all; empty for none."""

    text: str = ""
    arns: tuple[str, ...] = ()
    read_only: bool = False

    @property
    def any(self) -> bool:
        """Whether there is one at all."""
        return self != Policies()

    def on_role(self, step: RoleStep) -> RoleStep:
        """Return a role narrowed by these, in place of its own."""
        partition = arn.parse(step.arn).partition
        return replace(step, policy=self.text, policy_arns=self.all_arns(partition))

    def all_arns(self, partition: str) -> tuple[str, ...]:
        """Return the ARNs, with AWS's own for reading in a partition."""
        reading = (arn.managed_policy(partition, READ_ONLY),) if self.read_only else ()
        return limits.policy_arns((*self.arns, *reading), "the session policy")


def of_flags(flags: Flags) -> Policies:
    """Return the session policy of the command line.

    Raises:
        UsageError: It is malformed.
    """
    return Policies(
        limits.policy(flags.policy, "--policy") if flags.policy else "",
        limits.policy_arns(flags.policy_arns, "--policy-arn"),
        flags.read_only,
    )


def of_profile(profile: Profile) -> Policies:
    """Return the session policy of a profile.

    Raises:
        UsageError: It is malformed.
    """
    text, arns = profile["policy"], profile["policy_arns"]
    return Policies(
        limits.policy(text, profile.where("policy")) if text else "",
        limits.policy_arns(
            [name.strip() for name in arns.split(",") if name.strip()], profile.where("policy_arns")
        ),
    )


def step(profile: Profile, role: str, *, duration: int, mfa: str) -> RoleStep:
    """Return the assumption of a role as a profile describes it, without a session policy.

    Raises:
        UsageError: AWS would refuse what the profile says.
    """
    arn.role(role, profile.where("role_arn"))
    tags = profile["session_tags"]
    given = limits.tags(tags, profile.where("session_tags")) if tags else {}
    keys, where = profile["transitive_session_tags"], profile.where("transitive_session_tags")
    name, identity = profile["role_session_name"], profile["source_identity"]
    external = profile["external_id"]
    return RoleStep(
        arn=role,
        session_name=limits.session_name(name, profile.where("role_session_name")) if name else "",
        duration=duration,
        external_id=limits.external_id(external, profile.where("external_id")) if external else "",
        mfa=mfa,
        source_identity=(
            limits.session_name(identity, profile.where("source_identity")) if identity else ""
        ),
        tags=given,
        transitive=limits.transitive(keys, given, where),
    )


def federation(policies: Policies, partition: str, duration: int) -> FederationStep:
    """Return a session for a stored key narrowed by policies, or by nothing.

    The engine fills in the name of the user, which only AWS knows.

    Raises:
        UsageError: There are too many policies.
    """
    return FederationStep(
        name="",
        duration=duration,
        policy=policies.text or ("" if policies.any else ALLOW_ALL),
        policy_arns=policies.all_arns(partition),
    )


def partition_of(*names: str) -> str:
    """Return the partition of the first of these ARNs that is one, "" when none is."""
    for name in names:
        _, _, rest = name.partition("arn:")
        partition = partitions.named(rest.partition(":")[0])
        if partition is not None:
            return partition.name
    return ""
