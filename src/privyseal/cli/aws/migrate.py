"""`privy aws migrate`: take over the long-lived keys of aws-vault and of files with plain text."""

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from privyseal.aws.choice import StoreOptions
from privyseal.aws.leaks import Leak
from privyseal.aws.migrate import (
    Comparison,
    Step,
    StoreTarget,
    Target,
    bring,
    forget,
    survey,
)
from privyseal.cli.aws import trials, tty
from privyseal.cli.aws.direct import open_direct
from privyseal.cli.aws.door import Door, open_door
from privyseal.cli.aws.environment import outside
from privyseal.cli.aws.files import leaks, load_profiles
from privyseal.cli.aws.lines import some
from privyseal.cli.aws.options import STORE, backend, chosen
from privyseal.cli.aws.origins import CONFIG, CREDENTIALS, origins
from privyseal.cli.fetch import TIMEOUT
from privyseal.cli.report import print_json, print_table, say
from privyseal.cli.spec import JSON, Option, Spec, Values
from privyseal.errors import NotFoundError, PrivysealError, UsageError
from privyseal.model.aws import AccessKey, Keep, Network
from privyseal.model.secret import Secret
from privyseal.model.value import encode
from privyseal.runtime.clock import SystemClock
from privyseal.wire.aws.network import network
from privyseal.wire.aws.profiles import Profiles
from privyseal.wire.sanitise import fit

FROM: Final = Option(
    "--from",
    f"Where keys lie: a store of aws-vault, {CREDENTIALS!r} or {CONFIG!r}; all without it.",
    "NAME",
    many=True,
)
PROFILE: Final = Option("--profile", "Take over this key alone.", "NAME", many=True)
APPLY: Final = Option("--apply", "Do it; without this nothing is changed.")
OVERWRITE: Final = Option("--overwrite", "Replace other keys of the same name.")
DELETE: Final = Option("--delete-source", "Delete the old copies without asking.")
NO_VERIFY: Final = Option("--no-verify", "Do not ask AWS whose the keys are.")

_WIDE: Final = 1000
_PLANNED: Final = {
    "copy": "would be kept",
    "overwrite": "would replace another key",
    "already": "is kept already",
    "present": "left: another key has this name",
    "unreadable": "left",
}
_DONE: Final = {**_PLANNED, "copy": "kept", "overwrite": "replaced another key"}


@dataclass
class Record:
    """One key, and what became of it."""

    step: Step
    failure: str = ""
    deleted: bool = False

    @property
    def kept(self) -> bool:
        """Whether the target has it, so that the old copy is one too many."""
        return not self.failure and (self.step.moves or self.step.verdict == "already")


class DoorTarget:
    """What is behind a door, where AWS is asked about each key; a keeper gives none of them back."""

    def __init__(self, door: Door, profiles: Profiles, *, unverified: bool) -> None:
        self._door = door
        self._profiles = profiles
        self._unverified = unverified
        self.description = door.description

    def compare(self, name: str, key: AccessKey) -> Comparison:
        """Return whether this key, by the end of its id, or another is kept."""
        # Asked anew each time: an old copy is deleted on what this says.
        found = next((each for each in self._door.known().keys if each.name == name), None)
        if found is None:
            return "absent"
        return "same" if found.tail == key.access_key_id[-4:] else "other"

    def put(self, name: str, key: AccessKey, *, replace: bool) -> None:
        """Keep a key."""
        order = Keep(
            name=name, network=self._network(name), replace=replace, unverified=self._unverified
        )
        self._door.carry_out(order, Secret(encode(key)))

    def _network(self, name: str) -> Network:
        environment = outside(os.environ)
        return network(self._profiles.resolve(name, environment), environment)


class ProvenTarget(DoorTarget):
    """A store of the user's own behind the door: what it keeps is read back, and compared whole."""

    def __init__(
        self, door: Door, profiles: Profiles, store: StoreTarget, *, unverified: bool
    ) -> None:
        super().__init__(door, profiles, unverified=unverified)
        self._store = store

    def compare(self, name: str, key: AccessKey) -> Comparison:
        """Return whether this key or another is kept."""
        return self._store.compare(name, key)


def run(values: Values) -> int:
    """Show what there is to take over; with --apply do it, and offer to delete the old copies.

    Raises:
        NotFoundError: A key that was named lies nowhere else.
        UsageError: They shall be deleted, and a trial would have the only ones that are left.
    """
    trial = trials.forgets(backend(values, os.environ))
    if trial and values["apply"] and values["delete_source"]:
        trials.refuse_deletion()
    with open_door(values) as door:
        target = _target(values, door)
        records = [Record(step) for step in _steps(values, target)]
        if missing := {*values["profile"]} - {record.step.name for record in records}:
            raise NotFoundError(f"no key of this name lies anywhere else: {some(sorted(missing))}")
        if values["apply"]:
            for record in records:
                if record.step.moves:
                    record.failure = _failure(bring, record.step, target)
            _tell(values, records)
            kept = [record for record in records if record.kept]
            for own in _by_origin(kept if not trial else ()):
                if _unwanted(values, own):
                    for record in own:
                        record.failure = _failure(forget, record.step, target)
                        record.deleted = not record.failure
        else:
            _tell(values, records)
    _close(values, records, leaks(os.environ))
    if trial and any(record.kept for record in records):
        trials.warn("the old copies stay, and are the ones to keep")
    return 1 if any(record.failure for record in records) else 0


def _target(values: Values, door: Door) -> Target:
    profiles, unverified = load_profiles(os.environ), values["no_verify"]
    if door.description == "the keeper":
        return DoorTarget(door, profiles, unverified=unverified)
    store = StoreTarget(open_direct(chosen(values)), SystemClock())
    return ProvenTarget(door, profiles, store, unverified=unverified)


def _steps(values: Values, target: Target) -> Iterator[Step]:
    given = chosen(values)
    known = {name: given[name] for name in StoreOptions._fields if name in given}
    found = origins(values["from"], StoreOptions(**known), os.environ, SystemClock())
    others = (origin for origin in found if origin.description != target.description)
    return survey(
        others,
        target,
        lambda origin, error: say(f"cannot look into {origin.description}: {error}"),
        only=values["profile"],
        overwrite=values["overwrite"],
    )


def _failure(work: Callable[[Step, Target], None], step: Step, target: Target) -> str:
    try:
        work(step, target)
    except PrivysealError as error:
        return f"{error} (try: {error.hint})" if error.hint else str(error)
    return ""


def _by_origin(records: Iterable[Record]) -> Iterable[list[Record]]:
    found: dict[int, list[Record]] = {}
    for record in records:
        found.setdefault(id(record.step.origin), []).append(record)
    return found.values()


def _unwanted(values: Values, own: list[Record]) -> bool:
    if values["delete_source"]:
        return True
    where, names = own[0].step.origin.description, ", ".join(record.step.name for record in own)
    question = f"Delete {fit(names, _WIDE)} from {fit(where, _WIDE)}?"
    try:
        return tty.agreed(question, hint="")
    except UsageError:
        say(f"the old copies stay in {where}: delete them with --delete-source")
        return False


def _tell(values: Values, records: list[Record]) -> None:
    if values["json"]:
        return
    words = _DONE if values["apply"] else _PLANNED
    rows = []
    for record in records:
        step = record.step
        what = "failed, see below" if record.failure else words[step.verdict]
        what += f": {step.why}" if step.verdict == "unreadable" else ""
        rows.append(
            (step.name, f"…{step.tail}" if step.tail else "-", step.origin.description, what)
        )
    if rows:
        print_table(("NAME", "KEY", "FROM", "WHAT"), rows, (40, 8, 60, 200))
    else:
        print("no long-lived key lies anywhere else")


def _close(values: Values, records: list[Record], found: list[Leak]) -> None:
    if values["json"]:
        print_json(
            {
                "applied": values["apply"],
                "keys": [_public(record) for record in records],
                "plaintext": [leak._asdict() for leak in found],
            }
        )
        return
    for record in records:
        if record.deleted:
            print(f"deleted {record.step.name} from {record.step.origin.description}")
        elif record.failure:
            say(f"{fit(record.step.name, _WIDE)}: {fit(record.failure, _WIDE)}")
    if found:
        print("\nIn plain text, for every program of yours to read:")
    for leak in found:
        print(f"  {fit(leak.path, _WIDE)}: {fit(leak.what, _WIDE)}\n    {leak.advice}")
    if not values["apply"] and any(record.step.moves for record in records):
        print("\nNothing was changed: add --apply to do it.")


def _public(record: Record) -> dict[str, object]:
    step = record.step
    return {
        "name": step.name,
        "tail": step.tail,
        "from": step.origin.description,
        "verdict": step.verdict,
        "why": step.why,
        "failure": record.failure,
        "deleted": record.deleted,
    }


SPEC: Final = Spec(
    "Take over what aws-vault and plain files keep.",
    run,
    (FROM, PROFILE, APPLY, OVERWRITE, DELETE, NO_VERIFY, JSON, TIMEOUT, *STORE),
    details=(
        "Shows what would be done, and which secrets of AWS lie about in plain text. With --apply "
        "each key is kept, found again, and only then is the old copy offered for deletion."
    ),
)
