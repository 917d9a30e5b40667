"""What in a configuration file is not as its writer meant it, line by line."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from difflib import get_close_matches
from typing import Final, NamedTuple

from privyseal.wire.aws.inifile import IniFile, Repeat
from privyseal.wire.aws.vocabulary import HONOURED, KNOWN, SESSION_KEYS, profile_of, section_of

_NAMED_KINDS: Final = ("profile", "sso-session", "services")
_OTHER_SECTIONS: Final = frozenset(["default", "plugins", "preview"])
_RENAMED: Final = {"parent_profile": "include_profile"}
_INHERITED: Final = HONOURED - {"ca_bundle", "include_profile"}
_LONGEST: Final = 64

Places = Mapping[tuple[str, str], int]
"""The line of a section's head, under the key "", and of each of its keys."""


class Remark(NamedTuple):
    """Something in a file that is not as its writer meant it; `line` counts from 1."""

    line: int
    text: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.text}"


def of(file: IniFile, only: Collection[str] = ()) -> Iterator[Remark]:
    """Yield what is wrong with a file, in no order; with `only` what is in these sections."""
    places = file.places()
    sections = [section for section in file.sections() if not only or section in only]
    for section in sections:
        yield from _about_head(section, places[section, ""])
        yield from _about_inclusion(file, section, places)
    yield from _about_keys(file, sections, places)
    for repeat in file.repeats():
        if repeat.section in sections:
            yield _about_repeat(repeat)
    for deep in file.indented():
        if deep.section in sections:
            rule = "the AWS CLI takes it for part of the line above"
            yield Remark(deep.line, f"{deep.key!r} is indented: {rule}")
    if not only:
        yield from _left_behind(file, places)


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


def _left_behind(file: IniFile, places: Places) -> Iterator[Remark]:
    keys: dict[str, None] = {}
    for section in file.sections():
        if name := profile_of(section):
            keys |= dict.fromkeys(left_behind(file.sections(), name))
    if keys:
        yield Remark(
            places["default", ""],
            f"{', '.join(sorted(keys))} of [default]: other profiles do not inherit this as in"
            " aws-vault, unless they have include_profile = default",
        )


def _about_head(section: str, line: int) -> Iterator[Remark]:
    kind, _, name = section.partition(" ")
    if section == "profile default":
        yield Remark(line, "[profile default] is not read: write [default]")
    elif section in _OTHER_SECTIONS or (name and kind in _NAMED_KINDS):
        return
    elif name:
        yield Remark(line, f"[{section}] is not read{_nearest(kind, _NAMED_KINDS)}")
    else:
        yield Remark(line, f"[{section}] is not read: write [profile {section}]")


def _about_keys(file: IniFile, sections: Iterable[str], places: Places) -> Iterator[Remark]:
    # Tools that write whole files write the same key into each profile: that is one remark.
    found: dict[tuple[str, bool], list[str]] = {}
    for section in sections:
        portal = section.startswith("sso-session ")
        known = SESSION_KEYS if portal else KNOWN
        if portal or profile_of(section):
            for key in file.sections()[section]:
                if key not in known:
                    found.setdefault((key, portal), []).append(section)
    for (key, portal), where in found.items():
        more = f" and {len(where) - 1} more sections" if len(where) > 1 else ""
        near = _nearest(key, SESSION_KEYS if portal else KNOWN)
        if key in _RENAMED:
            near = f": write {_RENAMED[key]}"
        line = places[where[0], key]
        yield Remark(line, f"unknown key {key!r} in [{where[0]}]{more}{near}")


def _about_inclusion(file: IniFile, section: str, places: Places) -> Iterator[Remark]:
    name = file.sections()[section].get("include_profile", "")
    if name and profile_of(section) and section_of(name) not in file.sections():
        near = _nearest(name, [other for head in file.sections() if (other := profile_of(head))])
        yield Remark(
            places[section, "include_profile"],
            f"[{section}] includes {name!r}, a profile that is missing{near}",
        )


def _about_repeat(repeat: Repeat) -> Remark:
    if repeat.key:
        text = f"{repeat.key!r} of [{repeat.section}] stands a second time: the last one counts"
    else:
        text = (
            f"[{repeat.section}] stands a second time: both count as one, and the AWS CLI refuses"
            " the file"
        )
    return Remark(repeat.line, text)


def _nearest(word: str, words: Collection[str]) -> str:
    near = get_close_matches(word[:_LONGEST], words, 1, 0.7)
    return f": did you mean {near[0]!r}?" if near else ""
