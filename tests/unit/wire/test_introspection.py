"""The interface table and the XML made from it."""

from xml.etree import ElementTree as ET

import pytest
from dbus_fast.signature import SignatureTree

from privyseal.wire.introspection import TABLE, introspect
from privyseal.wire.secretservice import INTERFACES, SERVICE


def _shapes(node: ET.Element) -> dict[str, dict[str, tuple[str, str]]]:
    """Read back what the XML says: for each interface its methods' signatures."""
    return {
        interface.get("name", ""): {
            method.get("name", ""): (
                "".join(a.get("type", "") for a in method if a.get("direction") == "in"),
                "".join(a.get("type", "") for a in method if a.get("direction") == "out"),
            )
            for method in interface.findall("method")
        }
        for interface in node.findall("interface")
    }


@pytest.mark.parametrize("kind", list(INTERFACES))
def test_the_xml_says_what_the_table_says(kind: str) -> None:
    names = INTERFACES[kind]  # type: ignore[index]  # the parameter is one of its keys
    node = ET.fromstring(introspect(names, ["child"]))  # noqa: S314 - our own text

    shapes = _shapes(node)

    assert [child.get("name") for child in node.findall("node")] == ["child"]
    assert set(names) < set(shapes)
    for name, methods in shapes.items():
        table = {m: shape.signatures() for m, shape in TABLE[name].methods.items()}
        assert methods == table


def test_the_service_has_the_signatures_of_the_specification() -> None:
    signatures = {name: shape.signatures() for name, shape in TABLE[SERVICE].methods.items()}
    assert signatures["OpenSession"] == ("sv", "vo")
    assert signatures["CreateCollection"] == ("a{sv}s", "oo")
    assert signatures["SearchItems"] == ("a{ss}", "aoao")
    assert signatures["Unlock"] == signatures["Lock"] == ("ao", "aoo")
    assert signatures["GetSecrets"] == ("aoo", "a{o(oayays)}")
    assert signatures["ReadAlias"] == ("s", "o")
    assert signatures["SetAlias"] == ("so", "")


def test_every_signature_is_well_formed() -> None:
    for interface in TABLE.values():
        for method in interface.methods.values():
            for signature in method.signatures():
                assert SignatureTree(signature).signature == signature
        for prop in interface.properties.values():
            assert len(SignatureTree(prop.signature).types) == 1
