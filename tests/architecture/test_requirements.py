"""The pinned packages: complete, hashed, without addresses, and what pyproject.toml asks for."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "requirements").glob("*.txt"))


def _pins(path: Path) -> dict[str, tuple[str, int]]:
    """Return name, version and number of hashes of every requirement in a file."""
    joined = path.read_text().replace("\\\n", " ")
    pins: dict[str, tuple[str, int]] = {}
    for line in joined.splitlines():
        match = re.match(r"([\w.-]+)==([\w.]+)", line)
        assert match is not None, f"{path.name}: not a pinned requirement: {line[:60]!r}"
        pins[canonicalize_name(match[1])] = match[2], line.count("--hash=sha256:")
    return pins


def _wanted(name: str) -> list[Requirement]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    groups = project["dependency-groups"]
    lists = {
        "run": project["project"]["dependencies"],
        "build": groups["build"],
        "dev": [
            *project["project"]["dependencies"],
            *groups["build"],
            *(line for line in groups["dev"] if isinstance(line, str)),
        ],
    }
    return [Requirement(line) for line in lists[name]]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_pin_has_hashes_and_the_file_no_address(path: Path) -> None:
    assert all(hashes > 0 for _, hashes in _pins(path).values())
    assert "://" not in path.read_text()
    assert "index-url" not in path.read_text()


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_the_pins_fulfil_pyproject(path: Path) -> None:
    pins = _pins(path)
    for requirement in _wanted(path.stem):
        version, _ = pins[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(version), f"{requirement} but {version} is pinned"


def test_the_files_agree_on_every_version() -> None:
    versions: dict[str, set[str]] = {}
    for path in FILES:
        for name, (version, _) in _pins(path).items():
            versions.setdefault(name, set()).add(version)
    assert {name: found for name, found in versions.items() if len(found) > 1} == {}
