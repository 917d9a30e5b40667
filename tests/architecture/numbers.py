"""Prints what the trusted base consists of; `make test` ends with it."""

from collections import Counter

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
    sizes = {path.relative_to(SOURCE): path.read_text() for path in trusted_files()}
    physical = sum(text.count("\n") for text in sizes.values())
    parts: Counter[str] = Counter()
    for path, text in sizes.items():
        parts[path.parts[0]] += code_lines(text)
    print(
        f"budget    {parts.total()} of {BUDGET} code lines ({physical} in all, {len(sizes)} files)"
    )
    print(
        "          " + ", ".join(f"{part} {lines}" for part, lines in parts.most_common() if lines)
    )
    largest = sorted(((code_lines(text), str(path)) for path, text in sizes.items()), reverse=True)
    print("          largest: " + ", ".join(f"{path} {lines}" for lines, path in largest[:5]))
    packages = sorted(set().union(*map(third_party, TRUSTED)))
    print(f"trusted   third-party: {', '.join(packages)}")


if __name__ == "__main__":
    main()
