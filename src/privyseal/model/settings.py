"""What a person wrote as settings, checked key by key and made a configuration.

A key is written as a path, `timing.pending`; in the environment as `PRIVYSEAL_TIMING_PENDING`.
The daemons load none of this: they get the finished `Config` from `privyseal.runtime.settings`.
"""

import types
from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from typing import Annotated, Final, Literal, NamedTuple, get_args, get_origin

import msgspec

from privyseal.errors import UsageError
from privyseal.model.config import Config

PREFIX: Final = "PRIVYSEAL_"

Leaf = str | int | float | bool | tuple[str, ...]
"""What a key may hold."""

Tree = Mapping[str, object]
"""What a file holds: keys with leaves or further trees below them."""


class Key(NamedTuple):
    """One key: its type as annotated, and its default."""

    type: object
    default: Leaf


class Setting(NamedTuple):
    """One value as somebody wrote it, and where: `file:line`, or an environment variable."""

    value: object
    origin: str


def _keys(struct: type[msgspec.Struct], prefix: str = "") -> Iterator[tuple[str, Key]]:
    for field in msgspec.structs.fields(struct):
        path = f"{prefix}{field.encode_name}"
        if isinstance(field.type, type) and issubclass(field.type, msgspec.Struct):
            yield from _keys(field.type, f"{path}.")
        else:
            yield path, Key(field.type, field.default)


KEYS: Final[Mapping[str, Key]] = types.MappingProxyType(dict(_keys(Config)))
"""Every key by its path."""

SECTIONS: Final = frozenset(path.rpartition(".")[0] for path in KEYS) - {""}

VARIABLES: Final[Mapping[str, str]] = types.MappingProxyType(
    {PREFIX + path.upper().replace(".", "_").replace("-", "_"): path for path in KEYS}
)
"""The path of each key by its name in the environment."""


def from_tree(tree: Tree, lines: Mapping[str, int], file: str) -> dict[str, Setting]:
    """Return what a file sets, by path. `lines` gives the line of each path in `file`.

    Raises:
        UsageError: A key is unknown, or a value has the wrong type.
    """
    settings: dict[str, Setting] = {}
    _collect(tree, "", lines, file, settings)
    for path, setting in settings.items():
        check(path, setting)
    return settings


def from_environment(environ: Mapping[str, str]) -> dict[str, Setting]:
    """Return what the environment sets, by path.

    Raises:
        UsageError: A variable begins with `PRIVYSEAL_` and names no key, or its value does not fit.
    """
    settings: dict[str, Setting] = {}
    for name, text in environ.items():
        if not name.startswith(PREFIX):
            continue
        if name not in VARIABLES:
            raise UsageError(
                f"unknown environment variable {name!r}{_near(name, VARIABLES)}",
                hint="remove it: variables that begin with PRIVYSEAL_ are settings",
            )
        path = VARIABLES[name]
        settings[path] = Setting(_from_text(path, text), f"environment variable {name}")
        check(path, settings[path])
    return settings


def build(*layers: Mapping[str, Setting]) -> Config:
    """Return the configuration from layers of checked settings; later ones win."""
    sections: dict[str, dict[str, object]] = {}
    for layer in layers:
        for path, setting in layer.items():
            section, _, name = path.rpartition(".")
            sections.setdefault(section, {})[name] = setting.value
    top = sections.pop("", {})
    return msgspec.convert({**top, **sections}, Config)


def check(path: str, setting: Setting) -> None:
    """Refuse a value that its key cannot hold.

    Raises:
        UsageError: It says the key, what it wants, what it got, and where.
    """
    try:
        msgspec.convert(setting.value, KEYS[path].type)
    except msgspec.ValidationError as error:
        raise UsageError(
            f"`{path}` wants {describe(KEYS[path].type)}, not {_shown(setting.value)}: "
            f"{setting.origin}"
        ) from error


def describe(kind: object) -> str:
    """Return what a key may hold, in a person's words."""
    if get_origin(kind) is Literal:
        return "one of " + ", ".join(map(str, get_args(kind)))
    if get_origin(kind) is Annotated:
        plain, *metas = get_args(kind)
        for meta in metas:
            if isinstance(meta, msgspec.Meta) and meta.description:
                return meta.description
        return describe(plain) + "".join(_bounds(meta) for meta in metas)
    return next(words for plain, words in _WORDS if kind is plain)


_WORDS: Final = (
    (bool, "true or false"),
    (int, "a whole number"),
    (float, "a number"),
    (str, "text"),
)


def _bounds(meta: object) -> str:
    if not isinstance(meta, msgspec.Meta) or meta.ge is None or meta.le is None:
        return ""
    return f" from {meta.ge} to {meta.le}"


def _shown(value: object) -> str:
    if isinstance(value, str):
        return f"the text {value!r}"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if value is None:
        return "nothing"
    if isinstance(value, Mapping):
        return "a section"
    return "a list" if isinstance(value, list) else f"`{value}`"


def _collect(
    tree: Tree, prefix: str, lines: Mapping[str, int], file: str, into: dict[str, Setting]
) -> None:
    for name, value in tree.items():
        path = f"{prefix}{name}"
        origin = f"{file}:{lines.get(path, 0)}"
        if path in KEYS:
            into[path] = Setting(value, origin)
        elif path not in SECTIONS:
            near = _near(path, [*KEYS, *SECTIONS])
            raise UsageError(f"unknown key `{path}` at {origin}{near}")
        elif isinstance(value, Mapping):
            _collect(value, f"{path}.", lines, file, into)
        elif value is not None:
            raise UsageError(f"`{path}` wants a section, not {_shown(value)}: {origin}")


def _from_text(path: str, text: str) -> object:
    kind = KEYS[path].type
    if isinstance(KEYS[path].default, tuple):
        return text.split()
    try:
        # Not strict: "30" becomes a number and "true" a truth value, for a key that wants one.
        value: object = msgspec.convert(text, kind, strict=False)
    except msgspec.ValidationError:
        return text
    return value


def _near(name: str, known: Iterable[str]) -> str:
    found = get_close_matches(name, list(known), 1, 0.6)
    return f": did you mean `{found[0]}`?" if found else ""
