"""The calls of IAM that replace an access key, from values to values.

`user` is a name, or "" for whoever the credentials belong to.
"""

from typing import Any, Final, NamedTuple

from privyseal.aws import answers, calls
from privyseal.aws.answers import Answer, When, Word
from privyseal.errors import NotFoundError, PrivysealError
from privyseal.model.aws import Credentials, Network

_MAX_KEYS: Final = 100


class _Key(Answer, frozen=True, rename="pascal"):
    access_key_id: Word
    status: Word
    create_date: When


class _Keys(Answer, frozen=True, rename="pascal"):
    access_key_metadata: list[_Key]


class _NewKey(Answer, frozen=True, rename="pascal"):
    access_key_id: Word
    secret_access_key: Word


class _Created(Answer, frozen=True, rename="pascal"):
    access_key: _NewKey


class Listed(NamedTuple):
    """An access key of a user, as IAM lists it; `created` is seconds since 1970."""

    access_key_id: str
    active: bool
    created: float

    def __str__(self) -> str:
        return f"…{self.access_key_id[-4:]}{'' if self.active else ' (inactive)'}"


class NewKey(NamedTuple):
    """What CreateAccessKey made; only its id is shown."""

    access_key_id: str
    secret_access_key: str

    def __repr__(self) -> str:
        return f"NewKey({self.access_key_id})"


class Keys:
    """The access keys of one user."""

    def __init__(self, network: Network, credentials: Credentials, user: str) -> None:
        self._iam = calls.client("iam", network, credentials)
        # Made twice, this call leaves a key whose secret nobody has.
        self._once = calls.client("iam", network, credentials, attempts=1)
        self._user = {"UserName": user} if user else {}

    def all(self) -> list[Listed]:
        """Return the keys of the user."""
        answer = self._call(self._iam, "list_access_keys", MaxItems=_MAX_KEYS)
        return [
            Listed(key.access_key_id, key.status == "Active", key.create_date.timestamp())
            for key in answers.read(answer, _Keys, "list of keys").access_key_metadata
        ]

    def create(self) -> NewKey:
        """Make a key."""
        answer = self._call(self._once, "create_access_key")
        made = answers.read(answer, _Created, "new key").access_key
        return NewKey(made.access_key_id, made.secret_access_key)

    def deactivate(self, access_key_id: str) -> None:
        """Let a key authenticate no more; it can be activated again."""
        self._call(self._iam, "update_access_key", AccessKeyId=access_key_id, Status="Inactive")

    def delete(self, access_key_id: str) -> None:
        """Delete a key for good; one that is gone already is well."""
        try:
            self._call(self._iam, "delete_access_key", AccessKeyId=access_key_id)
        except NotFoundError:
            return

    def was_used(self, access_key_id: str) -> bool:
        """Tell whether anybody ever authenticated with a key; False also when IAM does not say."""
        try:
            answer = calls.call(self._iam, "get_access_key_last_used", AccessKeyId=access_key_id)
        except PrivysealError:
            return False
        return "LastUsedDate" in answer.get("AccessKeyLastUsed", {})

    def _call(self, client: Any, operation: str, **inputs: Any) -> dict[str, Any]:
        return calls.call(client, operation, **self._user, **inputs)
