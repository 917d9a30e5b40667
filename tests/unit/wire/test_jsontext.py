"""The compiled half of `json` says what the whole of it says."""

import json
from contextlib import suppress

import pytest
from hypothesis import given, strategies as st

from privyseal.wire import jsontext

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(values)
def test_what_is_written_is_what_json_writes_and_is_read_back(value: object) -> None:
    text = jsontext.write(value)

    assert text == json.dumps(value)
    assert jsontext.read(f" {text}\n") == value


@given(st.text('{}[]",:\\u0eE+-.truefalsn \n\x01') | st.text())
def test_json_and_we_accept_the_same_texts(text: str) -> None:
    expected: object = ValueError
    with suppress(ValueError):
        expected = json.loads(text)
    found: object = ValueError
    with suppress(ValueError):
        found = jsontext.read(text)

    assert repr(found) == repr(expected)


@pytest.mark.parametrize("text", ["", "{", "[1,]", "nul", "{}{}", '"\n"', "01", "\ufeff{}"])
def test_what_is_no_json_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"JSON text|Expecting|Invalid control"):
        jsontext.read(text)


@pytest.mark.parametrize("value", [b"bytes", {1, 2}, object()])
def test_what_json_cannot_say_is_a_defect_of_the_caller(value: object) -> None:
    with pytest.raises(TypeError, match="no JSON value"):
        jsontext.write(value)
