"""The way from a profile to where its credentials begin: every profile it builds on, in order."""

from collections.abc import Collection, Mapping
from typing import NamedTuple

from privyseal.errors import NotFoundError, UsageError
from privyseal.wire.aws.profiles import NO_FLAGS, Flags, Profile, Profiles, circle


class Route(NamedTuple):
    """The profile asked for and those it builds on, each the source of the one before.

    With `stored` the last one's key is in the store; else its own settings say where to begin.
    """

    links: tuple[Profile, ...]
    stored: bool

    @property
    def target(self) -> Profile:
        """The profile asked for."""
        return self.links[0]

    @property
    def begin(self) -> Profile:
        """The profile whose credentials all others are made from."""
        return self.links[-1]

    @property
    def mfa_process(self) -> str:
        """The command that computes codes: of the profile nearest to the target that names one."""
        return next((text for link in self.links if (text := link["mfa_process"])), "")


def route(
    profiles: Profiles,
    name: str,
    *,
    keys: Collection[str],
    environment: Mapping[str, str],
    flags: Flags = NO_FLAGS,
) -> Route:
    """Return the way from a profile to its beginning; `keys` names the keys in the store.

    A stored key ends the way, whatever else its profile says, as in aws-vault.

    Raises:
        NotFoundError: A profile on the way exists nowhere.
        UsageError: Profiles build on each other in a circle, which the message names.
    """
    links: list[Profile] = []
    seen: dict[str, None] = {}
    while True:
        link = profiles.resolve(name, environment, flags, target=not links)
        if not link.exists and name not in keys:
            raise _missing(profiles, name, links)
        links.append(link)
        seen[name] = None
        source = link["source_profile"]
        if name in keys or not source or source == name:
            return Route(tuple(links), name in keys)
        if link["credential_source"]:
            raise UsageError(f"profile {name!r} has both source_profile and credential_source")
        if source in seen:
            raise UsageError(
                f"profiles are each other's source: {circle(list(seen), source)}",
                hint="one of them needs a stored key, or no source_profile",
            )
        name = source


def _missing(profiles: Profiles, name: str, links: list[Profile]) -> NotFoundError:
    hint = profiles.near(name) or "see `privy aws list`"
    if links:
        return NotFoundError(
            f"profile {links[-1].name!r} builds on {name!r}, which is neither in the AWS"
            " configuration nor in the store",
            hint=hint,
        )
    return NotFoundError(
        f"profile {name!r} is not in the AWS configuration, and no key of that name is stored",
        hint=hint,
    )
