"""Who there is in the fake AWS: users with keys and devices, roles, and sessions made of them."""

import hashlib
import hmac
import secrets
import struct
from dataclasses import dataclass, field
from typing import Literal

from tests.fakes_aws.web import AwsError

from privyseal.model.clock import Clock

STEP_SECONDS = 30
MOST_KEYS = 2

Kind = Literal["user", "session", "role", "federated"]

_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"


def random_id(prefix: str) -> str:
    """Return an identifier such as AKIA… or AROA…, as long as AWS makes them."""
    return prefix + "".join(secrets.choice(_ALPHABET) for _ in range(16))


@dataclass(kw_only=True, eq=False)
class Key:
    """An access key, long-lived or of a session; `principal` is what trust policies name."""

    kind: Kind
    arn: str
    principal: str
    account: str
    user_id: str
    expires: float = 0.0
    mfa: bool = False
    active: bool = True
    user: "User | None" = None
    access_key_id: str = ""
    secret_access_key: str = field(default_factory=lambda: secrets.token_urlsafe(30), repr=False)
    session_token: str = field(default="", repr=False)
    policy: str = ""
    tags: dict[str, str] = field(default_factory=dict)
    source_identity: str = ""

    def __post_init__(self) -> None:
        self.access_key_id = random_id("AKIA" if self.kind == "user" else "ASIA")
        if self.kind != "user":
            self.session_token = secrets.token_urlsafe(120)


@dataclass(eq=False)
class Device:
    """A virtual MFA device: codes of RFC 6238, six digits, one use for each step of 30 s."""

    serial: str
    clock: Clock = field(repr=False)
    seed: bytes = field(default_factory=lambda: secrets.token_bytes(20), repr=False)
    used: int = -1

    def code(self, *, steps: int = 0) -> str:
        """Return the code that the device shows, or showed so many steps ago (negative)."""
        counter = int(self.clock.wall()) // STEP_SECONDS + steps
        digest = hmac.digest(self.seed, struct.pack(">Q", counter), hashlib.sha1)
        offset = digest[-1] & 15
        number = struct.unpack_from(">I", digest, offset)[0] & 0x7FFFFFFF
        return f"{number % 1_000_000:06}"

    def accept(self, code: str) -> bool:
        """Tell whether a code is right and new; AWS takes the step before and after this one."""
        now = int(self.clock.wall()) // STEP_SECONDS
        for step in (-1, 0, 1):
            if now + step > self.used and hmac.compare_digest(code, self.code(steps=step)):
                self.used = now + step
                return True
        return False


@dataclass(eq=False)
class User:
    """An IAM user."""

    name: str
    account: str
    clock: Clock = field(repr=False)
    path: str = "/"
    user_id: str = field(default_factory=lambda: random_id("AIDA"))
    keys: list[Key] = field(default_factory=list)
    device: Device | None = None

    @property
    def arn(self) -> str:
        return f"arn:aws:iam::{self.account}:user{self.path}{self.name}"

    @property
    def key(self) -> Key:
        """The first key."""
        return self.keys[0]

    def add_key(self) -> Key:
        if len(self.keys) == MOST_KEYS:
            raise AwsError(
                409, "LimitExceeded", f"Cannot exceed quota for AccessKeysPerUser: {MOST_KEYS}"
            )
        self.keys.append(
            Key(
                kind="user",
                arn=self.arn,
                principal=self.arn,
                account=self.account,
                user_id=self.user_id,
                user=self,
            )
        )
        return self.keys[-1]

    def add_device(self) -> Device:
        self.device = Device(f"arn:aws:iam::{self.account}:mfa/{self.name}", self.clock)
        return self.device


@dataclass(kw_only=True, eq=False)
class Role:
    """An IAM role; `trusts` holds account numbers and ARNs, or the issuer of web identities."""

    arn: str
    trusts: frozenset[str]
    max_duration: int = 3600
    mfa: bool = False
    external_id: str = ""
    role_id: str = field(default_factory=lambda: random_id("AROA"))

    @property
    def account(self) -> str:
        return self.arn.split(":")[4]

    @property
    def name(self) -> str:
        return self.arn.rpartition("/")[2]


class People:
    """The directory of one fake AWS."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.users: dict[str, User] = {}
        self.roles: dict[str, Role] = {}
        self._sessions: dict[str, Key] = {}

    def add_user(
        self, name: str = "alice", account: str = "111122223333", *, device: bool = False
    ) -> User:
        """Make up a user with one key."""
        user = User(name, account, self._clock)
        user.add_key()
        if device:
            user.add_device()
        self.users[user.arn] = user
        return user

    def add_role(
        self,
        name: str = "admin",
        account: str = "111122223333",
        *,
        trusts: frozenset[str] = frozenset(),
        max_duration: int = 3600,
        mfa: bool = False,
        external_id: str = "",
    ) -> Role:
        """Make up a role; it trusts its own account when nothing else is said."""
        role = Role(
            arn=f"arn:aws:iam::{account}:role/{name}",
            trusts=trusts or frozenset({account}),
            max_duration=max_duration,
            mfa=mfa,
            external_id=external_id,
        )
        self.roles[role.arn] = role
        return role

    def find(self, access_key_id: str) -> Key | None:
        """Return the key with this identifier, whatever its state."""
        kept = [key for user in self.users.values() for key in user.keys]
        found = {key.access_key_id: key for key in kept} | self._sessions
        return found.get(access_key_id)

    def begin_session(self, key: Key) -> Key:
        """Make a session's key known, so that it authenticates until it expires."""
        self._sessions[key.access_key_id] = key
        return key

    def begin_role(self, role: Role, session: str, seconds: int, *, mfa: bool = False) -> Key:
        """Return the key of a new session of a role."""
        return self.begin_session(
            Key(
                kind="role",
                arn=f"arn:aws:sts::{role.account}:assumed-role/{role.name}/{session}",
                principal=role.arn,
                account=role.account,
                user_id=f"{role.role_id}:{session}",
                expires=self._clock.wall() + seconds,
                mfa=mfa,
            )
        )

    def check(self, key: Key | None, session_token: str) -> Key:
        """Return the key when it may be used.

        Raises:
            AwsError: Unknown, inactive or expired, in the words of AWS.
        """
        if key is None or not key.active or key.session_token != session_token:
            raise AwsError(
                403,
                "InvalidClientTokenId",
                "The security token included in the request is invalid.",
            )
        if key.expires and key.expires <= self._clock.wall():
            raise AwsError(
                403, "ExpiredToken", "The security token included in the request is expired"
            )
        return key
