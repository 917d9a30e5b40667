"""What each of our programs loads, seen from a fresh interpreter."""

import ast
import io
import subprocess
import sys
import tokenize
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Final

SOURCE: Final = Path(__file__).parents[2] / "src" / "privyseal"

TRUSTED: Final = ("privyseal.keeper.__main__", "privyseal.console.__main__", "privyseal.witness")
"""The programs that see secrets, decide, or run as root: the trusted base is what they load."""

OWN_SESSION: Final = "privyseal.keeper.backends.choice"
"""The way to the stores of own-session mode; a keeper in companion mode never goes it."""

BUDGET: Final = 8_250
"""Most code lines of ours in the trusted base; raising it takes a page in docs/decisions."""

_BUS: Final = frozenset({"dbus_fast"})
_VALUES: Final = frozenset({"msgspec", "typing_extensions"})  # msgspec loads it where it is there
_CRYPTO: Final = frozenset({"cryptography", "_cffi_backend", "cffi"})  # cffi calls into OpenSSL

ALLOWED: Final[dict[str, frozenset[str]]] = {
    "privyseal.keeper.__main__": _BUS | _VALUES | _CRYPTO,
    "privyseal.console.__main__": _BUS | _VALUES,
    "privyseal.witness": frozenset(),
    "privyseal.provider.__main__": _BUS | _VALUES | _CRYPTO,
    "privyseal.provider.pinentry": _BUS | _VALUES,
    "privyseal.agent.__main__": _BUS | _VALUES | _CRYPTO,
    "privyseal.aws.__main__": _VALUES | {"h11"},  # and botocore, for a call to AWS
    "privyseal.cli.main": frozenset(),
    "privyseal.cli.list_": frozenset(),
    "privyseal.cli.get": frozenset(),
    "privyseal.cli.aws.exec": frozenset(),
    "privyseal.cli.aws.credential_process": frozenset(),
    "privyseal.cli.aws.status": frozenset(),
}
"""Third-party packages, by top-level module, that importing a program may load."""

SEVERAL: Final = {"privyseal.aws.__main__"}
"""Programs that share their package with others: what they come to import themselves counts."""

_SCRIPT: Final = """
import ast, importlib, pathlib, pkgutil, sys
before = set(sys.modules)
main = importlib.import_module({program!r})
if main.__name__.endswith(".__main__"):
    # A module that is imported late is loaded all the same.
    package = sys.modules[main.__package__]
    for found in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        if not {several}:
            importlib.import_module(found.name)
    read = set()
    while new := {{name for name in sys.modules if name.startswith("privyseal.")}} - read:
        read |= new
        for node in ast.walk(ast.parse("".join(
            pathlib.Path(sys.modules[name].__file__).read_text() for name in new
        ))):
            if isinstance(node, ast.ImportFrom) and node.module.startswith("privyseal."):
                importlib.import_module(node.module)
for name in set(sys.modules) - before:
    print(name, getattr(sys.modules[name], "__file__", None) or "", sep="\\t")
"""


@cache
def loaded(program: str) -> dict[str, str]:
    """Return the modules that a fresh interpreter loads for `program`, with their files.

    For a package with a main module that is every module of the package and what they import;
    for one of `SEVERAL`, every module that it can come to import.
    """
    done = subprocess.run(
        [sys.executable, "-I", "-c", _SCRIPT.format(program=program, several=program in SEVERAL)],
        check=False,
        capture_output=True,
        text=True,
        env={},  # coverage, which an environment variable starts, would load modules first
    )
    assert done.returncode == 0, done.stderr
    return dict(line.split("\t") for line in done.stdout.splitlines())


def third_party(program: str) -> set[str]:
    """Return the top-level modules that are neither ours nor Python's."""
    roots = {name.partition(".")[0] for name in loaded(program)}
    # Compiled parts of a package register modules without a file under made-up names; they
    # cannot be there without the package itself, which is judged.
    named = {
        root
        for root in roots
        if any(f and n.partition(".")[0] == root for n, f in loaded(program).items())
    }
    return named - sys.stdlib_module_names - {"privyseal"}


def trusted_files() -> list[Path]:
    """Return every file of ours in the trusted base: what companion mode may load, late or not."""
    keeper, *others = TRUSTED
    names = companion_modules(keeper)
    for program in others:
        names |= {name for name in loaded(program) if name.partition(".")[0] == "privyseal"}
    return sorted(file for file in map(_file, names) if file is not None)


def companion_modules(program: str) -> set[str]:
    """Return the modules of ours that `program` can come to import without `OWN_SESSION`."""
    found: set[str] = set()
    left = {program}
    while left:
        name = left.pop()
        file = _file(name)
        if file is None or name in found or name == OWN_SESSION:
            continue
        found.add(name)
        left.add(name.rpartition(".")[0])
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module:
                left |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def _file(name: str) -> Path | None:
    root, *parts = name.split(".")
    place = SOURCE.joinpath(*parts)
    for file in (place.with_suffix(".py") if parts else SOURCE, place / "__init__.py"):
        if root == "privyseal" and file.is_file():
            return file
    return None


def code_lines(text: str) -> int:
    """Count the lines that hold code: no blank lines, no comments, no docstrings."""
    strings = {line for node in _docstrings(ast.parse(text)) for line in _span(node)}
    skipped = {
        tokenize.COMMENT,
        tokenize.NL,
        tokenize.NEWLINE,
        tokenize.INDENT,
        tokenize.DEDENT,
        tokenize.ENDMARKER,
    }
    held: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in skipped:
            held.update(range(token.start[0], token.end[0] + 1))
    return len(held - strings)


def _docstrings(tree: ast.Module) -> Iterable[ast.Expr]:
    """Yield every string that stands alone as a statement: docstrings, also those of constants."""
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Expr)
            and isinstance(node.value, ast.Constant)
            and isinstance(node.value.value, str)
        ):
            yield node


def _span(node: ast.Expr) -> range:
    return range(node.lineno, (node.end_lineno or node.lineno) + 1)
