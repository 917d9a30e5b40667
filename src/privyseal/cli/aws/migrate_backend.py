"""`privy aws migrate-backend`: copy long-lived keys from one store to another."""

import os
from collections import Counter
from typing import Final

from privyseal.aws.choice import StoreOptions
from privyseal.aws.migrate import Step, StoreOrigin, StoreTarget, Target, bring, forget, survey
from privyseal.cli.aws import trials
from privyseal.cli.aws.door import open_door
from privyseal.cli.aws.files import load_profiles
from privyseal.cli.aws.migrate import DoorTarget
from privyseal.cli.aws.options import KEEPER, STORE, chosen
from privyseal.cli.aws.origins import opened
from privyseal.cli.fetch import TIMEOUT
from privyseal.cli.report import print_json
from privyseal.cli.spec import JSON, Option, Spec, Values
from privyseal.errors import NotFoundError, PrivysealError, UsageError
from privyseal.runtime.clock import SystemClock
from privyseal.wire.sanitise import fit

FROM: Final = Option("--from", "The store that has the keys.", "NAME")
TO: Final = Option("--to", f"The store that gets them; {KEEPER!r} for the keeper.", "NAME")
PROFILE: Final = Option("--profile", "Copy this key alone.", "NAME")
DRY: Final = Option("--dry-run", "Change nothing, and say what would be done.")
OVERWRITE: Final = Option("--overwrite", "Replace keys of the same name.")
DELETE: Final = Option("--delete-source", "Delete each key once its copy was read back.")

_WIDE: Final = 1000
_COUNTED: Final = ("copied", "overwritten", "skipped", "deleted")


def run(values: Values) -> int:
    """Copy keys one by one, each read back and compared; the first failure ends it."""
    source, target = values["from"], values["to"]
    for flag, name in (("--from", source), ("--to", target)):
        if not name:
            raise UsageError(f"{flag} wants the name of a store")
    if source == target:
        raise UsageError(f"{source!r} is both the store to copy from and the one to copy to")
    if source == KEEPER:
        raise UsageError("the keeper gives no long-lived key away, so none can be copied from it")
    if trials.forgets(target):
        if values["delete_source"] and not values["dry_run"]:
            trials.refuse_deletion()
        trials.warn("keep the old copies")
    given = chosen(values)
    options = StoreOptions(**{n: given[n] for n in StoreOptions._fields if n in given})
    origin = StoreOrigin(opened(source, options, os.environ), SystemClock())
    if target == KEEPER:
        with open_door({**values, "backend": KEEPER}) as door:
            profiles = load_profiles(os.environ)
            return _copy(values, origin, DoorTarget(door, profiles, unverified=False))
    store = StoreTarget(opened(target, options, os.environ), SystemClock())
    return _copy(values, origin, store)


def _copy(values: Values, origin: StoreOrigin, target: Target) -> int:
    only = [values["profile"]] if values["profile"] else []
    counts: Counter[str] = Counter(dict.fromkeys(_COUNTED, 0))
    found = False
    for step in survey([origin], target, _missed, only=only, overwrite=values["overwrite"]):
        found = True
        done = _carried(values, step, target)
        for word in done:
            counts[word] += 1
        if not values["json"]:
            _say(values, step, done)
    if only and not found:
        raise NotFoundError(f"there is no key {only[0]!r} in {origin.description}")
    if values["json"]:
        print_json({"dry_run": values["dry_run"], **counts})
    else:
        print(", ".join(f"{word}: {counts[word]}" for word in _COUNTED))
    return 0


def _carried(values: Values, step: Step, target: Target) -> list[str]:
    if step.verdict == "unreadable":
        raise PrivysealError(f"cannot copy {step.name!r}: {step.why}")
    done = ["skipped"]
    if step.moves:
        done = ["overwritten" if step.verdict == "overwrite" else "copied"]
    if not values["dry_run"] and step.moves:
        bring(step, target)
    if values["delete_source"] and step.moves:
        done.append("deleted")
        if not values["dry_run"]:
            forget(step, target)
    return done


def _say(values: Values, step: Step, done: list[str]) -> None:
    would = "would be " if values["dry_run"] else ""
    reason = {"already": " (the same key is there)", "present": " (another key is there)"}
    what = " and ".join(done) + reason.get(step.verdict, "")
    print(f"{fit(step.name, _WIDE)}: {would}{what}")


def _missed(_: object, error: PrivysealError) -> None:
    raise error


SPEC: Final = Spec(
    "Copy keys from one store to another.",
    run,
    (FROM, TO, PROFILE, DRY, OVERWRITE, DELETE, JSON, TIMEOUT, *STORE),
)
