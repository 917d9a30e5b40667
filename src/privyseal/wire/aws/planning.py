"""From a profile to a plan: where credentials begin, and every call that follows.

A function of the files, the environment, the flags and the names of stored keys; it asks nobody.
The order of sources, and when one MFA code serves a whole chain, are aws-vault's:

    key                             GetSessionToken, with MFA where the profile has a device
    key(S) -> role(S)               GetSessionToken with MFA, kept for 8 h; the role without, 1 h
    key(S) -> role(S) for over 1 h  the role with MFA, for its full time
    key -> role with other MFA      the role with its own MFA
    key(S) -> role(S) -> role(S)    one session with MFA, roles of 1 h
    portal -> role                  the portal's credentials, then the role

Where AWS would refuse what the files say, the plan has a note on what it does instead.
"""

from collections.abc import Collection, Mapping
from typing import Final, Literal, NamedTuple

from privyseal.errors import UsageError
from privyseal.model.aws import (
    Ambient,
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
from privyseal.model.value import decode, encode
from privyseal.wire.aws import limits, partitions, roles, sources, utf8
from privyseal.wire.aws.durations import spoken
from privyseal.wire.aws.network import network, region
from privyseal.wire.aws.profiles import DESCRIBING, NO_FLAGS, Flags, Profile, Profiles, Setting
from privyseal.wire.aws.route import Route, route

Purpose = Literal["exec", "login", "rotate"]
"""What the credentials are for: a command, the web console, or IAM to replace the key."""

_MOST_NOTES: Final = 16


class _Stage(NamedTuple):
    """One profile, or one role of the command line, on the way from the beginning."""

    profile: Profile
    role: str

    @property
    def mfa(self) -> str:
        return self.profile["mfa_serial"]


def plan(
    profiles: Profiles,
    name: str,
    *,
    keys: Collection[str],
    environment: Mapping[str, str],
    flags: Flags = NO_FLAGS,
    purpose: Purpose = "exec",
) -> Plan:
    """Return how credentials for a profile come about; `keys` names the keys in the store.

    Raises:
        NotFoundError: A profile exists nowhere, or says nowhere to begin.
        UsageError: Profiles form a circle, or AWS would refuse what they or the flags say.
    """
    way = route(profiles, name, keys=keys, environment=environment, flags=flags)
    return _Planner(profiles, way, environment, flags, purpose).plan()


class _Planner:
    """The plan while it grows, from the beginning of a route to its target."""

    def __init__(
        self,
        profiles: Profiles,
        way: Route,
        environment: Mapping[str, str],
        flags: Flags,
        purpose: Purpose,
    ) -> None:
        self._way = way
        self._environment = environment
        self._flags = flags
        self._purpose = purpose
        self._notes: list[str] = []
        self._steps: list[Step] = []
        self._source = self._begin(profiles)
        self._stages = self._all_stages()
        self._roles = [stage for stage in self._stages if stage.role]
        self._policies = self._wanted_policies()
        self._holds = _first_kind(self._source)
        self._mfa_done = ""

    def plan(self) -> Plan:
        """Return the whole plan, within the limits that its type sets."""
        rotation = self._purpose == "rotate"
        if rotation and not self._way.stored:
            raise UsageError(
                f"profile {self._way.begin.name!r} has no stored key that could be rotated"
            )
        if not (rotation and self._flags.no_session):
            for at, stage in enumerate(self._stages):
                self._open_session(
                    stage, self._stages[at + 1] if at + 1 < len(self._stages) else None
                )
                if stage.role:
                    self._assume(stage)
            self._finish()
        target = self._way.target
        partition = self._partition()
        made = Plan(
            profile=target.name,
            source=self._source,
            steps=tuple(self._steps),
            network=network(
                target,
                self._environment,
                partition,
                [region(link) for link in self._way.links],
                login=self._begins_with_login(),
            ),
            notes=tuple(dict.fromkeys(self._notes))[:_MOST_NOTES],
            fresh=rotation or self._flags.fresh,
            least=min(target.seconds("min_ttl"), limits.SESSION_MOST),
        )
        utf8.check(made)
        return decode(encode(made), Plan, what=f"the plan for profile {target.name[:200]!r}")

    def _begin(self, profiles: Profiles) -> Source:
        begin = self._way.begin
        if self._way.stored:
            return StoredKey(name=begin.name)
        return sources.source(profiles, begin)

    def _all_stages(self) -> list[_Stage]:
        stages = [_Stage(link, link["role_arn"]) for link in reversed(self._way.links)]
        if isinstance(self._source, PortalRole | Process) or self._begins_with_login():
            if stages[0].role:
                self._notes.append(
                    f"role_arn of {stages[0].profile.name!r} is left out: it needs a source_profile"
                )
            stages[0] = stages[0]._replace(role="")
        elif isinstance(self._source, WebIdentity):
            stages[0] = stages[0]._replace(role="")
        override = self._way.target.settings.get("role_arn")
        if override and override.origin == "AWS_ROLE_ARN":
            self._notes.append("the role is the one of the variable AWS_ROLE_ARN")
        if self._flags.chain and not self._flags.role_arn:
            raise UsageError("--chain goes on from --role-arn, which is not given")
        if self._flags.role_arn:
            wanted = (self._flags.role_arn, *self._flags.chain)
            stages += [self._ad_hoc(role, last=role is wanted[-1]) for role in wanted]
        if sum(1 for stage in stages if stage.role) > limits.ROLES_MOST:
            raise UsageError(
                f"profile {self._way.target.name!r} chains more than {limits.ROLES_MOST} roles"
            )
        return stages

    def _begins_with_login(self) -> bool:
        return isinstance(self._source, Ambient) and self._source.kind == "login"

    def _ad_hoc(self, role: str, *, last: bool) -> _Stage:
        target = self._way.target
        settings = {
            key: setting
            for key, setting in target.settings.items()
            if key in {"mfa_serial", "session_ttl", "chained_session_ttl"}
        }
        own = target.settings["duration_seconds"]
        settings["duration_seconds"] = (
            own if own.origin.startswith(("--", "AWS_")) else Setting("3600", "default")
        )
        if last:
            settings |= {
                key: Setting(value, "--" + key.replace("_", "-"))
                for key in DESCRIBING
                if (value := str(getattr(self._flags, key)))
            }
        settings["role_arn"] = Setting(role, "the command line")
        return _Stage(Profile(target.name, settings), role)

    def _wanted_policies(self) -> roles.Policies:
        given = roles.of_flags(self._flags)
        target = self._way.target
        if self._purpose == "rotate":
            if given.any:
                raise UsageError("a rotation takes no session policy: it has to call IAM")
            return given
        own = roles.of_profile(target)
        if not self._roles or self._roles[-1].profile is not target:
            return given if given.any or self._flags.role_arn else own
        if given.any and own.any:
            self._notes.append("the session policy of the command line replaces the profile's")
        return given

    def _open_session(self, stage: _Stage, following: _Stage | None) -> None:
        if self._holds != "key" or not self._may_open(stage, following):
            return
        key = "chained_session_ttl" if following else "session_ttl"
        seconds = limits.session(stage.profile.seconds(key), stage.profile.where(key))
        self._steps.append(SessionStep(duration=seconds, mfa=_serial(stage.profile)))
        self._mfa_done = stage.mfa
        self._holds = "session"

    def _may_open(self, stage: _Stage, following: _Stage | None) -> bool:
        if self._flags.no_session or self._keeps_full_time():
            return False
        if stage.role and not (following and following.role):
            return False
        if not self._roles and (self._purpose == "login" or self._policies.any):
            return False
        if following:
            return bool(stage.mfa) and stage.mfa == following.mfa
        if self._purpose == "rotate" and not stage.mfa:
            self._notes.append("a session without MFA may not call IAM: the key itself is used")
            return False
        return True

    def _keeps_full_time(self) -> bool:
        asked = [stage.profile.seconds("duration_seconds") for stage in self._roles]
        return len(asked) == 1 and asked[0] > limits.CHAINED_MOST

    def _assume(self, stage: _Stage) -> None:
        step = roles.step(
            stage.profile, stage.role, duration=self._role_time(stage), mfa=self._role_mfa(stage)
        )
        self._steps.append(roles.of_profile(stage.profile).on_role(step))
        self._holds = "role"

    def _role_time(self, stage: _Stage) -> int:
        where = stage.profile.where("duration_seconds")
        asked = stage.profile.seconds("duration_seconds")
        if asked > limits.CHAINED_MOST and self._holds in {"role", "session"}:
            self._notes.append(
                f"{_short(stage.role)}: {spoken(limits.CHAINED_MOST)} in place of {spoken(asked)},"
                " as AWS gives a role from a role or a session no longer"
            )
            return limits.CHAINED_MOST
        return limits.role(asked, where)

    def _role_mfa(self, stage: _Stage) -> str:
        if not stage.mfa or stage.mfa == self._mfa_done:
            return ""
        if self._holds == "role":
            self._notes.append(
                f"{_short(stage.role)}: without MFA, as AWS takes a code only with a user's key"
            )
            return ""
        return _serial(stage.profile)

    def _finish(self) -> None:
        last = self._steps[-1] if self._steps else None
        if isinstance(last, RoleStep):
            if self._policies.any:
                self._steps[-1] = self._policies.on_role(last)
            return
        if self._holds == "key" and (self._policies.any or self._purpose == "login"):
            self._federate()
        elif self._policies.any:
            raise UsageError(
                f"profile {self._way.target.name!r} begins with credentials that no session policy"
                " can narrow",
                hint="name a role with --role-arn",
            )
        elif self._flags.duration and self._purpose == "exec" and self._given_as_they_are():
            self._notes.append(
                "--duration changes nothing: who gives the credentials says how long they last"
            )

    def _given_as_they_are(self) -> bool:
        return not self._steps and not isinstance(self._source, WebIdentity)

    def _federate(self) -> None:
        target = self._way.target
        seconds = limits.session(target.seconds("federation_ttl"), target.where("federation_ttl"))
        self._steps.append(roles.federation(self._policies, self._partition() or "aws", seconds))
        if self._purpose == "exec":
            self._notes.append("a federated session: it may not call IAM, and STS hardly")

    def _partition(self) -> str:
        """Return the partition of all names in the plan, else of the region, "" for neither."""
        names = [stage.role for stage in self._roles]
        names += [step.mfa for step in self._steps if isinstance(step, SessionStep | RoleStep)]
        if isinstance(self._source, WebIdentity):
            names.append(self._source.role)
        found = dict.fromkeys(name for name in map(roles.partition_of, names) if name)
        chosen = region(self._way.target)
        of_region = partitions.of_region(chosen).name if chosen else ""
        if len(found) > 1:
            raise UsageError(
                f"profile {self._way.target.name!r} goes from one partition of AWS to another,"
                f" which nobody can: {', '.join(found)}"
            )
        by_device = roles.partition_of(*(stage.mfa for stage in self._stages))
        partition = next(iter(found), by_device or of_region)
        if of_region and partition != of_region and partitions.is_region(chosen):
            self._notes.append(f"the region {chosen} is not one of the partition {partition}")
        return partition


def _first_kind(source: Source) -> str:
    match source:
        case StoredKey():
            return "key"
        case PortalRole() | WebIdentity():
            return "role"
        case Ambient(kind="ec2" | "ecs"):
            return "role"
        case _:
            return "unknown"


def _serial(profile: Profile) -> str:
    serial = profile["mfa_serial"]
    return limits.serial(serial, profile.where("mfa_serial")) if serial else ""


def _short(role: str) -> str:
    return role.rpartition(":")[2][:200]
