"""What may lie or come in place of a document: junk, a piece of it, or one with other parts."""

import copy
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from hypothesis import strategies as st

from privyseal.errors import PrivysealError

_HALVES = st.text(st.characters(exclude_categories=()), max_size=20)
"""Text as JSON can spell it, halves of surrogate pairs included."""

_LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(min_value=10**11, max_value=10**400)
    | st.floats()
    | _HALVES
    | st.sampled_from(["0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "nan", "1e999"])
)
VALUES = st.recursive(
    _LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_HALVES, inner, max_size=3),
    max_leaves=6,
)
_DEEP = (b"[" * 5_000, b'{"a":' * 2_000)


@contextmanager
def our_errors_alone(*secrets: str) -> Iterator[None]:
    """Take an error of ours as an answer, too, if it quotes none of these."""
    said = ""
    try:
        yield
    except PrivysealError as error:
        said = f"{error} {error.hint}"
    assert not [secret for secret in secrets if secret in said]


def damaged(document: object) -> st.SearchStrategy[bytes]:
    """Return texts that came from the JSON text of a document, or from nowhere."""
    whole = json.dumps(document).encode()
    places = st.integers(0, len(whole))
    return st.one_of(
        changed(document).map(lambda found: json.dumps(found).encode()),
        places.map(lambda end: whole[:end]),
        st.builds(lambda at, junk: whole[:at] + junk + whole[at:], places, st.binary(max_size=9)),
        st.binary(max_size=200),
        VALUES.map(lambda found: json.dumps(found).encode()),
        st.sampled_from(_DEEP),
    )


@st.composite
def changed(draw: st.DrawFn, document: object) -> Any:
    """Return a document of which one to three parts are missing or something else."""
    found = copy.deepcopy(document)
    for _ in range(draw(st.integers(1, 3))):
        places = list(_places(found))
        if not places:
            return draw(VALUES)
        parent, name = draw(st.sampled_from(places))
        if draw(st.booleans()):
            del parent[name]
        else:
            parent[name] = draw(VALUES)
    return found


def _places(found: Any) -> list[tuple[Any, Any]]:
    names = (
        list(found)
        if isinstance(found, dict)
        else range(len(found))
        if isinstance(found, list)
        else ()
    )
    return [each for name in names for each in ((found, name), *_places(found[name]))]
