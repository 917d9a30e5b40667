import signal
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import pytest
from tests.private_bus import private_bus

from privyseal.model.value import MAX_ITEMS, MAX_SECRET
from privyseal.runtime import blocking
from privyseal.runtime.blockingbus import Bus, split_hint
from privyseal.wire import keeper


def test_the_words_on_the_wire_are_those_of_the_keeper() -> None:
    ours = (blocking.BUS_NAME, blocking.PATH, blocking.REQUEST, blocking.DECISION)

    assert ours == (keeper.BUS_NAME, keeper.PATH, keeper.REQUEST, keeper.DECISION)
    assert blocking.MAX_RELEASE == MAX_ITEMS * MAX_SECRET


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("it failed", "it failed", ""),
        ("it failed; do that", "it failed", "do that"),
        ("a; b; do that", "a; b", "do that"),
        ("no item 'x; y'", "no item 'x; y'", ""),
        ("no item 'x; y' there", "no item 'x; y' there", ""),
        ("no item 'x; y'; do that", "no item 'x; y'", "do that"),
        ("no item 'x; y'; did you mean 'x; z'?", "no item 'x; y'", "did you mean 'x; z'?"),
        ("AWS's own; pip install 'a[b]'", "AWS's own", "pip install 'a[b]'"),
        (r"""no 'x\'s "a"; run b'""", r"""no 'x\'s "a"; run b'""", ""),
        ("""no "it's; run b" there""", """no "it's; run b" there""", ""),
        ("no b'x; run b' there", "no b'x; run b' there", ""),
        ("cut short 'x; run b", "cut short 'x; run b", ""),
    ],
)
def test_a_hint_is_taken_from_our_words_and_never_from_quoted_ones(
    text: str, message: str, hint: str
) -> None:
    assert split_hint(text) == (message, hint)


def test_an_interrupt_that_no_wait_was_ended_by_ends_it_soon(tmp_path: Path) -> None:
    # It comes to another thread, as one that comes just before the wait ends no system call.
    waits = threading.Event()

    def interrupt() -> None:
        waits.wait()
        signal.pthread_kill(threading.get_ident(), signal.SIGINT)

    def wait(bus: Bus) -> None:
        waits.set()
        bus.signal(None)

    with private_bus(tmp_path) as address, closing(Bus.open(address)) as bus:
        bus.signal(None)  # that we have a name; no other comes
        thread = threading.Thread(target=interrupt)
        thread.start()
        with pytest.raises(KeyboardInterrupt):
            wait(bus)
        thread.join()


@pytest.mark.parametrize("command", ["list", "get"])
def test_a_quick_command_loads_nothing_slow(command: str) -> None:
    module = {"list": "privyseal.cli.list_", "get": "privyseal.cli.get"}[command]
    code = f"import sys, privyseal.cli.main, {module}; print(*sys.modules)"

    # Coverage, which an environment variable starts, would load them itself.
    argv = [sys.executable, "-I", "-c", code]
    loaded = subprocess.check_output(argv, text=True, env={}).split()

    slow = {"click", "msgspec", "asyncio", "argparse", "dataclasses", "pathlib", "subprocess"}
    assert slow.isdisjoint(loaded)
