"""The calls of STS that a plan is made of, from values to credentials."""

import re
from typing import Any, Final, NamedTuple

from privyseal.aws import answers, calls
from privyseal.aws.answers import Answer, When, Word
from privyseal.model.aws import (
    AccessKey,
    Credentials,
    FederationStep,
    Network,
    RoleStep,
    SessionStep,
    WebIdentity,
)
from privyseal.model.clock import Clock

_ACCOUNT: Final = re.compile(r"arn:[^:]+:[^:]+:[^:]*:(\d{12}):")
# What AWS takes for a policy of a federated user who is to have all that the user has.
_ALL: Final = (
    '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}'
)

_NAMELESS: Final = "root"
_SHORTEST_NAME: Final = 2
_LONGEST_NAME: Final = 32


class _Caller(Answer, frozen=True, rename="pascal"):
    account: Word
    arn: Word


class _Session(Answer, frozen=True, rename="pascal"):
    access_key_id: Word
    secret_access_key: Word
    session_token: Word
    expiration: When


class _Made(Answer, frozen=True, rename="pascal"):
    credentials: _Session


class Identity(NamedTuple):
    """Who credentials belong to, as GetCallerIdentity says."""

    account: str
    arn: str

    @property
    def user(self) -> str:
        """The name of the IAM user, "" when it is the root user, a role or a federated user."""
        kind, _, name = self.arn.rpartition(":")[2].partition("/")
        return name.rpartition("/")[2] if kind == "user" else ""


def of_key(key: AccessKey) -> Credentials:
    """Return a long-lived key as credentials, which have no end."""
    return Credentials(
        access_key_id=key.access_key_id,
        secret_access_key=key.secret_access_key,
        account=key.account,
    )


def identity(network: Network, credentials: Credentials) -> Identity:
    """Return who the credentials belong to; nobody can be forbidden to ask."""
    answer = calls.call(calls.client("sts", network, credentials), "get_caller_identity")
    caller = answers.read(answer, _Caller, "identity")
    return Identity(caller.account, caller.arn)


def session(network: Network, own: Credentials, step: SessionStep, code: str) -> Credentials:
    """Call GetSessionToken with a long-lived key; `code` is "" without an MFA device."""
    inputs = _given(DurationSeconds=step.duration, SerialNumber=step.mfa, TokenCode=code)
    answer = calls.call(calls.client("sts", network, own), "get_session_token", **inputs)
    return _credentials(answer, own.account)


def role(
    network: Network, own: Credentials, step: RoleStep, code: str, clock: Clock
) -> Credentials:
    """Call AssumeRole; `code` is "" when the role's MFA is done already."""
    inputs = _given(
        RoleArn=step.arn,
        RoleSessionName=step.session_name or default_session_name(clock),
        DurationSeconds=step.duration,
        ExternalId=step.external_id,
        SerialNumber=step.mfa if code else "",
        TokenCode=code,
        SourceIdentity=step.source_identity,
        Tags=[{"Key": key, "Value": value} for key, value in step.tags.items()],
        TransitiveTagKeys=list(step.transitive),
        Policy=step.policy,
        PolicyArns=[{"arn": arn} for arn in step.policy_arns],
    )
    answer = calls.call(calls.client("sts", network, own), "assume_role", **inputs)
    return _credentials(answer, account_of(step.arn))


def web_identity(network: Network, source: WebIdentity, token: str, clock: Clock) -> Credentials:
    """Call AssumeRoleWithWebIdentity, which nothing signs."""
    inputs = _given(
        RoleArn=source.role,
        RoleSessionName=source.session_name or default_session_name(clock),
        DurationSeconds=source.duration,
        WebIdentityToken=token,
    )
    sts = calls.client("sts", network, None)
    answer = calls.call(sts, "assume_role_with_web_identity", **inputs)
    return _credentials(answer, account_of(source.role))


def federation(network: Network, own: Credentials, step: FederationStep) -> Credentials:
    """Call GetFederationToken with a long-lived key, under the name of its user unless named."""
    name = step.name or identity(network, own).user or _NAMELESS
    inputs = _given(
        Name=name[:_LONGEST_NAME].ljust(_SHORTEST_NAME, "-"),
        DurationSeconds=step.duration,
        Policy=step.policy or ("" if step.policy_arns else _ALL),
        PolicyArns=[{"arn": arn} for arn in step.policy_arns],
    )
    answer = calls.call(calls.client("sts", network, own), "get_federation_token", **inputs)
    return _credentials(answer, own.account)


def account_of(arn: str) -> str:
    """Return the account in an ARN, "" when it has none."""
    found = _ACCOUNT.match(arn)
    return found[1] if found else ""


def default_session_name(clock: Clock) -> str:
    """Return the name of a session that nobody named; CloudTrail shows it."""
    return f"privy-{int(clock.wall())}"


def _given(**inputs: object) -> dict[str, Any]:
    return {name: value for name, value in inputs.items() if value}


def _credentials(answer: dict[str, Any], account: str) -> Credentials:
    made = answers.read(answer, _Made, "credentials").credentials
    return Credentials(
        access_key_id=made.access_key_id,
        secret_access_key=made.secret_access_key,
        session_token=made.session_token,
        expires=made.expiration.timestamp(),
        account=account,
    )
