"""What the documents say is held against the code they speak of."""

import ast
import re
import subprocess
from importlib.metadata import version
from pathlib import Path

import pytest
from click import Command, Context, Group

from privyseal import errors
from privyseal.cli.tree import root
from privyseal.keeper.glance import VERSION
from privyseal.model.lifecycle import TRANSITIONS

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
_LINK = re.compile(r"\[[^\]]*\]\(([^)#\s]+)(?:#[^)]*)?\)")
_ADDRESS = re.compile(r"[a-z]+://|mailto:")
# Written in pieces, so that this file does not find itself.
_FOREIGN = re.compile(
    "|".join(
        [
            r"(?<![\w.-])/(?:root|Users|work|nix)/\w",
            "py" + r"pi\.org",
            "python" + "hosted",
            "registry" + r"\.npmjs",
            "proxy" + r"\.golang",
            "deb" + r"\.debian\.org",
            "archive" + r"\.ubuntu\.com",
        ]
    )
)


def _tracked() -> list[Path]:
    listed = subprocess.run(
        ["git", "-c", "safe.directory=*", "ls-files", "-z"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    return [ROOT / name for name in listed.stdout.split("\0") if name]


def _commands(command: Command, words: tuple[str, ...]) -> list[str]:
    if not isinstance(command, Group):
        return [" ".join(words)]
    context = Context(command)
    found: list[str] = []
    for name in command.list_commands(context):
        child = command.get_command(context, name)
        if child is not None and not child.hidden:
            found += _commands(child, (*words, name))
    return found


def test_the_architecture_page_draws_the_state_table() -> None:
    lines = [f"    {old} --> {new}: {event}" for (old, event), new in TRANSITIONS.items()]
    diagram = "\n".join(["stateDiagram-v2", *lines])
    assert f"```mermaid\n{diagram}\n```" in (ROOT / "ARCHITECTURE.md").read_text()


def test_every_error_stands_in_the_guide_with_its_exit_status() -> None:
    classes = [
        cls
        for cls in vars(errors).values()
        if isinstance(cls, type) and issubclass(cls, errors.PrivysealError)
    ]
    page = (ROOT / "docs" / "guide" / "errors.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \| (\d) \| `([\w.]+)` \|", page, re.MULTILINE)

    assert sorted(rows) == sorted(
        (cls.__name__, str(cls.exit_status), cls.bus_name) for cls in classes
    )


def test_every_command_has_a_line_in_the_guide() -> None:
    guide = "\n".join(page.read_text() for page in (ROOT / "docs" / "guide").glob("*.md"))
    missing = [name for name in _commands(root, ("privy",)) if f"`{name}" not in guide]
    assert missing == []


def test_every_command_for_aws_stands_in_the_list_of_commands() -> None:
    page = (ROOT / "docs" / "guide" / "commands.md").read_text()
    names = [name for name in _commands(root, ("privy",)) if name.startswith("privy aws ")]
    assert [name for name in names if f"| `{name}` |" not in page] == []


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 150


@pytest.mark.parametrize("page", DOCUMENTS, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_relative_link_resolves(page: Path) -> None:
    links = [link for link in _LINK.findall(page.read_text()) if not _ADDRESS.match(link)]
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_no_tracked_file_names_a_machine_or_a_registry() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()[:100]}"
        for path in _tracked()
        if path.is_file() and path.suffix not in {".png", ".bin"}
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1)
        if _FOREIGN.search(line)
    ]
    assert found == []


def test_the_keeper_says_the_version_of_the_package() -> None:
    assert version("privyseal") == VERSION


def test_every_check_that_the_threat_model_names_is_there() -> None:
    checks = {
        node.name.replace("_", "-")
        for module in (ROOT / "tests" / "vm").glob("checks_*.py")
        for node in ast.parse(module.read_text()).body
        if isinstance(node, ast.FunctionDef) and node.decorator_list
    }
    table = (ROOT / "docs" / "threat-model.md").read_text().partition("| attack |")[2]
    named = [
        word
        for line in table.splitlines()[2:]
        for word in re.findall(r"`([^`]+)`", line.rsplit("|", 2)[1])
    ]
    assert [word for word in named if word not in checks and not (ROOT / word).exists()] == []
    assert len(checks & {*named}) > 30
