"""What a server hands out: early renewal, one thread at the source, and no asking thrice."""

import threading
from collections.abc import Callable

import pytest
from tests.fakes import FakeClock
from tests.waiting import PATIENCE, until

from privyseal.aws.servers.supply import EARLY, MAX_ROLES, Supply
from privyseal.errors import DeniedError, LimitError, PrivysealError
from privyseal.model.aws import Credentials

HOUR = 3600.0


class Source:
    """Gives numbered credentials that last `life` seconds; fails with `error` while it is set."""

    def __init__(self, clock: FakeClock, life: float = HOUR) -> None:
        self.clock = clock
        self.life = life
        self.error: Exception | None = None
        self.asked: list[str] = []
        self.open = threading.Event()
        self.open.set()

    def __call__(self, role: str) -> Credentials:
        self.asked.append(role)
        number = len(self.asked)
        assert self.open.wait(PATIENCE)
        if self.error is not None:
            raise self.error
        expires = self.clock.wall() + self.life if self.life else 0.0
        return Credentials(access_key_id=f"A{number}", secret_access_key="s", expires=expires)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def source(clock: FakeClock) -> Source:
    return Source(clock)


def together(count: int, action: Callable[[], object]) -> None:
    threads = [threading.Thread(target=action) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)


def test_credentials_are_got_once_and_kept(clock: FakeClock, source: Source) -> None:
    supply = Supply(source, clock)

    assert supply.get() == supply.get()
    assert source.asked == [""]


def test_they_are_renewed_before_clients_begin_to_ask_at_every_use(
    clock: FakeClock, source: Source
) -> None:
    supply = Supply(source, clock)
    supply.get()

    clock.advance(HOUR - EARLY - 1)
    assert supply.get().access_key_id == "A1"
    clock.advance(1)
    supply.get()

    until(lambda: supply.get().access_key_id == "A2")
    assert len(source.asked) == 2


def test_nobody_waits_for_a_renewal_while_the_old_ones_hold(
    clock: FakeClock, source: Source
) -> None:
    supply = Supply(source, clock)
    supply.get()
    source.open.clear()
    clock.advance(HOUR - EARLY)

    assert {supply.get().access_key_id for _ in range(5)} == {"A1"}
    until(lambda: len(source.asked) == 2)
    source.open.set()
    until(lambda: supply.get().access_key_id == "A2")


def test_where_no_thread_can_be_had_the_old_ones_serve_and_the_next_client_renews(
    clock: FakeClock, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    supply = Supply(source, clock)
    supply.get()
    clock.advance(HOUR - EARLY)

    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        assert supply.get().access_key_id == "A1"

    clock.advance(EARLY)
    assert supply.get().access_key_id == "A2"


def test_expired_credentials_are_never_handed_out(clock: FakeClock, source: Source) -> None:
    supply = Supply(source, clock)
    supply.get()
    clock.advance(HOUR)

    assert supply.get().access_key_id == "A2"


def test_a_source_of_short_lives_is_asked_halfway_and_not_at_every_use(
    clock: FakeClock, source: Source
) -> None:
    source.life = 900.0
    supply = Supply(source, clock)
    for _ in range(20):
        supply.get()
    clock.advance(449)
    supply.get()
    assert len(source.asked) == 1

    clock.advance(1)
    supply.get()
    until(lambda: supply.get().access_key_id == "A2")


def test_credentials_without_an_end_are_asked_for_again_now_and_then(
    clock: FakeClock, source: Source
) -> None:
    source.life = 0.0
    supply = Supply(source, clock)
    supply.get()
    clock.advance(HOUR)
    supply.get()

    until(lambda: supply.get().access_key_id == "A2")


def test_many_threads_ask_the_source_once(clock: FakeClock, source: Source) -> None:
    supply = Supply(source, clock)
    got: list[str] = []

    together(20, lambda: got.append(supply.get().access_key_id))

    assert got == ["A1"] * 20
    assert source.asked == [""]


def test_roles_are_kept_apart(clock: FakeClock, source: Source) -> None:
    supply = Supply(source, clock)

    assert supply.get("a") != supply.get("b")
    assert supply.get("a") == supply.get("a")
    assert source.asked == ["a", "b"]


def test_a_refusal_holds_for_the_client_s_own_repetitions(clock: FakeClock, source: Source) -> None:
    source.error = DeniedError("a person said no")
    supply = Supply(source, clock)
    for _ in range(3):
        with pytest.raises(DeniedError):
            supply.get()
    assert len(source.asked) == 1

    clock.advance(20)
    source.error = None
    assert supply.get().access_key_id == "A2"


def test_a_failed_renewal_leaves_what_still_holds(clock: FakeClock, source: Source) -> None:
    supply = Supply(source, clock)
    supply.get()
    source.error = DeniedError("no")
    clock.advance(HOUR - EARLY)
    supply.get()
    until(lambda: len(source.asked) == 2)

    assert supply.get().access_key_id == "A1"
    clock.advance(EARLY)
    with pytest.raises(DeniedError):
        supply.get()


def test_waiting_threads_learn_of_a_failure(clock: FakeClock, source: Source) -> None:
    source.error = DeniedError("no")
    supply = Supply(source, clock)
    failed: list[str] = []

    def ask() -> None:
        try:
            supply.get()
        except PrivysealError as error:
            failed.append(str(error))

    together(10, ask)
    assert failed == ["no"] * 10
    assert len(source.asked) == 1


def test_a_defect_of_the_source_leaves_nobody_waiting(clock: FakeClock, source: Source) -> None:
    source.error = KeyError("secret detail")
    supply = Supply(source, clock)

    with pytest.raises(PrivysealError, match=r"^a defect: KeyError$"):
        supply.get()


def test_the_number_of_roles_is_limited(clock: FakeClock, source: Source) -> None:
    supply = Supply(source, clock)
    for number in range(MAX_ROLES):
        supply.get(str(number))

    with pytest.raises(LimitError):
        supply.get("one more")
    supply.get("0")
