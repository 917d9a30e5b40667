"""Reads one YAML file: its value, and the line of every key.

Only mappings with text keys, sequences and plain scalars are understood; anchors, tags and doubled
keys are refused. The trusted processes do not load this module (`privyseal.runtime.settings`).
"""

import os
import stat
from pathlib import Path
from typing import Final, NamedTuple

from ruamel.yaml import YAML
from ruamel.yaml.constructor import SafeConstructor
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from privyseal.errors import UsageError

LONGEST: Final = 256 * 1024
DEEPEST: Final = 16

_SCALARS: Final = frozenset(
    f"tag:yaml.org,2002:{name}" for name in ("str", "int", "float", "bool", "null")
)


class _RefusedError(Exception):
    def __init__(self, text: str, line: int = 0) -> None:
        super().__init__(text)
        self.line = line


class Document(NamedTuple):
    """What a file holds. `lines` counts from 1, by the path of the key: `timing.pending`."""

    value: dict[str, object]
    lines: dict[str, int]


def read(path: Path) -> Document:
    """Return what a file holds.

    Raises:
        UsageError: It cannot be read, or is not the YAML described above.
    """
    try:
        return _read(path)
    except _RefusedError as error:
        place = f"{path}:{error.line}" if error.line else str(path)
        raise UsageError(f"{error}: {place}") from error


def _read(path: Path) -> Document:
    yaml = YAML(typ="safe", pure=True)
    try:
        root = yaml.compose(_content(path))
    except MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 0
        raise _RefusedError(str(error.problem or "the YAML is malformed"), line) from error
    except (YAMLError, ValueError) as error:
        raise _RefusedError(str(error).partition("\n")[0]) from error
    except RecursionError as error:
        raise _RefusedError("the YAML is nested too deeply") from error
    reader = _Reader(yaml.constructor)
    value = {} if root is None else reader.value(root, "", 0)
    if not isinstance(value, dict):
        raise _RefusedError("the file is no mapping of keys to values", 1)
    return Document(value, reader.lines)


def _content(path: Path) -> str:
    try:
        # O_NONBLOCK: a FIFO in the place of the file must not make the keeper wait.
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with os.fdopen(fd, "rb") as file:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                raise _RefusedError("this is no regular file")
            data = file.read(LONGEST + 1)
    except OSError as error:
        raise _RefusedError((error.strerror or "it cannot be read").lower()) from error
    if len(data) > LONGEST:
        raise _RefusedError(f"the file is longer than {LONGEST} bytes")
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise _RefusedError("the file is not UTF-8", line) from error


class _Reader:
    """Turns nodes into values and notes the line of every key."""

    def __init__(self, constructor: SafeConstructor) -> None:
        self._constructor = constructor
        self._seen: set[int] = set()
        self.lines: dict[str, int] = {}

    def value(self, node: Node, path: str, depth: int) -> object:
        line = node.start_mark.line + 1
        if node.anchor is not None or id(node) in self._seen:
            raise _RefusedError("anchors and aliases are not understood here", line)
        if depth > DEEPEST:
            raise _RefusedError("the YAML is nested too deeply", line)
        self._seen.add(id(node))
        if isinstance(node, MappingNode):
            return self._mapping(node, path, depth)
        if isinstance(node, SequenceNode):
            return [self.value(below, path, depth + 1) for below in node.value]
        return self._scalar(node, line)

    def _mapping(self, node: MappingNode, path: str, depth: int) -> dict[str, object]:
        found: dict[str, object] = {}
        for key, below in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, ScalarNode):
                raise _RefusedError("a key has to be text", line)
            name = f"{path}.{key.value}" if path else str(key.value)
            if key.value in found:
                raise _RefusedError(f"the key `{name}` stands twice", line)
            self.lines[name] = line
            found[str(key.value)] = self.value(below, name, depth + 1)
        return found

    def _scalar(self, node: Node, line: int) -> object:
        if str(node.tag) not in _SCALARS:
            return str(node.value)  # a date, say: the key it stands at wants something else anyway
        try:
            value = self._constructor.construct_object(node)
        except (YAMLError, ValueError, OverflowError) as error:
            raise _RefusedError(f"{node.value!r} cannot be read", line) from error
        # Infinity and NaN have no JSON.
        return value if not isinstance(value, float) or abs(value) < float("inf") else str(value)
