"""The interfaces of the Secret Service as data: signatures, properties, signals and their XML.

One table for everything: the face builds its dispatch table from it, the properties are checked
against it, and the introspection XML is written from it, so the three cannot disagree.
"""

from collections.abc import Iterable
from typing import Final, Literal
from xml.sax.saxutils import quoteattr

import msgspec

from privyseal.model.value import Value
from privyseal.wire.secretservice import (
    COLLECTION,
    INTERNAL,
    INTROSPECTABLE,
    ITEM,
    PEER,
    PORTAL,
    PORTAL_REQUEST,
    PROMPT,
    PROPERTIES,
    SECRET,
    SERVICE,
    SESSION,
)

Access = Literal["read", "readwrite"]
Arguments = tuple[tuple[str, str], ...]


class MethodShape(Value, frozen=True):
    """Arguments in and out, each a name and a single complete type."""

    takes: Arguments = ()
    gives: Arguments = ()

    def signatures(self) -> tuple[str, str]:
        """Return the whole signatures in and out."""
        return "".join(s for _, s in self.takes), "".join(s for _, s in self.gives)


class PropertyShape(Value, frozen=True):
    """A property's type and whether clients may set it."""

    signature: str
    access: Access = "read"


class Interface(Value, frozen=True):
    """Everything one interface has."""

    methods: dict[str, MethodShape]
    properties: dict[str, PropertyShape] = msgspec.field(default_factory=dict)
    signals: dict[str, Arguments] = msgspec.field(default_factory=dict)


def _method(takes: Arguments = (), gives: Arguments = ()) -> MethodShape:
    return MethodShape(takes=takes, gives=gives)


_PROMPT_OUT: Final = (("prompt", "o"),)
_STAMPS: Final = {"Created": PropertyShape(signature="t"), "Modified": PropertyShape(signature="t")}
_LOCKED: Final = PropertyShape(signature="b")
_LABEL: Final = PropertyShape(signature="s", access="readwrite")
_ATTRIBUTES: Final = (("attributes", "a{ss}"),)

TABLE: Final[dict[str, Interface]] = {
    SERVICE: Interface(
        methods={
            "OpenSession": _method(
                (("algorithm", "s"), ("input", "v")), (("output", "v"), ("result", "o"))
            ),
            "CreateCollection": _method(
                (("properties", "a{sv}"), ("alias", "s")), (("collection", "o"), ("prompt", "o"))
            ),
            "SearchItems": _method(_ATTRIBUTES, (("unlocked", "ao"), ("locked", "ao"))),
            "Unlock": _method((("objects", "ao"),), (("unlocked", "ao"), ("prompt", "o"))),
            "Lock": _method((("objects", "ao"),), (("locked", "ao"), ("prompt", "o"))),
            "LockService": _method(),
            "ChangeLock": _method((("collection", "o"),), _PROMPT_OUT),
            "GetSecrets": _method(
                (("items", "ao"), ("session", "o")), (("secrets", f"a{{o{SECRET}}}"),)
            ),
            "ReadAlias": _method((("name", "s"),), (("collection", "o"),)),
            "SetAlias": _method((("name", "s"), ("collection", "o"))),
        },
        properties={"Collections": PropertyShape(signature="ao")},
        signals=dict.fromkeys(
            ("CollectionCreated", "CollectionDeleted", "CollectionChanged"), (("collection", "o"),)
        ),
    ),
    COLLECTION: Interface(
        methods={
            "Delete": _method((), _PROMPT_OUT),
            "SearchItems": _method(_ATTRIBUTES, (("results", "ao"),)),
            "CreateItem": _method(
                (("properties", "a{sv}"), ("secret", SECRET), ("replace", "b")),
                (("item", "o"), ("prompt", "o")),
            ),
        },
        properties={
            "Items": PropertyShape(signature="ao"),
            "Label": _LABEL,
            "Locked": _LOCKED,
            **_STAMPS,
        },
        signals=dict.fromkeys(("ItemCreated", "ItemDeleted", "ItemChanged"), (("item", "o"),)),
    ),
    ITEM: Interface(
        methods={
            "Delete": _method((), _PROMPT_OUT),
            "GetSecret": _method((("session", "o"),), (("secret", SECRET),)),
            "SetSecret": _method((("secret", SECRET),)),
        },
        properties={
            "Locked": _LOCKED,
            "Attributes": PropertyShape(signature="a{ss}", access="readwrite"),
            "Label": _LABEL,
            "Type": PropertyShape(signature="s"),
            **_STAMPS,
        },
    ),
    SESSION: Interface(methods={"Close": _method()}),
    PROMPT: Interface(
        methods={"Prompt": _method((("window_id", "s"),)), "Dismiss": _method()},
        signals={"Completed": (("dismissed", "b"), ("result", "v"))},
    ),
    INTERNAL: Interface(
        methods={
            "ChangeWithMasterPassword": _method(
                (("collection", "o"), ("original", SECRET), ("master", SECRET))
            ),
            "ChangeWithPrompt": _method((("collection", "o"),), _PROMPT_OUT),
            "CreateWithMasterPassword": _method(
                (("attributes", "a{sv}"), ("master", SECRET)), (("collection", "o"),)
            ),
            "UnlockWithMasterPassword": _method((("collection", "o"), ("master", SECRET))),
        }
    ),
    PORTAL: Interface(
        methods={
            "RetrieveSecret": _method(
                (("handle", "o"), ("app_id", "s"), ("fd", "h"), ("options", "a{sv}")),
                (("response", "u"), ("results", "a{sv}")),
            )
        },
        properties={"version": PropertyShape(signature="u")},
    ),
    PORTAL_REQUEST: Interface(methods={"Close": _method()}),
    PROPERTIES: Interface(
        methods={
            "Get": _method((("interface", "s"), ("property", "s")), (("value", "v"),)),
            "GetAll": _method((("interface", "s"),), (("properties", "a{sv}"),)),
            "Set": _method((("interface", "s"), ("property", "s"), ("value", "v"))),
        },
        signals={
            "PropertiesChanged": (("interface", "s"), ("changed", "a{sv}"), ("invalidated", "as"))
        },
    ),
    INTROSPECTABLE: Interface(methods={"Introspect": _method((), (("xml", "s"),))}),
    PEER: Interface(methods={"Ping": _method(), "GetMachineId": _method((), (("id", "s"),))}),
}

EVERYWHERE: Final = (PROPERTIES, INTROSPECTABLE, PEER)

_DOCTYPE: Final = (
    '<!DOCTYPE node PUBLIC "-//freedesktop//DTD D-BUS Object Introspection 1.0//EN"\n'
    ' "http://www.freedesktop.org/standards/dbus/1.0/introspect.dtd">\n'
)


def introspect(interfaces: Iterable[str], children: Iterable[str] = ()) -> str:
    """Return the introspection XML of an object with these interfaces and child nodes."""
    lines = [_DOCTYPE + "<node>"]
    for name in (*interfaces, *EVERYWHERE):
        lines += _interface(name, TABLE[name])
    lines += [f"  <node name={quoteattr(child)}/>" for child in children]
    lines.append("</node>\n")
    return "\n".join(lines)


def _interface(name: str, interface: Interface) -> Iterable[str]:
    yield f'  <interface name="{name}">'
    for method, shape in interface.methods.items():
        yield f'    <method name="{method}">'
        yield from _arguments(shape.takes, ' direction="in"')
        yield from _arguments(shape.gives, ' direction="out"')
        yield "    </method>"
    for signal, arguments in interface.signals.items():
        yield f'    <signal name="{signal}">'
        yield from _arguments(arguments, "")
        yield "    </signal>"
    for prop, kind in interface.properties.items():
        yield f'    <property name="{prop}" type="{kind.signature}" access="{kind.access}"/>'
    yield "  </interface>"


def _arguments(arguments: Arguments, direction: str) -> Iterable[str]:
    for name, signature in arguments:
        yield f'      <arg name="{name}" type="{signature}"{direction}/>'
