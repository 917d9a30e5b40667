"""One flight per key: across threads, across processes, and after any end of the one aloft."""

import fcntl
import multiprocessing
import os
import signal
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from threading import Barrier, Event, Thread

import pytest
from tests.soak import times
from tests.waiting import PATIENCE, until

from privyseal.aws.flights import AloftError, Flights
from privyseal.errors import DeniedError, PrivysealError, UnreachableError

FORK = multiprocessing.get_context("fork")


@pytest.fixture
def flights(tmp_path: Path) -> Flights:
    return Flights(tmp_path / "flights")


@pytest.fixture
def aloft(flights: Flights) -> Iterator[int]:
    """A process that holds "k" until it is killed."""
    took = FORK.Event()

    def hold() -> None:
        with flights.one("k"):
            took.set()
            signal.pause()

    process = FORK.Process(target=hold)
    process.start()
    assert took.wait(PATIENCE)
    assert process.pid is not None
    yield process.pid
    process.kill()
    process.join()


def test_threads_take_turns(flights: Flights):
    inside, most = 0, 0
    begin = Barrier(20)

    def fly() -> None:
        nonlocal inside, most
        begin.wait()
        for _ in range(20):
            with flights.one("k"):
                inside += 1
                most = max(most, inside)
                inside -= 1

    threads = [Thread(target=fly) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert most == 1


def test_processes_take_turns(flights: Flights, tmp_path: Path):
    counter = tmp_path / "counter"
    counter.write_text("0")

    def count() -> None:
        for _ in range(30):
            with flights.one("k"):
                counter.write_text(str(int(counter.read_text()) + 1))

    processes = [FORK.Process(target=count) for _ in range(8)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()

    assert counter.read_text() == "240"


def test_other_keys_are_not_held_up(flights: Flights, aloft: int):
    with flights.one("another"):
        pass


def test_a_flight_dies_with_its_process(flights: Flights, aloft: int):
    os.kill(aloft, signal.SIGKILL)

    with flights.one("k"):
        pass


def test_who_does_not_want_to_wait_is_told(flights: Flights, aloft: int):
    with pytest.raises(AloftError), flights.one("k", wait=False):
        pass


def test_who_waited_shares_the_failure_and_who_comes_later_does_not(flights: Flights):
    waiting = Event()
    shared: list[PrivysealError] = []

    def wait() -> None:
        waiting.set()
        try:
            with flights.one("k"):
                pytest.fail("it must not fly")
        except PrivysealError as error:
            shared.append(error)

    threads = [Thread(target=wait) for _ in range(5)]

    def fail() -> None:
        with flights.one("k"):
            for thread in threads:
                thread.start()
            assert waiting.wait(PATIENCE)
            until(lambda: _queued(flights) == len(threads))
            raise DeniedError("she refused", hint="ask her")

    with pytest.raises(DeniedError):
        fail()
    for thread in threads:
        thread.join()

    assert [(type(e), str(e), e.hint) for e in shared] == [
        (DeniedError, "she refused", "ask her")
    ] * 5
    with flights.one("k"):
        pass


def test_a_defect_is_nobody_elses(flights: Flights):
    with pytest.raises(ZeroDivisionError), flights.one("k"):
        _ = 1 / 0
    with flights.one("k"):
        pass


def test_nothing_stays_behind_but_notes(flights: Flights, tmp_path: Path):
    with flights.one("k"):
        flights.note("k", "used")

    assert [path.suffix for path in (tmp_path / "flights").iterdir()] == [".note"]
    assert flights.noted("k") == "used"
    assert flights.noted("another") == ""


def test_the_folder_is_its_owners_alone(flights: Flights, tmp_path: Path):
    with flights.one("k"):
        (lock,) = (tmp_path / "flights").iterdir()
        assert stat.S_IMODE(lock.stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "flights").stat().st_mode) == 0o700


def test_a_folder_that_cannot_be_used_is_named(tmp_path: Path):
    (tmp_path / "file").touch()

    with pytest.raises(UnreachableError, match="file/x"), Flights(tmp_path / "file/x").one("k"):
        pass


@pytest.mark.parametrize("trap", ["link", "open to all"])
def test_a_folder_that_others_can_change_is_not_used(tmp_path: Path, trap: str):
    theirs, folder = tmp_path / "theirs", tmp_path / "flights"
    theirs.mkdir()
    if trap == "link":
        folder.symlink_to(theirs)
    else:
        folder.mkdir()
        folder.chmod(0o777)
    flights = Flights(folder)

    with pytest.raises(UnreachableError, match="others can change"), flights.one("k"):
        pytest.fail("it took off")
    with pytest.raises(UnreachableError, match="others can change"):
        flights.note("k", "the digest of a code")
    assert list(theirs.iterdir()) == []


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to be another user")
def test_a_folder_of_another_user_is_not_used(tmp_path: Path):
    folder = tmp_path / "flights"
    folder.mkdir()
    os.chown(folder, 65533, 65533)

    with pytest.raises(UnreachableError, match="others can change"):
        Flights(folder).note("k", "the digest of a code")


def test_a_lock_that_points_elsewhere_is_not_followed(flights: Flights, tmp_path: Path):
    with flights.one("k"):
        (lock,) = (tmp_path / "flights").iterdir()
    target = tmp_path / "precious"
    target.write_text("kept")
    lock.symlink_to(target)

    with pytest.raises(UnreachableError), flights.one("k"):
        pass
    assert target.read_text() == "kept"


def _queued(flights: Flights) -> int:
    """Return how many wait for a lock of ours, as the kernel lists them (proc(5), /proc/locks)."""
    ours = f" {os.getpid()} "
    lines = Path("/proc/locks").read_text().splitlines()
    return sum("->" in line and ours in line for line in lines)


def test_two_are_never_aloft_though_processes_are_killed_at_any_instant(
    flights: Flights, tmp_path: Path
):
    oracle, violations = tmp_path / "oracle", tmp_path / "violations"
    oracle.touch()

    def fly() -> None:
        while True:
            with suppress(DeniedError), flights.one("k"):
                with oracle.open("r+") as own:
                    try:
                        fcntl.flock(own, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    except BlockingIOError:
                        violations.touch()
                    own.write("x")
                if os.urandom(1)[0] < 64:
                    raise DeniedError("she refused")

    crowd = [FORK.Process(target=fly) for _ in range(6)]
    for process in crowd:
        process.start()
    for _ in range(times(60, soak=2000)):
        at = os.urandom(1)[0] % len(crowd)
        crowd[at].join(os.urandom(1)[0] / 25600)
        crowd[at].kill()
        crowd[at].join()
        crowd[at] = FORK.Process(target=fly)
        crowd[at].start()
    for process in crowd:
        process.kill()
        process.join()

    assert oracle.read_text() == "x"
    assert not violations.exists()
