"""The page on AWS profiles names everything that counts in a configuration."""

from pathlib import Path

from privyseal.wire.aws import vocabulary

PAGE = Path(__file__).parents[2] / "docs" / "guide" / "aws-config.md"


def test_every_key_and_variable_that_counts_stands_in_the_guide() -> None:
    page = PAGE.read_text()
    variables = [*vocabulary.VARIABLES.values(), *vocabulary.TARGET_VARIABLES.values()]
    names = {*vocabulary.HONOURED, *vocabulary.SESSION_KEYS, *(v for vs in variables for v in vs)}
    assert [name for name in sorted(names) if f"`{name}`" not in page] == []
