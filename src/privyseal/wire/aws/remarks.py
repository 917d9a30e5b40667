"""What in a configuration file is not as its writer meant it, line by line."""

from collections.abc import Collection, Iterator, Mapping
from difflib import get_close_matches
from typing import Final, NamedTuple

from privyseal.wire.aws.inifile import IniFile
from privyseal.wire.aws.vocabulary import HONOURED, KNOWN, SESSION_KEYS, profile_of, section_of

_NAMED_KINDS: Final = ("profile", "sso-session", "services")
_OTHER_SECTIONS: Final = frozenset(["default", "plugins", "preview"])
_RENAMED: Final = {"parent_profile": "include_profile"}
_INHERITED: Final = HONOURED - {"include_profile"}
_LONGEST: Final = 64


class Remark(NamedTuple):
    """Something in a file that is not as its writer meant it; `line` counts from 1."""

    line: int
    text: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.text}"


def of(file: IniFile) -> Iterator[Remark]:
    """Yield what is wrong with a file, in no order."""
    for section, values in file.sections().items():
        yield from _about_section(file, section)
        kind = section.partition(" ")[0]
        if profile_of(section):
            yield from _about_keys(file, section, values, KNOWN)
            yield from _about_inclusion(file, section, values.get("include_profile", ""))
        elif kind == "sso-session":
            yield from _about_keys(file, section, values, SESSION_KEYS)
    for repeat in file.repeats():
        what = f"{repeat.key!r} of [{repeat.section}]" if repeat.key else f"[{repeat.section}]"
        rule = (
            "the last one counts"
            if repeat.key
            else "both count as one, and the AWS CLI refuses the file"
        )
        yield Remark(repeat.line, f"{what} stands a second time: {rule}")
    for deep in file.indented():
        yield Remark(
            deep.line, f"{deep.key!r} is indented: the AWS CLI takes it for part of the line above"
        )
    yield from _left_behind(file)


def left_behind(sections: Mapping[str, Mapping[str, str]], name: str) -> tuple[str, ...]:
    """Return the keys of `[default]` that aws-vault would have given to a profile.

    Here a profile has them only when it includes `default`, itself or by another one.
    """
    seen: set[str] = set()
    have: set[str] = set()
    while name and name not in seen:
        if name == "default":
            return ()
        seen.add(name)
        own = sections.get(section_of(name), {})
        have |= {key for key, value in own.items() if value}
        name = own.get("include_profile", "")
    return tuple(
        key
        for key, value in sections.get("default", {}).items()
        if value and key in _INHERITED and key not in have
    )


def _left_behind(file: IniFile) -> Iterator[Remark]:
    keys: dict[str, None] = {}
    for section in file.sections():
        if name := profile_of(section):
            keys |= dict.fromkeys(left_behind(file.sections(), name))
    if keys:
        yield Remark(
            file.line("default"),
            f"{', '.join(sorted(keys))} of [default]: other profiles do not inherit this as in"
            " aws-vault, unless they have include_profile = default",
        )


def _about_section(file: IniFile, section: str) -> Iterator[Remark]:
    kind, _, name = section.partition(" ")
    if section == "profile default":
        yield Remark(file.line(section), "[profile default] is not read: write [default]")
    elif section in _OTHER_SECTIONS or (name and kind in _NAMED_KINDS):
        return
    elif name:
        near = _nearest(kind, _NAMED_KINDS)
        yield Remark(file.line(section), f"[{section}] is not read{near}")
    else:
        yield Remark(file.line(section), f"[{section}] is not read: write [profile {section}]")


def _about_keys(
    file: IniFile, section: str, values: Mapping[str, str], known: Collection[str]
) -> Iterator[Remark]:
    for key in values:
        if key not in known:
            near = f": write {_RENAMED[key]}" if key in _RENAMED else _nearest(key, known)
            yield Remark(file.line(section, key), f"unknown key {key!r} in [{section}]{near}")


def _about_inclusion(file: IniFile, section: str, name: str) -> Iterator[Remark]:
    if name and section_of(name) not in file.sections():
        near = _nearest(name, [other for head in file.sections() if (other := profile_of(head))])
        yield Remark(
            file.line(section, "include_profile"),
            f"[{section}] includes {name!r}, a profile that is missing{near}",
        )


def _nearest(word: str, words: Collection[str]) -> str:
    near = get_close_matches(word[:_LONGEST], words, 1, 0.7)
    return f": did you mean {near[0]!r}?" if near else ""
