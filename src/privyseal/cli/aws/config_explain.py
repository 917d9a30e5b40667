"""`privy aws config explain`: where each value of a profile was set, and its plan in words."""

import os
from collections.abc import Collection
from typing import Any, Final

import msgspec

from privyseal.cli.aws.authorities import remark
from privyseal.cli.aws.door import open_door
from privyseal.cli.aws.environment import outside
from privyseal.cli.aws.files import load_profiles
from privyseal.cli.aws.options import STORE
from privyseal.cli.aws.planned import flags_of
from privyseal.cli.aws.profile import chosen_profile
from privyseal.cli.aws.wishes import CALLS, DURATION, NO_SESSION, REGION, ROLE, wanted
from privyseal.cli.fetch import TIMEOUT
from privyseal.cli.report import print_json, print_table
from privyseal.cli.spec import JSON, Argument, Spec, Values
from privyseal.errors import PrivysealError
from privyseal.wire.aws.explain import Explanation, explain
from privyseal.wire.sanitise import fit

_WIDTHS: Final = (28, 60, 40)
_LONGEST_LINE: Final = 500


def run(values: Values) -> int:
    """Explain one profile; 1 when it gives no credentials."""
    name = chosen_profile(values, interactive=True)
    environment = outside(os.environ)
    keys, doubt, guarded = _keys(values)
    found = explain(
        load_profiles(environment),
        name,
        keys=keys,
        environment=environment,
        flags=flags_of(wanted(values)),
    )
    bundle = remark(found.plan.network.ca_bundle) if found.plan and guarded else ""
    warnings = (*filter(None, (doubt, bundle)), *found.warnings)
    if values["json"]:
        print_json(_as_json(name, found, warnings))
    else:
        _print(found, warnings)
    return 1 if found.problem else 0


def _keys(values: Values) -> tuple[Collection[str], str, bool]:
    """Return the names of the keys, why these are not known, and whether a keeper has them."""
    # What is wrong with the store is for `privy aws doctor` to say; the files explain themselves.
    try:
        with open_door({TIMEOUT.name: TIMEOUT.absent, **values}, wake=False) as door:
            return door.keys(), "", door.description == "the keeper"
    except PrivysealError as error:
        return (), f"which keys are stored is not known: {error}", False


def _as_json(name: str, found: Explanation, warnings: tuple[str, ...]) -> dict[str, Any]:
    return {
        "profile": name,
        "values": {
            link: {row.key: {"value": row.value, "origin": row.origin} for row in rows}
            for link, rows in found.values.items()
        },
        "plan": msgspec.to_builtins(found.plan) if found.plan else None,
        "words": list(found.words),
        "warnings": list(warnings),
        "problem": found.problem,
    }


def _print(found: Explanation, warnings: tuple[str, ...]) -> None:
    for place, (link, rows) in enumerate(found.values.items()):
        print(fit(f"{'Profile' if not place else 'It builds on'} {link!r}", _LONGEST_LINE))
        told = [(row.key, row.value, row.origin) for row in rows if row.origin != "default"]
        if told:
            print_table(("KEY", "VALUE", "SET BY"), told, _WIDTHS)
        print()
    if found.words:
        print("So credentials come about like this:")
    for number, sentence in enumerate(found.words, 1):
        print(fit(f"  {number}. {sentence}", _LONGEST_LINE))
    if found.problem:
        print(fit(f"It gives no credentials: {found.problem}", _LONGEST_LINE))
    for warning in warnings:
        print(fit(f"  note: {warning}", _LONGEST_LINE))


SPEC: Final = Spec(
    "Say where each value of a profile was set, and how its credentials come about.",
    run,
    (JSON, DURATION, NO_SESSION, REGION, *ROLE, *CALLS, *STORE),
    (Argument("profile", complete="profiles", optional=True),),
    "Nothing is asked of AWS or of a person. The options of `privy aws exec` change the answer as "
    "they would change the credentials.",
)
