"""Proves the deployment in a virtual machine: `python -m tests.vm [-k WORD]... [--keep] [--list]`.

Builds the image where something changed, boots one machine, runs the checks in it, prints a table.
The last line is "N passed, N failed"; the exit status is 0 only when something passed and nothing
failed.
"""

import argparse
import contextlib
import importlib
import os
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Iterator
from typing import Final, NamedTuple

from tests.vm.build import BuildError, build
from tests.vm.channel import HungError
from tests.vm.desk import Desk
from tests.vm.machine import LateError, Machine
from tests.vm.place import FAILURES, PICTURES, RUNNING, SOURCES
from tests.vm.registry import CHECKS, Check

WHOLE_RUN_SECONDS: Final = 3000
_FIRST: Final = ("checks_machine", "checks_provision", "checks_first_day")


class Result(NamedTuple):
    """How one check ended; `again`: only the second try counts."""

    check: Check
    message: str
    seconds: float
    again: bool


class TimeUpError(Exception):
    """A check, or the whole run, took longer than it may."""


def main() -> int:
    """Run the checks that the command line selects."""
    parser = argparse.ArgumentParser(prog="test-vm", description=__doc__)
    parser.add_argument(
        "-k", metavar="WORD", action="append", help="only checks with WORD in the name"
    )
    parser.add_argument("--keep", action="store_true", help="leave the machine running at the end")
    parser.add_argument("--ci", action="store_true", help="only what every change has to pass")
    parser.add_argument("--list", action="store_true", help="print the checks and stop")
    options = parser.parse_args()
    _load()
    named = [one for one in CHECKS if not options.k or any(word in one.name for word in options.k)]
    chosen = [one for one in named if one.every_change or not options.ci]
    if options.list:
        for one in chosen:
            print(f"{one.name:28} {one.proves}")
        return 0
    for folder in (PICTURES, FAILURES):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    start = time.monotonic()
    results: list[Result] = []
    trouble = ""
    try:
        with _limit(WHOLE_RUN_SECONDS), _machine(keep=options.keep) as vm:
            print(f"boot     {vm.boot_seconds:31.1f} s", flush=True)
            for one in chosen:
                results.append(_one(one, Desk(vm)))  # noqa: PERF401 - kept if a later one ends the run
    except (BuildError, HungError, TimeUpError) as error:
        trouble = str(error)
    return _report(chosen, results, trouble, time.monotonic() - start)


def _load() -> None:
    """Import the modules with checks; the machine's own come first, then by name."""
    found = sorted(file.stem for file in SOURCES.glob("checks_*.py"))
    for name in (*_FIRST, *(name for name in found if name not in _FIRST)):
        importlib.import_module(f"tests.vm.{name}")


def _one(one: Check, desk: Desk) -> Result:
    """Run a check; one that only came late is run once more on a cleared desk, and the table says so.

    Everything is emulated on processors that others use as well: a person at this machine would
    wait a little longer. An attack that got through is never tried a second time.
    """
    start = time.monotonic()
    message, late = _tried(one, desk)
    if late:
        print(f"again    {one.name:28} {message.splitlines()[0][:200]}", flush=True)
        desk.cleared()
        message, _ = _tried(one, desk)
    seconds = time.monotonic() - start
    print(f"{'FAILED' if message else 'ok':8} {one.name:28} {seconds:6.1f} s", flush=True)
    return Result(one, message, seconds, again=late)


def _tried(one: Check, desk: Desk) -> tuple[str, bool]:
    """Return why a check failed, or nothing, and whether something was only waited for in vain."""
    try:
        with _limit(one.seconds):
            one.run(desk)
    except HungError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever it is, it is this check's failure
        _keep_evidence(one, desk.vm, traceback.format_exc())
        return str(error) or repr(error), isinstance(error, LateError)
    return "", False


def _keep_evidence(one: Check, vm: Machine, trace: str) -> None:
    """Write down what a person needs to understand a failure."""
    vm.qemu.picture(FAILURES / f"{one.name}.png")
    front = vm.active_vt()
    parts = [trace, *(f"VT {vt}:\n{vm.screen(vt)}" for vt in sorted({front, 1, 8}))]
    parts.append(vm.run("journalctl -b --no-pager -n 150").out)
    (FAILURES / f"{one.name}.txt").write_text("\n\n".join(parts))


@contextlib.contextmanager
def _machine(*, keep: bool) -> Iterator[Machine]:
    image = build()
    vm = Machine(image, RUNNING, keep=keep)
    try:
        yield vm
    except HungError as error:
        tail = vm.qemu.serial_tail()
        vm.stop()
        raise HungError(f"{error}\nthe serial line said last:\n{tail}") from error
    except BaseException:
        vm.stop()
        raise
    if keep:
        print(f"kept: a root shell is at {RUNNING}/serial; end it with: kill {vm.qemu.pid}")
        return
    vm.stop()


@contextlib.contextmanager
def _limit(seconds: float) -> Iterator[None]:
    """Raise TimeUpError in the block when it takes longer; limits nest."""
    outer_left, _ = signal.getitimer(signal.ITIMER_REAL)
    start = time.monotonic()
    inner = not outer_left or seconds < outer_left

    def ring(*_: object) -> None:
        raise TimeUpError(f"it took longer than {seconds if inner else outer_left:.0f} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds if inner else outer_left)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        if outer_left:
            left = outer_left - (time.monotonic() - start)
            signal.setitimer(signal.ITIMER_REAL, max(0.001, left))


def _report(chosen: list[Check], results: list[Result], trouble: str, seconds: float) -> int:
    width = max((len(one.name) for one in chosen), default=5)
    print(f"\n{'check':{width}}  result  seconds  what it proves")
    for one, message, took, again in results:
        word = "FAILED" if message else "again " if again else "ok    "
        print(f"{one.name:{width}}  {word}  {took:7.1f}  {one.proves}")
    not_run = chosen[len(results) :]
    for one in not_run:
        print(f"{one.name:{width}}  FAILED        -  {one.proves}")
    for one, message, _, _ in results:
        if message:
            print(f"\n{one.name}: {message}\n  more in {FAILURES}/{one.name}.txt and .png")
    if trouble:
        print(f"\nthe run ended early: {trouble}")
    failed = len(not_run) + sum(bool(result.message) for result in results)
    passed = len(chosen) - failed
    print(f"\npictures in {PICTURES}; the whole run took {seconds:.0f} s")
    print(f"{passed} passed, {failed} failed")
    return 0 if passed and not failed and not trouble else 1


if __name__ == "__main__":
    if os.geteuid():
        sys.exit("test-vm: making the image needs root: run it as root, or with sudo")
    sys.exit(main())
