"""Codes of MFA devices: each is used once, three are asked for, and a kept seed computes them."""

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.fake_talk import FakeTalk
from tests.fakes import FakeClock
from tests.fakes_stores import MemoryStore

from privyseal.aws import items
from privyseal.aws.flights import Flights
from privyseal.aws.means import Means
from privyseal.aws.mfa import Codes, seed_item
from privyseal.aws.refusals import WrongCodeError
from privyseal.errors import DeniedError, UnreachableError, UsageError

SERIAL = "arn:aws:iam::111122223333:mfa/alice"
RFC6238_SEED = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"  # appendix B: "12345678901234567890"


class World:
    def __init__(self, folder: Path, codes: list[str]) -> None:
        self.clock = FakeClock(1111111109.0)
        self.store = MemoryStore()
        left = iter(codes)
        self.talk = FakeTalk(lambda serial, again: next(left), waits=self.wait)
        self.flights = Flights(folder)
        self.waited: list[float] = []
        self.sent: list[str] = []

    def spend(self, refusals: int = 0) -> str:
        """Make a call that AWS refuses so many times for its code."""
        left = refusals

        def call(code: str) -> str:
            nonlocal left
            self.sent.append(code)
            if left:
                left -= 1
                raise WrongCodeError("AWS refuses the code")
            return f"session {len(self.sent)}"

        return self._codes().spend(SERIAL, call)

    def _codes(self) -> Codes:
        return Codes(Means(self.store, self.talk, self.clock, self.flights))

    def wait(self, seconds: float) -> None:
        self.waited.append(seconds)
        self.clock.advance(seconds)


@pytest.fixture
def world(tmp_path: Path) -> Callable[..., World]:
    return lambda *codes: World(tmp_path, list(codes))


def test_a_code_is_asked_for_and_sent(world: Callable[..., World]):
    here = world(" 123 456\n")

    assert here.spend() == "session 1"
    assert here.sent == ["123456"]
    assert here.talk.asked == [(SERIAL, "")]


def test_a_wrong_code_is_asked_for_again_up_to_three_times(world: Callable[..., World]):
    here = world("111111", "222222", "333333")

    assert here.spend(refusals=2) == "session 3"
    assert here.talk.asked[1:] == [(SERIAL, "AWS refused this code")] * 2


def test_after_three_wrong_codes_nobody_is_asked_again(world: Callable[..., World]):
    here = world("111111", "222222", "333333", "444444")

    with pytest.raises(DeniedError, match="AWS refused 3 codes of 'arn:aws:iam::1111"):
        here.spend(refusals=3)
    assert len(here.sent) == 3


def test_what_is_no_code_is_not_sent(world: Callable[..., World]):
    here = world("12345", "١٢٣٤٥٦", "123456")

    here.spend()

    assert here.sent == ["123456"]
    assert here.talk.asked[1:] == [(SERIAL, "a code has six digits")] * 2


def test_a_code_is_never_sent_twice_even_by_another_call(world: Callable[..., World]):
    here = world("123456", "123456", "654321")

    here.spend()
    here.clock.advance(10)
    here.spend()

    assert here.sent == ["123456", "654321"]
    assert here.talk.asked[-1] == (SERIAL, "this code has been used: wait for the next one")


def test_the_same_digits_may_come_again_another_day(world: Callable[..., World]):
    here = world("123456", "123456")

    here.spend()
    here.clock.advance(86400)
    here.spend()

    assert here.sent == ["123456", "123456"]


def test_another_failure_is_not_asked_about_again(world: Callable[..., World]):
    here = world("123456")
    codes = here._codes()

    def call(code: str) -> str:
        raise UnreachableError("no way to AWS")

    with pytest.raises(UnreachableError, match="no way to AWS"):
        codes.spend(SERIAL, call)
    assert len(here.talk.asked) == 1


def test_a_kept_seed_gives_the_codes_of_rfc_6238(world: Callable[..., World]):
    here = world()
    here.store.write(seed_item(SERIAL, RFC6238_SEED))

    here.spend()

    assert here.sent == ["081804"]  # 07081804 of appendix B, cut to six digits
    assert here.talk.asked == []


def test_a_computed_code_waits_for_its_own_step(world: Callable[..., World]):
    here = world()
    here.store.write(seed_item(SERIAL, RFC6238_SEED))

    here.spend()
    here.spend()

    assert here.sent == ["081804", "050471"]
    assert here.waited == [1.0]


def test_a_code_of_a_clock_that_was_ahead_is_not_waited_for(world: Callable[..., World]):
    here = world()
    here.store.write(seed_item(SERIAL, RFC6238_SEED))
    here.clock.advance(86400)
    here.spend()
    here.clock.advance(-86400)

    here.spend()

    assert here.sent[1] == "081804"
    assert here.waited == []


def test_a_seed_may_be_typed_as_it_is_shown(world: Callable[..., World]):
    spaced = " ".join(RFC6238_SEED[at : at + 4] for at in range(0, 32, 4)).lower()

    item = seed_item(SERIAL, spaced)

    assert item.value.expose() == RFC6238_SEED.encode()
    assert item.key == f"totp:{SERIAL}"
    assert items.classify(item.key) == "seed"  # aws-vault clears and sweeps no such thing


@pytest.mark.parametrize("seed", ["", "GEZDGNBV", "not base32!", "1" * 32])
def test_what_is_no_seed_is_refused_unquoted(seed: str):
    with pytest.raises(UsageError) as caught:
        seed_item(SERIAL, seed)
    assert not seed or seed not in str(caught.value)


def test_a_refusal_of_the_person_ends_it(world: Callable[..., World]):
    here = world()

    def refuse(serial: str, again: str) -> str:
        raise DeniedError("she closed the window")

    here.talk = FakeTalk(refuse)
    with pytest.raises(DeniedError, match="she closed the window"):
        here.spend()
    assert here.sent == []
