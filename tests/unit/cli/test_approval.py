from hypothesis import given, strategies as st

from privyseal.cli.approval import screen, short_ids

names = st.lists(st.text("0123456789abcdef", min_size=8, max_size=8), unique=True, max_size=40)


@given(names)
def test_short_identifiers_name_exactly_one_request_each(ids: list[str]) -> None:
    for name, short in zip(ids, short_ids([{"id": name} for name in ids]), strict=True):
        assert [other for other in ids if other.startswith(short)] == [name]


@given(st.lists(st.text("ab"), max_size=50), st.integers(1, 60))
def test_a_screen_keeps_every_line_within_its_limit(lines: list[str], most: int) -> None:
    assert len(screen(lines, most)) <= most
    assert "\n".join(screen(lines, most)) == "\n".join(lines)
