"""Takes long-lived keys from where they lie into a store, one at a time, and proves each by reading it.

An origin is never changed before its key has been found again in the target; and when what is
taken out of an origin is missing from the target too, the two are one, and it is put back.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import Literal, NamedTuple, Protocol

from privyseal.aws import items, keys
from privyseal.aws.ports import KeyStore
from privyseal.errors import ConflictError, CorruptError, NotFoundError, PrivysealError
from privyseal.model.aws import AccessKey, Credentials, Keep, Network
from privyseal.model.clock import Clock
from privyseal.model.secret import Secret
from privyseal.model.value import encode

Comparison = Literal["absent", "same", "other"]
Verdict = Literal["copy", "overwrite", "already", "present", "unreadable"]
"""What is to be done with a key: it is there "already", or another of its name is "present"."""


class Origin(Protocol):
    """A place that keys are taken from."""

    @property
    def description(self) -> str:
        """Name the place in a person's words."""
        ...

    def names(self) -> Sequence[str]:
        """Return the names of the long-lived keys there."""
        ...

    def read(self, name: str) -> AccessKey:
        """Return one key.

        Raises:
            CorruptError: It is none.
        """
        ...

    def remove(self, name: str) -> None:
        """Forget one key."""
        ...

    def restore(self, name: str, key: AccessKey) -> None:
        """Put back a key that was removed."""
        ...


class Target(Protocol):
    """A place that keys are brought to."""

    @property
    def description(self) -> str:
        """Name the place in a person's words."""
        ...

    def compare(self, name: str, key: AccessKey) -> Comparison:
        """Return whether this key, or another, is kept under a name."""
        ...

    def put(self, name: str, key: AccessKey, *, replace: bool) -> None:
        """Keep a key.

        Raises:
            PrivysealError: It is not kept.
        """
        ...


class Step(NamedTuple):
    """One key of one origin, and what is to be done with it; `why` when it cannot be done."""

    name: str
    origin: Origin
    verdict: Verdict
    key: AccessKey | None = None
    why: str = ""

    @property
    def tail(self) -> str:
        """The last four characters of the key's id, "" when it cannot be read."""
        return self.key.access_key_id[-4:] if self.key else ""

    @property
    def moves(self) -> bool:
        """Whether something is to be written for it."""
        return self.verdict in {"copy", "overwrite"}


class StoreOrigin:
    """The long-lived keys of a store."""

    def __init__(self, store: KeyStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self.description = store.description

    def names(self) -> Sequence[str]:
        """Return the names of the keys, and of nothing else in the store."""
        return sorted(key for key in self._store.entries() if items.classify(key) == "credential")

    def read(self, name: str) -> AccessKey:
        """Return one key."""
        return items.decode_access_key(self._store.read(name).value.expose())

    def remove(self, name: str) -> None:
        """Forget one key."""
        self._store.remove(name)

    def restore(self, name: str, key: AccessKey) -> None:
        """Put back a key that was removed."""
        self._store.write(items.key_item(name, key, added=self._clock.wall()))


class StoreTarget:
    """A store that keys are written into as they are: AWS is not asked about them."""

    def __init__(self, store: KeyStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self.description = store.description

    def compare(self, name: str, key: AccessKey) -> Comparison:
        """Return whether this key, or another, is kept; reads it."""
        try:
            found = items.decode_access_key(self._store.read(name).value.expose())
        except NotFoundError:
            return "absent"
        except CorruptError:
            return "other"
        return "same" if same(found, key) else "other"

    def put(self, name: str, key: AccessKey, *, replace: bool) -> None:
        """Keep a key, and end what was made from the one before."""
        order = Keep(name=name, replace=replace, unverified=True)
        keys.keep(order, Secret(encode(key)), self._store, _nobody, self._clock)


def same(one: AccessKey, other: AccessKey) -> bool:
    """Return whether two keys are one, whatever else is known of them."""
    secrets = (Secret(each.secret_access_key.encode()) for each in (one, other))
    return one.access_key_id == other.access_key_id and next(secrets) == next(secrets)


def survey(
    origins: Iterable[Origin],
    target: Target,
    missed: Callable[[Origin, PrivysealError], None],
    *,
    only: Collection[str] = (),
    overwrite: bool = False,
) -> Iterator[Step]:
    """Yield what there is to do, changing nothing; `only` are names, none of them for all.

    Of keys with one name in several origins the first is brought over. `missed` is told of an
    origin that cannot be looked into.
    """
    planned: dict[str, AccessKey] = {}
    for origin in origins:
        try:
            names = origin.names()
        except PrivysealError as error:
            missed(origin, error)
            continue
        for name in names:
            if not only or name in only:
                yield _step(origin, name, target, planned, overwrite=overwrite)


def bring(step: Step, target: Target) -> None:
    """Keep the key of a step in the target, and find it again there.

    Raises:
        CorruptError: What is found there is not what was kept.
        PrivysealError: It could not be kept; the origin is as it was.
    """
    key = _needed(step)
    target.put(step.name, key, replace=step.verdict == "overwrite")
    if target.compare(step.name, key) != "same":
        raise CorruptError(f"{step.name!r} does not come back from {target.description} as it was")


def forget(step: Step, target: Target) -> None:
    """Take the key of a step out of its origin, which the target must outlast.

    Raises:
        ConflictError: The target does not have it, or no longer: origin and target are one store.
    """
    key = _needed(step)
    if target.compare(step.name, key) != "same":
        raise ConflictError(f"{target.description} does not have {step.name!r}: it stays")
    step.origin.remove(step.name)
    try:
        if target.compare(step.name, key) == "same":
            return
    except PrivysealError:
        step.origin.restore(step.name, key)
        raise
    step.origin.restore(step.name, key)
    raise ConflictError(
        f"{step.origin.description} and {target.description} are one store: nothing was deleted"
    )


def _step(
    origin: Origin, name: str, target: Target, planned: dict[str, AccessKey], *, overwrite: bool
) -> Step:
    try:
        key = origin.read(name)
        keys.checked_name(name)
        keys.check_shape(key, strict=False)
    except PrivysealError as error:
        return Step(name, origin, "unreadable", why=str(error))
    there: Comparison
    if name in planned:
        there = "same" if same(planned[name], key) else "other"
        overwrite = False
    else:
        there = target.compare(name, key)
    if there == "same":
        return Step(name, origin, "already", key)
    if there == "other" and not overwrite:
        return Step(name, origin, "present", key, "another key has this name")
    planned[name] = key
    return Step(name, origin, "overwrite" if there == "other" else "copy", key)


def _needed(step: Step) -> AccessKey:
    if step.key is None:
        raise ConflictError(f"{step.name!r} cannot be read: {step.why}")
    return step.key


def _nobody(network: Network, credentials: Credentials) -> tuple[str, str]:
    del network, credentials
    raise ConflictError("AWS is not to be asked about a key that is copied")
