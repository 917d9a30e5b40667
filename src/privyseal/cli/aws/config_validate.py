"""`privy aws config validate`: what is wrong with ~/.aws/config, line by line."""

import os
from collections.abc import Iterator, Sequence
from typing import Final

from privyseal.cli.aws.environment import outside
from privyseal.cli.aws.files import config_file, load_profiles
from privyseal.cli.aws.lines import count, some
from privyseal.cli.report import print_json, say
from privyseal.cli.spec import JSON, Spec, Values
from privyseal.wire.aws.checking import check, regionless, unsettled
from privyseal.wire.sanitise import fit

_LONGEST_LINE: Final = 500


def run(values: Values) -> int:
    """Check the file; 1 when a profile can give no credentials, 0 with mere warnings."""
    profiles = load_profiles(os.environ)
    problems = list(check(profiles))
    warnings = [
        *profiles.warnings(),
        *(
            f"profile {name!r} builds on {source!r}, which has no section: its key must be stored"
            for name, source in unsettled(profiles)
        ),
        *_of_plaintext(profiles.plaintext()),
        *_of_regions(list(regionless(profiles, outside(os.environ)))),
    ]
    if values["json"]:
        print_json(
            {
                "file": config_file(os.environ),
                "problems": [problem._asdict() for problem in problems],
                "warnings": warnings,
            }
        )
        return 1 if problems else 0
    for warning in warnings:
        print(fit(f"warning: {warning}", _LONGEST_LINE))
    for problem in problems:
        hint = f" (try: {problem.hint})" if problem.hint else ""
        print(fit(f"problem: {problem.text}{hint}", _LONGEST_LINE))
    path = config_file(os.environ)
    if not os.path.exists(path):  # noqa: PTH110 - pathlib costs 6 ms
        say(f"there is no {fit(path, _LONGEST_LINE)}, and nothing to check")
    elif not problems:
        say(f"{fit(path, _LONGEST_LINE)} is valid")
    return 1 if problems else 0


def _of_plaintext(names: Sequence[str]) -> Iterator[str]:
    if names:
        yield f"plain text in a file, see `privy aws migrate`: {count(len(names), 'key')}, of {some(names)}"


def _of_regions(names: list[str]) -> Iterator[str]:
    if names:
        yield (
            f"no region for {some(names)}: commands get none, not that of a source profile either, "
            "unless --region or AWS_REGION names it"
        )


SPEC: Final = Spec(
    "Say what is wrong with the AWS configuration.",
    run,
    (JSON,),
    details="Unknown keys and sections are named with the nearest known ones; circles of profiles, "
    "missing sections and values that AWS would refuse are problems, and give status 1.",
)
