"""Prints what the trusted base consists of; `make test` ends with it."""

from tests.architecture.programs import (
    ALLOWED,
    BUDGET,
    SOURCE,
    TRUSTED,
    code_lines,
    loaded,
    third_party,
    trusted_files,
)


def main() -> None:
    """Print the closure of every program, then the budget with its largest parts."""
    for program in ALLOWED:
        ours = sum(name.startswith("privyseal") for name in loaded(program))
        others = ", ".join(sorted(third_party(program))) or "nothing but Python"
        print(f"closure   {program}: {ours} modules of ours; {others}")
    sizes = {path: path.read_text() for path in trusted_files()}
    code = sum(map(code_lines, sizes.values()))
    physical = sum(text.count("\n") for text in sizes.values())
    print(f"budget    {code} of {BUDGET} code lines ({physical} in all, {len(sizes)} files)")
    largest = sorted(sizes, key=lambda path: -code_lines(sizes[path]))[:5]
    parts = ", ".join(f"{path.relative_to(SOURCE)} {code_lines(sizes[path])}" for path in largest)
    print(f"          largest: {parts}")
    packages = sorted(set().union(*map(third_party, TRUSTED)))
    print(f"trusted   third-party: {', '.join(packages)}")


if __name__ == "__main__":
    main()
