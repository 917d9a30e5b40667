"""Which way a person is asked for a code, and where a code comes from before she is asked at all."""

import shutil
import sys
import time
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from privyseal.errors import DeniedError, UsageError
from privyseal.model.clock import Clock

Ask = Callable[[str, str, Mapping[str, str]], str]
"""Takes the message, the serial number of the device and the environment; returns the answer."""

_STEP_SECONDS: Final = 30


class Driver(NamedTuple):
    """One way to ask; `program` must be there, and `needs` names variables of which one must be.

    One that `computes` codes asks nobody, and gives the same code until the next step begins.
    """

    name: str
    program: str = ""
    needs: tuple[str, ...] = ()
    computes: bool = False

    def available(self, environment: Mapping[str, str]) -> bool:
        """Tell whether it can ask now."""
        if self.name == "wincredui":
            return sys.platform == "win32"
        if self.name == "terminal":
            from privyseal.aws.prompts.terminal import there  # noqa: PLC0415 - most runs ask nothing

            return there()
        path = environment.get("PATH")
        return shutil.which(self.program, path=path) is not None and (
            not self.needs or any(environment.get(name) for name in self.needs)
        )

    def load(self) -> Ask:
        """Return its function; only what is used is imported."""
        match self.name:
            case "terminal":
                from privyseal.aws.prompts.terminal import terminal  # noqa: PLC0415

                return terminal
            case "pinentry":
                from privyseal.aws.prompts.pinentry import pinentry  # noqa: PLC0415

                return pinentry
            case "wincredui":
                from privyseal.aws.prompts.wincredui import wincredui  # noqa: PLC0415

                return wincredui
            case _:
                from privyseal.aws.prompts import programs  # noqa: PLC0415

                found: Ask = getattr(programs, self.name)
                return found


_DISPLAY: Final = ("WAYLAND_DISPLAY", "DISPLAY")
TERMINAL: Final = Driver("terminal")
DRIVERS: Final = (
    Driver("kdialog", "kdialog", _DISPLAY),
    Driver("osascript", "osascript"),
    Driver("wincredui"),
    Driver(
        "ykman", "ykman", ("YKMAN_OATH_CREDENTIAL_NAME", "YKMAN_OATH_DEVICE_SERIAL"), computes=True
    ),
    Driver("zenity", "zenity", _DISPLAY),
    Driver("pinentry", "pinentry", _DISPLAY),
    TERMINAL,
)
"""In the order in which they are tried where the terminal is not the place to ask."""

NAMES: Final = tuple(sorted(driver.name for driver in DRIVERS))


def choose(name: str, environment: Mapping[str, str], *, busy: bool) -> Driver:
    """Return the driver of this name, or the best one for no name.

    `busy` says that the terminal is not the place to ask: a command runs there, or our output
    goes elsewhere; then a window is better, and the terminal comes last.

    Raises:
        UsageError: There is no such driver, or it cannot ask here.
    """
    if name == "pass":
        raise UsageError(
            "the prompt `pass` is gone", hint="set `mfa_process = pass otp SERIAL` in the profile"
        )
    if not name:
        if busy:
            return next((each for each in DRIVERS if each.available(environment)), TERMINAL)
        windows = (each for each in DRIVERS if each.available(environment))
        return TERMINAL if TERMINAL.available(environment) else next(windows, TERMINAL)
    found = next((driver for driver in DRIVERS if driver.name == name), None)
    if found is None:
        raise UsageError(f"no prompt is called {name!r}", hint=f"choose one of {', '.join(NAMES)}")
    if found.program and shutil.which(found.program, path=environment.get("PATH")) is None:
        raise UsageError(f"the prompt {name!r} needs {found.program}, which is not installed")
    return found


class CodeSource:
    """Gives codes to the engine: the one of `--mfa-token` once, then those of a command or a person.

    Args:
        token: A code that was given with the command.
        process: The command line of `mfa_process`, "" for none.
        driver: Asks the person when there is neither.
    """

    def __init__(
        self,
        token: str,
        process: str,
        driver: Callable[[], Driver],
        environment: Mapping[str, str],
        clock: Clock,
        *,
        wait: Callable[[float], None] = time.sleep,  # in her own process, where Ctrl-C ends it
    ) -> None:
        self._token = token
        self._process = process
        self._driver = driver
        self._environment = environment
        self._clock = clock
        self._wait = wait

    def code(self, serial: str, again: str = "") -> str:
        """Return a code; `again` says what was wrong with the last one.

        Raises:
            DeniedError: There is none: the person gave up, or the one that was given is spent.
            UsageError: There is nobody to ask.
        """
        if self._token:
            token, self._token = self._token, ""
            if not again:
                return token
        if self._process:
            return self._computed(again)
        text = f"Enter MFA code for {serial}: "
        try:
            driver = self._driver()
            if again and driver.computes:
                self._next_step()
            return driver.load()(
                f"{again[:1].upper()}{again[1:]}. {text}" if again else text,
                serial,
                self._environment,
            )
        except UsageError as error:
            if again:
                raise DeniedError(f"{again}, and there is nobody to ask", hint=error.hint) from None
            raise

    def _computed(self, again: str) -> str:
        from privyseal.aws.prompts.programs import run  # noqa: PLC0415 - most runs ask nothing

        if again:
            self._next_step()
        # A shell, as aws-vault has it. The text is the user's own, from her profile.
        return run(["/bin/sh", "-c", self._process], self._environment, terminal=True)

    def _next_step(self) -> None:
        # What computes codes gives the same one until the next step begins (RFC 6238).
        self._wait(_STEP_SECONDS - self._clock.wall() % _STEP_SECONDS)
