"""Profiles of the AWS configuration: what holds for one of them, and where each value was set.

The first that is set holds: a flag, a variable of the environment, the section itself, the
section it includes (`include_profile`), a default of the program. A profile inherits nothing from
`[default]` unless it includes it. aws-vault does inherit, so that a role or a portal in
`[default]` became everybody's; the AWS CLI never did. `warnings` names what stays behind.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from privyseal.errors import NotFoundError, UsageError
from privyseal.wire.aws import durations, inifile, vocabulary
from privyseal.wire.aws.vocabulary import profile_of, section_of

_SHOWN: Final = 200
_CIRCLE: Final = 12

DESCRIBING: Final = (
    "external_id",
    "role_session_name",
    "source_identity",
    "session_tags",
    "transitive_session_tags",
)
"""Keys that describe the assumption of a role, which flags of the same name set."""


class Flags(NamedTuple):
    """What the command line says about credentials; empty where it says nothing.

    `role_arn` is assumed with the credentials of the profile, and each role of `chain` with those
    of the one before. What describes a role (`external_id`, tags, policies) counts for the last
    one. Lengths of time are seconds; `duration` counts for roles and sessions alike.
    """

    region: str = ""
    duration: int = 0
    no_session: bool = False
    mfa_serial: str = ""
    role_arn: str = ""
    chain: tuple[str, ...] = ()
    external_id: str = ""
    role_session_name: str = ""
    source_identity: str = ""
    session_tags: str = ""
    transitive_session_tags: str = ""
    policy: str = ""
    policy_arns: tuple[str, ...] = ()
    read_only: bool = False
    endpoint_url: str = ""
    fresh: bool = False
    least: int = 0


NO_FLAGS: Final = Flags()


class Setting(NamedTuple):
    """One value, and where it was set: `--region`, `AWS_REGION`, `[profile dev]`, `default`."""

    value: str
    origin: str


class Profile:
    """What holds for one profile; `settings` has the keys that are set anywhere."""

    __slots__ = ("exists", "name", "services", "settings")

    def __init__(
        self,
        name: str,
        settings: Mapping[str, Setting],
        *,
        exists: bool = True,
        services: Mapping[str, Setting] | None = None,
    ) -> None:
        self.name = name
        self.settings = settings
        self.exists = exists
        self.services = services or {}

    def __getitem__(self, key: str) -> str:
        """Return the value of a key, "" where it is not set."""
        setting = self.settings.get(key)
        return setting.value if setting else ""

    def where(self, key: str) -> str:
        """Return where the value of a key was set, as an error names it."""
        setting = self.settings.get(key)
        if setting is None:
            return key
        return setting.origin if setting.origin.startswith("--") else f"{key} of {setting.origin}"

    def flag(self, key: str) -> bool:
        """Return a value that says yes or no; no where it is not set.

        Raises:
            UsageError: It says something else.
        """
        value = self[key].lower()
        if value not in {"", "true", "false"}:
            raise UsageError(f"{self.where(key)} wants true or false, not {self[key][:_SHOWN]!r}")
        return value == "true"

    def seconds(self, key: str) -> int:
        """Return a length of time, in seconds.

        Raises:
            UsageError: It is none.
        """
        setting = self.settings[key]
        number = setting.value
        if key in vocabulary.DURATIONS and setting.origin in vocabulary.VARIABLES[key]:
            return durations.parse(number, setting.origin)
        if not (number.isascii() and number.isdigit()) or int(number[:10]) > durations.MAX:
            raise UsageError(
                f"{self.where(key)} wants a number of seconds, not {number[:_SHOWN]!r}"
            )
        return int(number)


class Profiles:
    """All profiles of a configuration file, and which of them a credentials file knows."""

    __slots__ = ("_credentials", "_file", "_sections")

    def __init__(self, file: inifile.IniFile, credentials: inifile.IniFile) -> None:
        self._file = file
        self._sections = file.sections()
        self._credentials = credentials

    def names(self) -> tuple[str, ...]:
        """Return the names of the profiles, in the order of the file."""
        return tuple(name for section in self._sections if (name := profile_of(section)))

    def sso_sessions(self) -> tuple[str, ...]:
        """Return the names of the `[sso-session]` sections, in the order of the file."""
        return tuple(
            name
            for section in self._sections
            for kind, _, name in [section.partition(" ")]
            if kind == "sso-session" and name
        )

    def plaintext(self) -> tuple[str, ...]:
        """Return the profiles whose keys lie as plain text in one of the two files."""
        found = [name for name in self.names() if self._leaks(section_of(name), self._sections)]
        sections = self._credentials.sections()
        found += [name for name in sections if self._leaks(name, sections)]
        return tuple(dict.fromkeys(found))

    def own(self, name: str) -> Mapping[str, str]:
        """Return what stands in the section of a profile itself, nothing where there is none."""
        return self._sections.get(section_of(name), {})

    def resolve(
        self,
        name: str,
        environment: Mapping[str, str],
        flags: Flags = NO_FLAGS,
        *,
        target: bool = True,
    ) -> Profile:
        """Return what holds for a profile; one without a section has what stands above them.

        A `target` is the profile asked for; one that it builds on takes fewer flags and variables.

        Raises:
            UsageError: Profiles include each other in a circle, or a variable is malformed.
            NotFoundError: An `[sso-session]` or `[services]` section that is named is missing.
        """
        found: dict[str, Setting] = {}
        for key, setting in [
            *_from_flags(flags, target=target),
            *_from_environment(environment, target=target),
        ]:
            found.setdefault(key, setting)
        for section, origin in self._included(name):
            for key, value in self._sections.get(section, {}).items():
                if value and key not in vocabulary.PLAINTEXT:
                    found.setdefault(key, Setting(value, origin))
        self._add_portal(name, found)
        for key, value in vocabulary.DEFAULTS.items():
            found.setdefault(key, Setting(value, "default"))
        return Profile(
            name,
            found,
            exists=section_of(name) in self._sections,
            services=self._services(name, found),
        )

    def portal(self, session: str) -> Mapping[str, Setting]:
        """Return the settings of an `[sso-session]` section.

        Raises:
            NotFoundError: There is none of this name.
        """
        section = f"sso-session {session}"
        values = self._sections.get(section)
        if values is None:
            raise NotFoundError(
                f"no section {section!r} in the AWS configuration",
                hint=nearest(session, self.sso_sessions()),
            )
        return {key: Setting(value, f"[{section}]") for key, value in values.items() if value}

    def near(self, name: str) -> str:
        """Return a hint that names the profile most like this name, "" when none is."""
        return nearest(name, self.names())

    def warnings(self, *names: str) -> tuple[str, ...]:
        """Return what in the file is not as its writer meant it, `line 3: …`, by line.

        With names of profiles only what stands in their sections.
        """
        from privyseal.wire.aws import remarks  # noqa: PLC0415 - difflib, only for people

        found = remarks.of(self._file, [section_of(name) for name in names])
        return tuple(map(str, sorted(found)))

    def left_behind(self, name: str) -> tuple[str, ...]:
        """Return the keys of `[default]` that aws-vault would have given to a profile."""
        from privyseal.wire.aws import remarks  # noqa: PLC0415 - difflib, only for people

        return remarks.left_behind(self._sections, name)

    def _included(self, name: str) -> Iterator[tuple[str, str]]:
        seen: dict[str, None] = {}
        origin = f"[{section_of(name)}]"
        while name:
            if name in seen:
                raise UsageError(
                    f"profiles include each other: {circle(list(seen), name)}",
                    hint="take one include_profile out",
                )
            seen[name] = None
            section = section_of(name)
            yield section, origin
            name = self._sections.get(section, {}).get("include_profile", "")
            origin = f"[{section_of(name)}], included"

    def _add_portal(self, name: str, found: dict[str, Setting]) -> None:
        session = found.get("sso_session")
        if not session:
            return
        try:
            found.update(self.portal(session.value))
        except NotFoundError as error:
            raise NotFoundError(f"profile {name!r}: {error}", hint=error.hint) from error

    def _services(self, name: str, found: Mapping[str, Setting]) -> dict[str, Setting]:
        named = found.get("services")
        if not named:
            return {}
        section = f"services {named.value}"
        values = self._sections.get(section)
        if values is None:
            raise NotFoundError(f"profile {name!r}: no section {section!r}")
        return {
            service: Setting(url, f"[{section}]")
            for service, value in values.items()
            if (url := inifile.block(value).get("endpoint_url", ""))
        }

    @staticmethod
    def _leaks(section: str, sections: Mapping[str, Mapping[str, str]]) -> bool:
        return bool(sections.get(section, {}).get("aws_secret_access_key"))


def load(config: str, credentials: str = "") -> Profiles:
    """Return the profiles that the text of a configuration and of a credentials file give.

    Raises:
        CorruptError: A line of one of them cannot be read; it is named.
    """
    return Profiles(inifile.parse(config), inifile.parse(credentials))


def _from_flags(flags: Flags, *, target: bool) -> Iterator[tuple[str, Setting]]:
    if flags.region:
        yield "region", Setting(flags.region, "--region")
    if flags.endpoint_url:
        yield "endpoint_url", Setting(flags.endpoint_url, "--endpoint-url")
    if flags.mfa_serial:
        yield "mfa_serial", Setting(flags.mfa_serial, "--mfa-serial")
    if flags.duration:
        for key in ("duration_seconds", "session_ttl", "chained_session_ttl", "federation_ttl"):
            yield key, Setting(str(flags.duration), "--duration")
    if flags.least:
        yield "min_ttl", Setting(str(flags.least), "--min-ttl")
    if not target or flags.role_arn:
        return
    for key in DESCRIBING:
        if value := str(getattr(flags, key)):
            yield key, Setting(value, "--" + key.replace("_", "-"))


def _from_environment(
    environment: Mapping[str, str], *, target: bool
) -> Iterator[tuple[str, Setting]]:
    tables = [vocabulary.VARIABLES, *([vocabulary.TARGET_VARIABLES] if target else [])]
    for table in tables:
        for key, variables in table.items():
            for variable in variables:
                if value := environment.get(variable):
                    yield key, Setting(value, variable)
                    break


def circle(seen: list[str], again: str) -> str:
    """Return the names from the one that comes again to itself: `'a' -> 'b' -> 'a'`."""
    names = [*seen[seen.index(again) :], again]
    if len(names) > _CIRCLE:
        names[_CIRCLE // 2 : -_CIRCLE // 2] = ["…"]
    return " -> ".join(repr(name) for name in names)


def nearest(name: str, names: Sequence[str]) -> str:
    """Return a hint that names the one that is most like a name, "" when none is."""
    from difflib import get_close_matches  # noqa: PLC0415 - only for a mistyped name

    near = get_close_matches(name[:_SHOWN], names[:2000], 1)
    return f"did you mean {near[0]!r}?" if near else ""
