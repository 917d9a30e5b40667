"""STS as the fake AWS plays it: real checks of duration, MFA, trust and chains."""

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime

from tests.fakes_aws.people import Key, People, Role
from tests.fakes_aws.web import AwsError

from privyseal.model.clock import Clock

NAMESPACE = "https://sts.amazonaws.com/doc/2011-06-15/"
HOUR = 3600

Parameters = Mapping[str, str]
Result = dict[str, object]


class Sts:
    """The operations; each takes its parameters as the query protocol has them."""

    def __init__(self, people: People, clock: Clock) -> None:
        self._people = people
        self._clock = clock

    def call(self, action: str, parameters: Parameters, caller: Key) -> Result:
        """Carry out an operation of a caller whose signature was right."""
        if caller.kind == "federated" and action != "GetCallerIdentity":
            raise _denied(f"Cannot call {action} with federation credentials")
        match action:
            case "GetCallerIdentity":
                return {"UserId": caller.user_id, "Account": caller.account, "Arn": caller.arn}
            case "GetSessionToken":
                return self._session(parameters, caller)
            case "GetFederationToken":
                return self._federation(parameters, caller)
            case "AssumeRole":
                return self._role(parameters, caller)
            case _:
                raise AwsError(400, "InvalidAction", f"Could not find operation {action}")

    def web_identity(self, parameters: Parameters) -> Result:
        """Carry out AssumeRoleWithWebIdentity, which nobody signs; the token names its issuer."""
        role = self._people.roles.get(parameters["RoleArn"])
        issuer, _, subject = parameters["WebIdentityToken"].partition(":")
        if role is None or issuer not in role.trusts:
            raise _denied("Not authorized to perform sts:AssumeRoleWithWebIdentity")
        key = self._begin_role(role, parameters, most=role.max_duration)
        return {
            "Credentials": _credentials(key),
            "SubjectFromWebIdentityToken": subject,
            "AssumedRoleUser": {"AssumedRoleId": key.user_id, "Arn": key.arn},
            "Provider": issuer,
            "Audience": "sts.amazonaws.com",
        }

    def _session(self, parameters: Parameters, caller: Key) -> Result:
        if caller.kind != "user":
            raise _denied("Cannot call GetSessionToken with session credentials")
        seconds = _duration(parameters, 12 * HOUR, most=36 * HOUR)
        mfa = self._mfa(parameters, caller)
        key = Key(
            kind="session",
            arn=caller.arn,
            principal=caller.principal,
            account=caller.account,
            user_id=caller.user_id,
            user=caller.user,
            expires=self._clock.wall() + seconds,
            mfa=mfa,
        )
        return {"Credentials": _credentials(self._people.begin_session(key))}

    def _federation(self, parameters: Parameters, caller: Key) -> Result:
        if caller.kind != "user":
            raise _denied("Cannot call GetFederationToken with session credentials")
        name = parameters.get("Name", "")
        if not re.fullmatch(r"[\w+=,.@-]{2,32}", name, re.ASCII):
            raise _invalid(
                name, "name", r"Member must satisfy regular expression pattern: [\w+=,.@-]*"
            )
        seconds = _duration(parameters, 12 * HOUR, most=36 * HOUR)
        key = Key(
            kind="federated",
            arn=f"arn:aws:sts::{caller.account}:federated-user/{name}",
            principal=caller.principal,
            account=caller.account,
            user_id=f"{caller.account}:{name}",
            expires=self._clock.wall() + seconds,
            policy=_policy(parameters),
        )
        self._people.begin_session(key)
        return {
            "Credentials": _credentials(key),
            "FederatedUser": {"FederatedUserId": key.user_id, "Arn": key.arn},
            "PackedPolicySize": 6,
        }

    def _role(self, parameters: Parameters, caller: Key) -> Result:
        arn = parameters.get("RoleArn", "")
        role = self._people.roles.get(arn)
        # AWS asks the device before it looks at the role: a wrong code is told as such.
        mfa = self._mfa(parameters, caller) or caller.mfa
        if role is None or not _trusts(role, caller, parameters, mfa=mfa):
            raise _denied(
                f"User: {caller.arn} is not authorized to perform: sts:AssumeRole on resource: {arn}"
            )
        chained = caller.kind != "user"
        key = self._begin_role(role, parameters, most=role.max_duration, chained=chained, mfa=mfa)
        key.source_identity = parameters.get("SourceIdentity", caller.source_identity)
        result: Result = {
            "Credentials": _credentials(key),
            "AssumedRoleUser": {"AssumedRoleId": key.user_id, "Arn": key.arn},
            "PackedPolicySize": 6,
        }
        return result | ({"SourceIdentity": key.source_identity} if key.source_identity else {})

    def _begin_role(
        self,
        role: Role,
        parameters: Parameters,
        *,
        most: int,
        chained: bool = False,
        mfa: bool = False,
    ) -> Key:
        session = parameters.get("RoleSessionName", "")
        if not re.fullmatch(r"[\w+=,.@-]{2,64}", session, re.ASCII):
            raise _invalid(
                session,
                "roleSessionName",
                r"Member must satisfy regular expression pattern: [\w+=,.@-]*",
            )
        seconds = _duration(parameters, HOUR, most=12 * HOUR)
        if chained and seconds > HOUR:
            raise AwsError(
                400,
                "ValidationError",
                "The requested DurationSeconds exceeds the 1 hour session limit "
                "for roles assumed by role chaining",
            )
        if seconds > most:
            raise AwsError(
                400,
                "ValidationError",
                "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.",
            )
        key = self._people.begin_role(role, session, seconds, mfa=mfa)
        key.policy = _policy(parameters)
        key.tags = {tag["Key"]: tag["Value"] for tag in members(parameters, "Tags")}
        return key

    def _mfa(self, parameters: Parameters, caller: Key) -> bool:
        serial, code = parameters.get("SerialNumber"), parameters.get("TokenCode")
        if serial is None and code is None:
            return False
        if code is not None and not re.fullmatch(r"\d{6}", code, re.ASCII):
            raise _invalid(
                code, "tokenCode", r"Member must satisfy regular expression pattern: [\d]*"
            )
        device = caller.user.device if caller.user is not None else None
        if device is None or device.serial != serial or code is None:
            raise _denied(
                "MultiFactorAuthentication failed, unable to validate MFA code.  "
                "Please verify your MFA serial number is valid and associated with this user."
            )
        if not device.accept(code):
            raise _denied("MultiFactorAuthentication failed with invalid MFA one time pass code. ")
        return True


def members(parameters: Parameters, name: str) -> list[dict[str, str]]:
    """Return a list of structures of the query protocol: `Tags.member.1.Key` and so on."""
    found: dict[int, dict[str, str]] = {}
    for key, text in parameters.items():
        match = re.fullmatch(rf"{name}\.member\.(\d+)(?:\.(\w+))?", key)
        if match is not None:
            found.setdefault(int(match[1]), {})[match[2] or ""] = text
    return [found[number] for number in sorted(found)]


def instant(seconds: float) -> str:
    """Return an instant as the query protocol writes it."""
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _trusts(role: Role, caller: Key, parameters: Parameters, *, mfa: bool) -> bool:
    known = {caller.account, caller.principal} & role.trusts
    external = not role.external_id or parameters.get("ExternalId") == role.external_id
    return bool(known) and external and (mfa or not role.mfa)


def _credentials(key: Key) -> Result:
    return {
        "AccessKeyId": key.access_key_id,
        "SecretAccessKey": key.secret_access_key,
        "SessionToken": key.session_token,
        "Expiration": instant(key.expires),
    }


def _duration(parameters: Parameters, usual: int, *, most: int) -> int:
    text = parameters.get("DurationSeconds", str(usual))
    seconds = int(text)
    if seconds < 900:
        raise _invalid(
            text, "durationSeconds", "Member must have value greater than or equal to 900"
        )
    if seconds > most:
        raise _invalid(
            text, "durationSeconds", f"Member must have value less than or equal to {most}"
        )
    return seconds


def _policy(parameters: Parameters) -> str:
    policy = parameters.get("Policy", "")
    try:
        correct = not policy or isinstance(json.loads(policy), dict)
    except ValueError:
        correct = False
    if not correct:
        raise AwsError(400, "MalformedPolicyDocument", "Syntax errors in policy.")
    return policy


def _invalid(value: str, member: str, constraint: str) -> AwsError:
    return AwsError(
        400,
        "ValidationError",
        f"1 validation error detected: Value '{value}' at '{member}' "
        f"failed to satisfy constraint: {constraint}",
    )


def _denied(message: str) -> AwsError:
    return AwsError(403, "AccessDenied", message)
