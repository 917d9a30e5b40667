"""Replaces a long-lived key so that at every instant a usable one is kept.

A journal in the store is written before each change, and holds both keys while there are two:

    create      a key may have been made whose secret nobody has: it is deleted, nothing else changed
    verify      the new key is in the journal: it is tried until AWS knows it, then kept
    deactivate  the new key is kept: the old one is deactivated
    delete      the old key is deactivated: it is deleted when its grace is over

Whatever a rotation dies of, the next one, or `--resume`, goes on where the journal says.
"""

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Final

import msgspec

from privyseal.aws import items, sts
from privyseal.aws.iam import Keys, Listed
from privyseal.aws.journal import Book, Journal
from privyseal.aws.means import Means
from privyseal.aws.ports import Item
from privyseal.aws.refusals import UnknownKeyError
from privyseal.errors import (
    ConflictError,
    CorruptError,
    DeniedError,
    LimitError,
    NotFoundError,
    PrivysealError,
    UnreachableError,
    UsageError,
)
from privyseal.model.aws import AccessKey, Credentials, Plan, Rotate

Obtains = Callable[[Plan], Credentials]

_MOST_KEYS: Final = 2
_CONSISTENT_SECONDS: Final = 90
_PAUSE_SECONDS: Final = 2
_LISTED_SECONDS: Final = 20
_ORPHAN_SECONDS: Final = 15 * 60


class Rotation:
    """One rotation of one stored key: `obtain` carries out its plan."""

    def __init__(self, order: Rotate, means: Means, obtain: Obtains) -> None:
        self._order = order
        self._store = means.store
        self._talk = means.talk
        self._clock = means.clock
        self._flights = means.flights
        self._obtain = obtain
        self._book = Book(means.store, order.name)
        self._lines: list[str] = []

    def run(self) -> list[str]:
        """Rotate, or go on with what was left behind; return what happened, line by line.

        Raises:
            LimitError: The user has two keys already; nothing was changed.
            ConflictError: A person has to look first.
            PrivysealError: It stopped halfway: the message and the journal say where.
        """
        with self._flights.one(f"rotate {self._order.name}"):
            journal = self._book.read()
            if journal is None and self._order.resume:
                raise NotFoundError(f"no rotation of {self._order.name!r} was left unfinished")
            settled = journal is not None and self._go_on(journal)
            if not (settled or self._order.resume):
                self._finish(*self._begin())
        return self._lines

    def _go_on(self, journal: Journal) -> bool:
        """Finish what a journal tells of; return False when that left the old key in place."""
        self._say(f"going on with the rotation of {_when(journal.began)}")
        try:
            return self._went_on(journal)
        except UnknownKeyError:
            # Somebody deleted the new key, which is kept already; the old one is active still.
            if journal.step != "deactivate" or not self._works(journal.old):
                raise
            self._put_back(journal)
            return False

    def _went_on(self, journal: Journal) -> bool:
        keys = self._keys(self._credentials(journal), journal.user)
        if journal.step == "create":
            self._undo(journal, keys)
            return False
        if journal.step == "delete" and journal.until > self._clock.wall():
            self._say(f"the old key is kept, deactivated, until {_when(journal.until)}")
            return True
        if journal.step == "verify" and not _listed(keys, journal.new):
            self._put_back(journal)
            return False
        self._finish(journal, keys)
        return True

    def _put_back(self, journal: Journal) -> None:
        # The new key may have been kept already: then the journal alone has the one that works.
        self._store.write(self._entry(journal.old))
        self._book.forget()
        self._say("the new key has been deleted meanwhile: the old one stays")

    def _works(self, key: AccessKey) -> bool:
        try:
            sts.identity(self._order.plan.network, sts.of_key(key))
        except UnknownKeyError:
            return False
        return True

    def _begin(self) -> tuple[Journal, Keys]:
        name, network = self._order.name, self._order.plan.network
        old = self._stored(name)
        credentials = self._obtain(self._order.plan)
        own = sts.of_key(old)
        who = sts.identity(network, own)
        # Not by what is noted of a key: in another account a user of this name may get our new key.
        account = who.account
        if credentials.access_key_id != own.access_key_id:
            account = sts.identity(network, credentials).account
        if account != who.account:
            raise UsageError(
                f"the key {name!r} is of account {who.account}, and profile "
                f"{self._order.plan.profile!r} leads to {account}",
                hint="rotate it with the profile of the key itself, or with --no-session",
            )
        keys = self._keys(credentials, who.user)
        before = self._before(keys, old)
        journal = Journal(
            step="create",
            user=who.user,
            old=msgspec.structs.replace(old, account=who.account),
            before=before,
            began=self._clock.wall(),
            grace=self._order.grace,
        )
        self._book.write(journal)
        return self._create(journal, keys), keys

    def _before(self, keys: Keys, old: AccessKey) -> tuple[str, ...]:
        try:
            found = keys.all()
        except DeniedError:
            # aws-vault's own policy for rotation does without; CreateAccessKey has the last word.
            self._say("iam:ListAccessKeys is denied: whether there is room for a key, AWS says")
            return (old.access_key_id,)
        if len(found) >= _MOST_KEYS:
            raise _two_keys(found, old)
        return tuple(key.access_key_id for key in found)

    def _create(self, journal: Journal, keys: Keys) -> Journal:
        try:
            made = keys.create()
        except UnreachableError as error:
            raise UnreachableError(
                f"{error}; whether a key was made is not known", hint=self._advice()
            ) from error
        except PrivysealError:
            self._book.forget()  # AWS said no: there is nothing to go on with
            raise
        new = msgspec.structs.replace(
            journal.old,
            access_key_id=made.access_key_id,
            secret_access_key=made.secret_access_key,
        )
        journal = journal.advanced("verify", new=new)
        try:
            self._book.write(journal)
        except BaseException:
            # Its secret is nowhere but here: a key that cannot be kept must not stay.
            self._take_back(keys, new)
            raise
        return journal

    def _finish(self, journal: Journal, keys: Keys) -> None:
        new = journal.new
        if new is None:
            raise CorruptError(f"the journal of the rotation of {self._order.name!r} has no key")
        if journal.step == "verify":
            self._verify(new)
            self._keep(journal.old, new)
            journal = journal.advanced("deactivate")
            self._book.write(journal)
            self._say(f"{self._order.name}: …{journal.old.access_key_id[-4:]} is now {_tail(new)}")
            keys = self._keys_after(journal, keys)
        if journal.step == "deactivate":
            self._deactivate(journal, keys)
            until = self._clock.wall() + journal.grace if journal.grace else 0.0
            journal = journal.advanced("delete", until=until)
            self._book.write(journal)
            if until:
                self._say(
                    f"the old key is deactivated; from {_when(until)} on "
                    f"`privy aws rotate --resume {self._order.name}` deletes it"
                )
                return
        keys.delete(journal.old.access_key_id)
        self._book.forget()
        self._say(f"the old key {_tail(journal.old)} is deleted")

    def _deactivate(self, journal: Journal, keys: Keys) -> None:
        try:
            keys.deactivate(journal.old.access_key_id)
        except NotFoundError:
            return
        except DeniedError:
            if journal.grace:
                raise
            self._say("iam:UpdateAccessKey is denied: the old key is deleted at once")

    def _undo(self, journal: Journal, keys: Keys) -> None:
        for key in self._unknown(journal, keys):
            late = key.created - journal.began
            if not -_ORPHAN_SECONDS < late < _ORPHAN_SECONDS or keys.was_used(key.access_key_id):
                raise ConflictError(
                    f"the rotation may have made the key {key}, and somebody else may use it",
                    hint="delete it in IAM if nobody does, and rotate again",
                )
            keys.delete(key.access_key_id)
            self._say(f"deleted {key}, a new key whose secret was lost")
        self._book.forget()

    def _unknown(self, journal: Journal, keys: Keys) -> list[Listed]:
        """Return the keys that came since the rotation began; IAM lists them after a while."""
        give_up = journal.began + _LISTED_SECONDS
        while True:
            try:
                found = [key for key in keys.all() if key.access_key_id not in journal.before]
            except DeniedError:
                self._say("iam:ListAccessKeys is denied: look in IAM for a key that nobody uses")
                return []
            if found or self._clock.wall() >= give_up:
                return found
            self._talk.wait(_PAUSE_SECONDS)

    def _take_back(self, keys: Keys, new: AccessKey) -> None:
        try:
            keys.delete(new.access_key_id)
        except PrivysealError:
            self._talk.tell(f"delete {_tail(new)} in IAM by hand: its secret could not be kept")
            return
        with suppress(PrivysealError):
            self._book.forget()

    def _verify(self, new: AccessKey) -> None:
        """Return when AWS knows the new key; IAM is consistent only after a while."""
        give_up = self._clock.monotonic() + _CONSISTENT_SECONDS
        own = sts.of_key(new)
        while True:
            try:
                sts.identity(self._order.plan.network, own)
            except UnknownKeyError as error:
                if self._clock.monotonic() >= give_up:
                    raise UnreachableError(
                        f"AWS does not know the new key {_tail(new)} after "
                        f"{_CONSISTENT_SECONDS} s; the old one is still in place",
                        hint=self._advice(),
                    ) from error
                self._talk.wait(_PAUSE_SECONDS)
            else:
                return

    def _keep(self, old: AccessKey, new: AccessKey) -> None:
        name = self._order.name
        self._store.write(self._entry(new))
        if self._stored(name).access_key_id != new.access_key_id:
            raise CorruptError(
                f"{self._store.description} does not give back the new key", hint=self._advice()
            )
        mark = items.mark(old.access_key_id)
        for key, notes in self._store.entries().items():
            parts = items.parse_session(key)
            if parts and (notes.get("mark") == mark or parts.profile == name):
                with suppress(PrivysealError):
                    self._store.remove(key)

    def _credentials(self, journal: Journal) -> Credentials:
        """Return what IAM is called with when a rotation goes on."""
        if not self._order.plan.steps:
            # Which of both keys is kept, the crash decided; which still works, the step says.
            deactivated = journal.step in {"deactivate", "delete"} and journal.new
            return sts.of_key(journal.new if deactivated and journal.new else journal.old)
        return self._obtain(self._order.plan)

    def _keys_after(self, journal: Journal, keys: Keys) -> Keys:
        """Return the way to IAM once the new key is kept: the old one must not cut its own branch."""
        if self._order.plan.steps or journal.new is None:
            return keys
        return self._keys(sts.of_key(journal.new), journal.user)

    def _keys(self, credentials: Credentials, user: str) -> Keys:
        return Keys(self._order.plan.network, credentials, user)

    def _entry(self, key: AccessKey) -> Item:
        return items.key_item(self._order.name, key, added=self._clock.wall())

    def _stored(self, name: str) -> AccessKey:
        return items.decode_access_key(self._store.read(name).value.expose())

    def _advice(self) -> str:
        return f"run `privy aws rotate {self._order.name}` again: it finishes or undoes this"

    def _say(self, line: str) -> None:
        self._lines.append(line)


def _listed(keys: Keys, new: AccessKey | None) -> bool:
    try:
        found = keys.all()
    except DeniedError:
        return new is not None  # trying it tells
    return new is not None and any(key.access_key_id == new.access_key_id for key in found)


def _two_keys(found: list[Listed], old: AccessKey) -> LimitError:
    others = [key for key in found if key.access_key_id != old.access_key_id]
    named = " and ".join(str(key) for key in others)
    return LimitError(
        f"the user has {len(found)} access keys, and AWS allows no third: beside ours there is {named}",
        hint="delete in IAM what nobody uses; nothing was changed",
    )


def _tail(key: AccessKey) -> str:
    return f"…{key.access_key_id[-4:]}"


def _when(seconds: float) -> str:
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%d %H:%M UTC")
