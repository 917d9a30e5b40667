"""How a secret is named on the command line.

    item:COLLECTION/ID                  exactly one item, as `privy` prints it
    name=value[,name=value...]          the item that has these attributes
    COLLECTION/LABEL                    the item with this label in a collection (or under an alias)
    LABEL                               the item with this label

A backslash before `,`, `=`, `/` or a backslash makes it an ordinary character.
"""

from __future__ import annotations

from privyseal.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

FORMS: Final = "name it as attribute=value, collection/label, a label or item:COLLECTION/ID"

_SPECIAL: Final = ",=/\\"


class Ref:
    """A parsed name. Exactly one of `item`, `attributes` and `label` is given.

    `collection` is empty when the label may be anywhere; `whole` is the text of a
    collection/label pair taken as one label, for labels that hold a slash.
    """

    __slots__ = ("attributes", "collection", "item", "label", "text", "whole")

    def __init__(
        self,
        text: str,
        *,
        item: str = "",
        attributes: tuple[tuple[str, str], ...] = (),
        collection: str = "",
        label: str = "",
        whole: str = "",
    ) -> None:
        self.text = text
        self.item = item
        self.attributes = attributes
        self.collection = collection
        self.label = label
        self.whole = whole


def parse(text: str) -> Ref:
    """Return what `text` names.

    Raises:
        UsageError: It has none of the forms.
    """
    if not text or "\0" in text or not _is_utf8(text):
        raise UsageError(f"{text!r} names no secret", hint=FORMS)
    if text.startswith("item:"):
        collection, slash, item = text.removeprefix("item:").partition("/")
        if not slash or not collection or not item or "/" in item:
            raise UsageError(f"{text!r} names no item", hint="write item:COLLECTION/ID")
        return Ref(text, collection=collection, item=item)
    if len(_split(text, "=")) > 1:
        return Ref(text, attributes=_attributes(text))
    collection, *rest = _split(text, "/")
    if not rest:
        return Ref(text, label=_plain(text))
    label = "/".join(rest)
    if not collection or not label:
        return Ref(text, label=_plain(text))
    return Ref(text, collection=_plain(collection), label=_plain(label), whole=_plain(text))


def escape(text: str) -> str:
    """Return `text` so that it stands for itself inside a name."""
    return "".join(f"\\{c}" if c in _SPECIAL else c for c in text)


def _attributes(text: str) -> tuple[tuple[str, str], ...]:
    pairs: dict[str, str] = {}
    for part in _split(text, ","):
        name, *values = _split(part, "=")
        if not values or not name:
            raise UsageError(f"{part!r} is no attribute=value: {text!r}", hint=FORMS)
        if _plain(name) in pairs:
            raise UsageError(f"the attribute {_plain(name)!r} stands twice: {text!r}")
        pairs[_plain(name)] = _plain("=".join(values))
    return tuple(pairs.items())


def _split(text: str, mark: str) -> list[str]:
    """Split at every `mark` that has no backslash before it; escapes stay."""
    parts, start, position = [], 0, 0
    while position < len(text):
        if text[position] == "\\":
            position += 1
        elif text[position] == mark:
            parts.append(text[start:position])
            start = position + 1
        position += 1
    return [*parts, text[start:]]


def _plain(text: str) -> str:
    out, position = [], 0
    while position < len(text):
        if text[position] == "\\" and text[position + 1 : position + 2] in (*_SPECIAL,):
            position += 1
        out.append(text[position])
        position += 1
    return "".join(out)


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
