"""Cloud credentials as values: the plan a person approves, and the orders a broker carries out.

A plan says where credentials begin and which calls change them into others. It holds no secret, and
nothing is left out of it: what the person saw is what the broker does.
"""

from typing import Annotated, Literal

import msgspec

from privyseal.model.value import Name, Text, Value

Duration = Annotated[int, msgspec.Meta(ge=0, le=36 * 3600)]
"""Seconds; 0 leaves it to AWS."""

Tags = Annotated[dict[Name, Text], msgspec.Meta(max_length=50)]
Endpoints = Annotated[dict[Name, Text], msgspec.Meta(max_length=16)]
Command = Annotated[tuple[Text, ...], msgspec.Meta(max_length=64)]


class Portal(Value, frozen=True):
    """An IAM Identity Center sign-in: one token for all roles behind one start URL.

    `session` is the name of the `[sso-session]` section, "" for the older form without one.
    """

    start_url: Text
    region: Name
    session: Name = ""
    scopes: Annotated[tuple[Name, ...], msgspec.Meta(max_length=32)] = ("sso:account:access",)


class StoredKey(Value, frozen=True, tag_field="from", tag="stored-key"):
    """Begin with the long-lived key that the store keeps under this name."""

    name: Name


class PortalRole(Value, frozen=True, tag_field="from", tag="portal-role"):
    """Begin with the credentials that an Identity Center portal gives for a role (SSO)."""

    portal: Portal
    account: Name
    role: Name


class WebIdentity(Value, frozen=True, tag_field="from", tag="web-identity"):
    """Begin with a role for a token from a file or a command (AssumeRoleWithWebIdentity)."""

    role: Name
    session_name: Name = ""
    duration: Duration = 0
    token_file: Text = ""
    token_command: Text = ""


class Process(Value, frozen=True, tag_field="from", tag="process"):
    """Begin with what a `credential_process` prints."""

    command: Text


class Ambient(Value, frozen=True, tag_field="from", tag="ambient"):
    """Begin with what the surroundings offer: `credential_source`, or a login of the AWS CLI."""

    kind: Literal["environment", "ec2", "ecs", "login"]
    session: Text = ""


Source = StoredKey | PortalRole | WebIdentity | Process | Ambient
"""The first two need something that the store keeps; the others need nothing of ours."""


class SessionStep(Value, frozen=True, tag_field="step", tag="session"):
    """Sts GetSessionToken; `mfa` is the serial number of a device, "" for none."""

    duration: Duration = 0
    mfa: Text = ""


class RoleStep(Value, frozen=True, tag_field="step", tag="role"):
    """Sts AssumeRole; `policy` is the JSON text of a session policy."""

    arn: Text
    session_name: Name = ""
    duration: Duration = 0
    external_id: Text = ""
    mfa: Text = ""
    source_identity: Name = ""
    tags: Tags = msgspec.field(default_factory=dict)
    transitive: Annotated[tuple[Name, ...], msgspec.Meta(max_length=50)] = ()
    policy: Text = ""
    policy_arns: Annotated[tuple[Text, ...], msgspec.Meta(max_length=10)] = ()


class FederationStep(Value, frozen=True, tag_field="step", tag="federation"):
    """Sts GetFederationToken, for a console login or a session policy with a long-lived key.

    `name` is "" when the user of the key gives it, cut to 32 characters.
    """

    duration: Duration = 0
    name: Name = ""
    policy: Text = ""
    policy_arns: Annotated[tuple[Text, ...], msgspec.Meta(max_length=10)] = ()


Step = SessionStep | RoleStep | FederationStep


class Network(Value, frozen=True):
    """How AWS is reached. `endpoints` maps a service id in lower case ("sts") to a URL.

    `ca_bundle` is the file with the authorities that vouch for AWS, "" for the machine's own; no
    order to a keeper names one.
    """

    region: Name = ""
    endpoints: Endpoints = msgspec.field(default_factory=dict)
    dual_stack: bool = False
    fips: bool = False
    global_sts: bool = False
    ca_bundle: Text = ""


class Plan(Value, frozen=True):
    """From `source`, by `steps` in order, to credentials for `profile`.

    `notes` tell a person what the planner changed ("capped to 1 h: a role from a role"). `fresh`:
    take nothing from the cache. `least` is how many seconds cached credentials must still last.
    """

    profile: Name
    source: Source
    steps: Annotated[tuple[Step, ...], msgspec.Meta(max_length=12)] = ()
    network: Network = Network()
    notes: Annotated[tuple[Text, ...], msgspec.Meta(max_length=16)] = ()
    fresh: bool = False
    least: Duration = 300


class Obtain(Value, frozen=True, tag_field="order", tag="obtain"):
    """Hand over the credentials of a plan, for a command that runs with them."""

    plan: Plan
    command: Command = ()


class Link(Value, frozen=True, tag_field="order", tag="link"):
    """Hand over a sign-in link to the web console, with the credentials of a plan.

    `issuer` is what the console shows; `federation` overrides the endpoint, for tests.
    """

    plan: Plan
    destination: Text = ""
    duration: Duration = 0
    federation: Text = ""


class Roles(Value, frozen=True, tag_field="order", tag="roles"):
    """List the accounts and roles that a portal offers to its user."""

    portal: Portal
    network: Network = Network()


class SignIn(Value, frozen=True, tag_field="order", tag="sign-in"):
    """Sign in at a portal now, whether or not a token is there; keeps the token."""

    portal: Portal
    network: Network = Network()


class SignOut(Value, frozen=True, tag_field="order", tag="sign-out"):
    """Revoke the token of a portal and forget it."""

    portal: Portal
    network: Network = Network()


class Keep(Value, frozen=True, tag_field="order", tag="keep"):
    """Keep a long-lived key under a name, once STS has said whose it is unless `unverified`.

    The key comes as `AccessKey` in a sealed memfd, or with `typed` from the person at the console.
    """

    name: Name
    network: Network = Network()
    typed: bool = False
    replace: bool = False
    unverified: bool = False


class Remove(Value, frozen=True, tag_field="order", tag="remove"):
    """Forget a long-lived key and what was made from it; `Clear` forgets the latter alone."""

    name: Name


class Clear(Value, frozen=True, tag_field="order", tag="clear"):
    """Forget cached sessions and portal tokens: of one profile, or all when the name is empty."""

    name: Name = ""
    portal: Portal | None = None


class Rotate(Value, frozen=True, tag_field="order", tag="rotate"):
    """Replace a long-lived key by a new one; `plan` gives the credentials that IAM is called with.

    `grace` is how many seconds the old key stays deactivated before it is deleted; `resume` goes on
    with what a journal left behind and starts nothing new.
    """

    name: Name
    plan: Plan
    grace: Duration = 0
    resume: bool = False


class Known(Value, frozen=True, tag_field="order", tag="known"):
    """List what the store keeps, without a secret: a `Vaulted`."""


Order = Obtain | Link | Roles | SignIn | SignOut | Keep | Remove | Clear | Rotate | Known


class AccessKey(Value, frozen=True):
    """A long-lived key; the account is what STS said when it was added, "" when it did not."""

    access_key_id: Name
    secret_access_key: Text
    account: Name = ""
    mfa: Text = ""

    def __repr__(self) -> str:
        return f"AccessKey({self.access_key_id})"


class Credentials(Value, frozen=True):
    """What AWS accepts. `expires` is seconds since 1970, 0 for a long-lived key."""

    access_key_id: Name
    secret_access_key: Text
    session_token: Text = ""
    expires: float = 0.0
    account: Name = ""

    def __repr__(self) -> str:
        return f"Credentials({self.access_key_id}, expires={self.expires:.0f})"


class KeptKey(Value, frozen=True):
    """What may be known of a long-lived key without it: last four characters of its id, account."""

    name: Name
    tail: Name = ""
    account: Name = ""
    mfa: Text = ""
    added: float = 0.0


class KeptSession(Value, frozen=True):
    """What may be known of cached credentials: whose, of which kind, until when."""

    profile: Name
    kind: Name
    expires: float
    mfa: Text = ""


class KeptToken(Value, frozen=True):
    """What may be known of a portal's token; `refreshable` tokens outlast their end."""

    start_url: Text
    session: Name = ""
    expires: float = 0.0
    refreshable: bool = False


class Vaulted(Value, frozen=True):
    """What the store keeps for AWS, without a secret; `journals` are rotations left unfinished."""

    keys: tuple[KeptKey, ...] = ()
    sessions: tuple[KeptSession, ...] = ()
    tokens: tuple[KeptToken, ...] = ()
    journals: tuple[Name, ...] = ()


class OfferedRole(Value, frozen=True):
    """One role of one account, as a portal lists it."""

    account: Name
    account_name: Text
    role: Name
    email: Text = ""
