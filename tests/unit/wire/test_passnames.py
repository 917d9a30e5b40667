from hypothesis import given, strategies as st

from privyseal.wire import passnames

texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=60)


@given(texts | st.sampled_from(["..", ".", "", "%", "%41", ".git", "-x", "a/b", " ", "x" * 999]))
def test_a_label_is_one_component_of_a_path_and_comes_back(label: str) -> None:
    name = passnames.escape(label)
    assert passnames.unescape(name) == label
    for made in (name, passnames.fit(label)):
        assert made
        assert "/" not in made
        assert "\0" not in made
        assert made[0] not in ".-~ "
    assert len(passnames.fit(label).encode()) <= passnames.MAX_NAME


@given(texts, texts)
def test_two_paths_never_share_an_identifier(one: str, other: str) -> None:
    first, second = passnames.identifier(one), passnames.identifier(other)
    assert (first == second) == (one == other)
    assert len(first) <= 255
    assert first.isascii()
    assert first.replace("_", "").isalnum() or not one
