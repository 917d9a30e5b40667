from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.integration.cli.aws.desk import Desk, desk


@pytest.fixture(name="desk")
def a_desk(tmp_path: Path) -> Iterator[Desk]:
    with desk(tmp_path) as found:
        yield found
