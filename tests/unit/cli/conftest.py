"""What several tests of commands start from."""

from pathlib import Path

import pytest
from tests.unit.cli.graded import Machine


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)
