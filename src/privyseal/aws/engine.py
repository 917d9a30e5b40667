"""Carries out orders: turns a plan into credentials, from the cache where that will do."""

from collections.abc import Callable
from typing import Final, assert_never

from privyseal.aws import items, sts
from privyseal.aws.cache import Cache, Stage
from privyseal.aws.known import known
from privyseal.aws.means import Means
from privyseal.aws.mfa import Codes, seed_item
from privyseal.aws.ports import Entries, KeyStore
from privyseal.aws.refusals import EndedError, UnknownKeyError
from privyseal.errors import (
    ConflictError,
    DeniedError,
    NotFoundError,
    PrivysealError,
    UsageError,
)
from privyseal.model.aws import (
    AccessKey,
    Ambient,
    Clear,
    Credentials,
    FederationStep,
    Keep,
    Known,
    Link,
    Obtain,
    Order,
    Plan,
    PortalRole,
    Process,
    Remove,
    Roles,
    RoleStep,
    Rotate,
    SessionStep,
    SignIn,
    SignOut,
    StoredKey,
    Vaulted,
    WebIdentity,
)
from privyseal.model.clock import Clock
from privyseal.model.secret import Secret
from privyseal.model.value import decode, encode

_ON_THE_WAY: Final = 60


class Engine:
    """Turns plans into credentials.

    `outside` allows sources that begin outside (a command, a file, the environment): only for an
    engine in the process of the person who asks.
    """

    def __init__(self, means: Means, *, outside: bool = False) -> None:
        self._means = means
        self._store = means.store
        self._clock = means.clock
        self._outside = outside
        self._cache = Cache(means.store, means.clock)
        self._codes = Codes(means)

    def obtain(self, plan: Plan) -> Credentials:
        """Return credentials by a plan.

        What is in the cache and about to end is fetched anew early; should that fail, it still
        serves for as long as it holds `plan.least` seconds.

        Raises:
            NotFoundError: The store has no key of that name.
            DeniedError: AWS or the person refuses, or the source is not for this process.
            PrivysealError: AWS cannot be reached or cannot do it.
        """
        if not (self._outside or isinstance(plan.source, StoredKey | PortalRole)):
            raise DeniedError(
                f"profile {plan.profile!r} begins outside the store, and the broker goes nowhere else"
            )
        last = Stage(plan, len(plan.steps))
        entries = self._store.entries()
        if not last.kind:
            return self._source(plan)
        if plan.fresh:
            return self._reach(last, self._mark(plan))
        digest = last.digest(self._noted_mark(plan, entries))
        if found := self._cache.find(entries, digest, last.early):
            return found
        spare = self._cache.find(entries, digest, plan.least)
        if spare is None:
            return self._reach(last, self._mark(plan))
        try:
            return self._reach(last, self._mark(plan), wait=False)
        except PrivysealError:
            # Somebody renews it already, AWS is out of reach, or there is nobody to ask for a code.
            return spare

    def known(self) -> Vaulted:
        """Return what the store keeps, without a secret and without reading one."""
        return known(self._store.entries())

    def _noted_mark(self, plan: Plan, entries: Entries) -> str:
        if not isinstance(plan.source, StoredKey):
            return ""
        if (notes := entries.get(plan.source.name)) is None:
            raise _no_key(plan.source.name)
        return notes.get("mark") or self._mark(plan)

    def _mark(self, plan: Plan) -> str:
        # From the key itself: another program may have put a new one under an old note.
        if not isinstance(plan.source, StoredKey):
            return ""
        return items.mark(self._stored(plan.source).access_key_id)

    def _stored(self, source: StoredKey) -> AccessKey:
        # What was fetched by another plan is handed over by that plan alone.
        if items.classify(source.name) != "credential":
            raise _no_key(source.name)
        try:
            return items.decode_access_key(self._store.read(source.name).value.expose())
        except NotFoundError:
            raise _no_key(source.name) from None

    def _reach(
        self, stage: Stage, mark: str, *, wait: bool = True, anew: bool = False
    ) -> Credentials:
        if not stage.kind:
            return self._source(stage.plan)
        anew = anew or stage.plan.fresh
        least = stage.early if stage.number == len(stage.plan.steps) else _ON_THE_WAY
        digest = stage.digest(mark)
        with self._means.flights.one(digest, wait=wait):
            entries = self._store.entries()
            if not anew and (found := self._cache.find(entries, digest, least)):
                return found
            made = self._make(stage, mark)
            if made.expires > self._clock.wall():
                self._keep(stage, made, mark, entries)
            return made

    def _keep(self, stage: Stage, made: Credentials, mark: str, entries: Entries) -> None:
        try:
            self._cache.keep(stage, made, mark, entries)
        except PrivysealError as error:
            self._means.talk.tell(f"the next command asks AWS again: {error}")

    def _make(self, stage: Stage, mark: str) -> Credentials:
        if not stage.number:
            return self._source(stage.plan)
        before = self._reach(stage.before, mark)
        try:
            return self._step(stage, before)
        except (EndedError, UnknownKeyError):
            # A kept session can be revoked, or our clock be slow: then its end says nothing.
            if not before.session_token or stage.plan.fresh:
                raise
            return self._step(stage, self._reach(stage.before, mark, anew=True))

    def _step(self, stage: Stage, before: Credentials) -> Credentials:
        network = stage.plan.network
        step = stage.plan.steps[stage.number - 1]
        match step:
            case SessionStep():
                return self._with_code(
                    step.mfa, lambda code: sts.session(network, before, step, code)
                )
            case RoleStep():
                return self._with_code(
                    step.mfa, lambda code: sts.role(network, before, step, code, self._clock)
                )
            case FederationStep():
                return sts.federation(network, before, step)
            case _:
                assert_never(step)

    def _with_code(self, serial: str, call: Callable[[str], Credentials]) -> Credentials:
        return self._codes.spend(serial, call) if serial else call("")

    def _source(self, plan: Plan) -> Credentials:
        source = plan.source
        match source:
            case StoredKey():
                return sts.of_key(self._stored(source))
            case PortalRole():
                from privyseal.aws import portal  # noqa: PLC0415 - seldom wanted

                access = portal.PortalAccess(source.portal, plan.network, self._means)
                return access.role_credentials(source.account, source.role)
            case WebIdentity() | Process() | Ambient():
                return self._from_outside(source, plan)
            case _:
                assert_never(source)

    def _from_outside(self, source: WebIdentity | Process | Ambient, plan: Plan) -> Credentials:
        from privyseal.aws import sources  # noqa: PLC0415 - only where something begins outside

        environment = sources.surroundings()
        match source:
            case WebIdentity():
                return sources.from_web_identity(source, plan.network, environment, self._clock)
            case Process():
                return sources.from_process(source, plan.profile, environment)
            case Ambient():
                return sources.from_surroundings(source, plan.network, environment)


def _no_key(name: str) -> NotFoundError:
    return NotFoundError(
        f"the store has no key named {name!r}", hint=f"add it with `privy aws add {name}`"
    )


def carry_out(
    order: Order, means: Means, value: Secret | None = None, *, outside: bool = False
) -> bytes:
    """Carry out an order and return its result as JSON: what the order names, or lines to show.

    `value` is what comes beside a `Keep`; for `outside` see `Engine`.

    Raises:
        PrivysealError: It could not be carried out; what was done of it is told by the message.
    """
    engine = Engine(means, outside=outside)
    match order:
        case Obtain():
            return encode(engine.obtain(order.plan))
        case Known():
            return encode(engine.known())
        case Rotate():
            from privyseal.aws.rotate import Rotation  # noqa: PLC0415 - only what the order wants

            return encode({"lines": Rotation(order, means, engine.obtain).run()})
        case Roles() | SignIn() | SignOut():
            from privyseal.aws import portal  # noqa: PLC0415 - only what the order wants

            return encode(portal.carry_out(order, means))
        case Keep() | Remove() | Clear():
            return encode({"lines": _change(order, means.store, means.clock, value)})
        case Link():
            from privyseal.aws import console  # noqa: PLC0415 - only what the order wants

            return encode({"url": console.link_by(order, engine.obtain(order.plan))})
        case _:
            assert_never(order)


def _change(
    order: Keep | Remove | Clear, store: KeyStore, clock: Clock, value: Secret | None
) -> list[str]:
    from privyseal.aws import keys  # noqa: PLC0415 - only what the order wants

    match order:
        case Keep():
            if value is None:
                raise UsageError(f"no value came with the order to keep {order.name!r}")
            if items.classify(order.name) == "seed":
                return _keep_seed(order, store, value)
            return keys.keep(order, value, store, sts.identity, clock)
        case Remove() if items.classify(order.name) == "seed":
            try:
                store.remove(order.name)
            except NotFoundError:
                serial = items.seed_serial(order.name)
                raise NotFoundError(f"there is no seed of {serial!r}") from None
            return [f"Deleted the MFA device {items.seed_serial(order.name)}."]
        case Remove():
            return keys.remove(order, store)
        case Clear():
            return keys.clear(order, store)
        case _:
            assert_never(order)


def _keep_seed(order: Keep, store: KeyStore, value: Secret) -> list[str]:
    serial = items.seed_serial(order.name)
    if order.name in store.entries() and not order.replace:
        raise ConflictError(
            f"there is a seed of {serial!r} already", hint="add `--replace` to replace it"
        )
    # It comes in the form of a key, as every value of a Keep: the person is shown its id.
    try:
        seed = decode(value.expose(), AccessKey, what="the seed").secret_access_key
    except UsageError:
        raise UsageError("the seed of an MFA device comes as the secret of a key") from None
    store.write(seed_item(serial, seed))
    return [f"Added the MFA device {serial} to the vault: its codes are computed from now on"]
