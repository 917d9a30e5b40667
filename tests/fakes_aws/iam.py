"""The few operations of IAM that rotating a key needs, with the limits that matter there."""

from tests.fakes_aws.people import Key, People, User
from tests.fakes_aws.sts import Parameters, Result, instant
from tests.fakes_aws.web import AwsError

NAMESPACE = "https://iam.amazonaws.com/doc/2010-05-08/"


class Iam:
    """The operations on access keys and users."""

    def __init__(self, people: People) -> None:
        self._people = people

    def call(self, action: str, parameters: Parameters, caller: Key) -> Result | None:
        """Carry out an operation of a caller whose signature was right."""
        if caller.kind == "federated" or (caller.kind == "session" and not caller.mfa):
            raise AwsError(403, "InvalidClientTokenId", "The security token is invalid")
        user = self._user(parameters, caller)
        match action:
            case "GetUser":
                return {
                    "User": {
                        "Path": user.path,
                        "UserName": user.name,
                        "UserId": user.user_id,
                        "Arn": user.arn,
                        "CreateDate": instant(0),
                    }
                }
            case "CreateAccessKey":
                key = user.add_key()
                made = _listed(user, key) | {"SecretAccessKey": key.secret_access_key}
                return {"AccessKey": made}
            case "ListAccessKeys":
                listed = [_listed(user, key) for key in user.keys]
                return {"AccessKeyMetadata": listed, "IsTruncated": "false"}
            case "UpdateAccessKey":
                _key(user, parameters).active = parameters["Status"] == "Active"
                return None
            case "DeleteAccessKey":
                user.keys.remove(_key(user, parameters))
                return None
            case _:
                raise AwsError(400, "InvalidAction", f"Could not find operation {action}")

    def _user(self, parameters: Parameters, caller: Key) -> User:
        name = parameters.get("UserName")
        if name is None:
            if caller.user is None:
                raise AwsError(
                    400,
                    "ValidationError",
                    "Must specify userName when calling with non-User credentials",
                )
            return caller.user
        for user in self._people.users.values():
            if user.name == name and user.account == caller.account:
                return user
        raise AwsError(404, "NoSuchEntity", f"The user with name {name} cannot be found.")


def _key(user: User, parameters: Parameters) -> Key:
    wanted = parameters["AccessKeyId"]
    for key in user.keys:
        if key.access_key_id == wanted:
            return key
    raise AwsError(404, "NoSuchEntity", f"The Access Key with id {wanted} cannot be found.")


def _listed(user: User, key: Key) -> Result:
    return {
        "UserName": user.name,
        "AccessKeyId": key.access_key_id,
        "Status": "Active" if key.active else "Inactive",
        "CreateDate": instant(0),
    }
