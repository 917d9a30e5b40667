"""Temporary credentials in the store, under names that say what went into them.

The digest in a name covers everything a call depends on, the id of the stored key included: an
edited profile or another key finds nothing. aws-vault lists such entries and uses none of them.
"""

import hashlib
from collections.abc import Mapping
from contextlib import suppress
from typing import Final, NamedTuple

from privyseal.aws import items
from privyseal.aws.ports import Entries, KeyStore
from privyseal.errors import CorruptError, NotFoundError, PrivysealError
from privyseal.model.aws import (
    Credentials,
    FederationStep,
    Plan,
    PortalRole,
    Process,
    RoleStep,
    SessionStep,
    StoredKey,
    WebIdentity,
)
from privyseal.model.clock import Clock
from privyseal.model.value import encode

_KINDS: Final[Mapping[type, str]] = {
    SessionStep: "sts.GetSessionToken",
    RoleStep: "sts.AssumeRole",
    FederationStep: "sts.GetFederationToken",
    WebIdentity: "sts.AssumeRoleWithWebIdentity",
    PortalRole: "sso.GetRoleCredentials",
    Process: "credential_process",
}
_EARLY: Final = 20 * 60
_ROLE_SECONDS: Final = 3600
_SESSION_SECONDS: Final = 12 * 3600
_SHORTEST_SECONDS: Final = 900


class Stage(NamedTuple):
    """How far a plan has come: 0 is its source, each step is one more."""

    plan: Plan
    number: int

    @property
    def before(self) -> "Stage":
        """The stage whose credentials this one is called with."""
        return Stage(self.plan, self.number - 1)

    @property
    def kind(self) -> str:
        """What aws-vault calls such a session; "" for what is never kept."""
        return _KINDS.get(
            type(self.plan.steps[self.number - 1] if self.number else self.plan.source), ""
        )

    @property
    def owner(self) -> str:
        """The name under which it is listed: a session of a stored key is the key's own."""
        source, steps = self.plan.source, self.plan.steps[: self.number]
        if isinstance(source, StoredKey) and all(isinstance(step, SessionStep) for step in steps):
            return source.name
        return self.plan.profile

    @property
    def serial(self) -> str:
        """What aws-vault names beside the profile: the MFA device, or the portal."""
        if not self.number:
            source = self.plan.source
            return source.portal.start_url if isinstance(source, PortalRole) else ""
        step = self.plan.steps[self.number - 1]
        return "" if isinstance(step, FederationStep) else step.mfa

    @property
    def lifetime(self) -> int:
        """How long what it makes holds when it is new, in seconds, as far as a plan tells."""
        match self.plan.steps[self.number - 1] if self.number else self.plan.source:
            case RoleStep(duration=seconds) | WebIdentity(duration=seconds):
                return seconds or _ROLE_SECONDS
            case SessionStep(duration=seconds) | FederationStep(duration=seconds):
                return seconds or _SESSION_SECONDS
            case Process():
                return _SHORTEST_SECONDS  # a command may give what lasts no longer
            case _:
                return _ROLE_SECONDS

    @property
    def early(self) -> int:
        """How many seconds before its end it is fetched anew."""
        return max(min(_EARLY, self.lifetime // 3), self.plan.least)

    def digest(self, mark: str) -> str:
        """Return what stands for all that went into it; `mark` is that of the stored key."""
        plan = self.plan
        parts = [plan.source, mark, plan.network, plan.steps[: self.number]]
        return hashlib.sha256(encode(parts)).hexdigest()[:32]


class Cache:
    """The sessions of one store."""

    def __init__(self, store: KeyStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    def find(self, entries: Entries, digest: str, least: float) -> Credentials | None:
        """Return the session with this digest that lasts longest, at least `least` seconds."""
        soonest = self._clock.wall() + least
        parsed = ((key, items.parse_session(key)) for key in entries)
        fitting = [
            (parts.expiry, key)
            for key, parts in parsed
            if parts and parts.digest == digest and parts.expiry >= soonest
        ]
        for _, key in sorted(fitting, reverse=True):
            with suppress(NotFoundError, CorruptError):
                return items.decode_session(self._store.read(key).value.expose())
        return None

    def keep(self, stage: Stage, made: Credentials, mark: str, entries: Entries) -> None:
        """Keep new credentials, in place of those they follow, and sweep out what has expired.

        Raises:
            PrivysealError: The store did not take them.
        """
        digest = stage.digest(mark)
        key = items.session_key(stage.kind, stage.owner, stage.serial, digest, made.expires)
        source = stage.plan.source
        notes = items.session_notes(source.name, mark) if isinstance(source, StoredKey) else {}
        self._store.write(items.session_item(key, made, notes))
        # What is stale harms nobody: whoever comes next tries again.
        with suppress(PrivysealError):
            self._sweep(entries, digest, key)

    def _sweep(self, entries: Entries, digest: str, kept: str) -> None:
        now = self._clock.wall()
        for key in entries:
            parts = items.parse_session(key)
            stale = parts and (parts.expiry <= now or parts.digest == digest)
            if (stale or items.classify(key) == "old-session") and key != kept:
                with suppress(NotFoundError):
                    self._store.remove(key)
