"""Bringing keys from one place to another: nothing is lost on the way."""

import pytest
from tests.fakes import FakeClock
from tests.fakes_stores import MemoryStore

from privyseal.aws import items
from privyseal.aws.migrate import Step, StoreOrigin, StoreTarget, bring, forget, survey
from privyseal.aws.ports import Item
from privyseal.errors import ConflictError, CorruptError, LockedError, PrivysealError
from privyseal.model.aws import AccessKey
from privyseal.model.secret import Secret

SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
ONE = AccessKey(access_key_id="AKIAIOSFODNN7EXAMPLE", secret_access_key=SECRET)
TWO = AccessKey(access_key_id="AKIAI44QH8DHBEXAMPLE", secret_access_key=SECRET)


def store(**kept: AccessKey) -> MemoryStore:
    made = MemoryStore()
    for name, key in kept.items():
        made.write(items.key_item(name, key, added=1))
    return made


def origin(made: MemoryStore) -> StoreOrigin:
    return StoreOrigin(made, FakeClock())


def target(made: MemoryStore) -> StoreTarget:
    return StoreTarget(made, FakeClock())


def never(_: object, error: PrivysealError) -> None:
    raise error


def steps(
    into: MemoryStore, *places: MemoryStore, overwrite: bool = False, **only: str
) -> list[Step]:
    origins = [origin(each) for each in places]
    return list(survey(origins, target(into), never, only=list(only.values()), overwrite=overwrite))


def verdicts(found: list[Step]) -> list[tuple[str, str]]:
    return [(step.name, step.verdict) for step in found]


def test_each_key_gets_one_verdict():
    source = store(new=ONE, same=ONE, other=ONE)
    source.write(Item("broken", Secret(b"junk")))
    source.write(Item("oidc:https://x", Secret(b"{}")))
    source.write(Item(items.session_key("sts.AssumeRole", "x", "", "", 5), Secret(b"{}")))
    found = steps(store(same=ONE, other=TWO), source)
    assert verdicts(found) == [
        ("broken", "unreadable"),
        ("new", "copy"),
        ("other", "present"),
        ("same", "already"),
    ]
    assert verdicts(steps(store(other=TWO), store(other=ONE), overwrite=True)) == [
        ("other", "overwrite")
    ]


def test_survey_changes_nothing():
    source, into = store(new=ONE), store()
    steps(into, source)
    assert list(into.entries()) == []
    assert list(source.entries()) == ["new"]


def test_only_the_keys_that_are_meant_are_looked_at():
    assert verdicts(steps(store(), store(a=ONE, b=TWO), only="b")) == [("b", "copy")]


def test_of_two_keys_of_one_name_the_first_is_brought_over():
    found = steps(store(), store(a=ONE), store(a=TWO), overwrite=True)
    assert verdicts(found) == [("a", "copy"), ("a", "present")]
    assert verdicts(steps(store(), store(a=ONE), store(a=ONE)))[1] == ("a", "already")


def test_place_that_does_not_open_is_passed_over():
    class Locked(MemoryStore):
        def entries(self):
            raise LockedError("locked")

    missed = []
    places = [origin(Locked()), origin(store(a=ONE))]
    found = list(survey(places, target(store()), lambda _, error: missed.append(str(error))))
    assert (verdicts(found), missed) == ([("a", "copy")], ["locked"])


def test_key_is_brought_over_with_all_that_is_known_of_it():
    key = AccessKey(
        access_key_id="AKIAIOSFODNN7EXAMPLE", secret_access_key=SECRET, account="1", mfa="arn:mfa"
    )
    into = store()
    (step,) = steps(into, store(a=key))
    bring(step, target(into))
    assert items.decode_access_key(into.read("a").value.expose()) == key


def test_copy_that_does_not_come_back_is_an_error():
    class Forgetful(MemoryStore):
        def write(self, item):
            super().write(item._replace(value=Secret(b"{}")))

    into = Forgetful()
    (step,) = steps(into, store(a=ONE))
    with pytest.raises(CorruptError, match="does not come back"):
        bring(step, target(into))


def test_old_copy_is_forgotten_once_the_target_has_the_key():
    source, into = store(a=ONE), store()
    (step,) = steps(into, source)
    with pytest.raises(ConflictError, match="it stays"):
        forget(step, target(into))
    assert list(source.entries()) == ["a"]
    bring(step, target(into))
    forget(step, target(into))
    assert (list(source.entries()), list(into.entries())) == ([], ["a"])


def test_nothing_is_lost_when_both_are_one_store():
    both = store(a=ONE)
    (step,) = steps(both, both)
    assert step.verdict == "already"
    with pytest.raises(ConflictError, match="one store"):
        forget(step, target(both))
    assert items.decode_access_key(both.read("a").value.expose()) == ONE


def test_temporary_key_and_a_name_for_something_else_are_left():
    source = store(temporary=AccessKey(access_key_id="ASIAX", secret_access_key=SECRET))
    source.write(Item(" padded", store(a=ONE).read("a").value))
    found = steps(store(), source)
    assert [step.verdict for step in found] == ["unreadable", "unreadable"]
    assert not any(SECRET in step.why for step in found)
