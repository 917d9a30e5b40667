"""A person at the command, played by a test."""

from collections.abc import Callable


class FakeTalk:
    """Answers what the test says, and remembers what was asked and told.

    `codes` is called for each code with its serial number and what was wrong with the last,
    `waits` lets seconds pass.
    """

    def __init__(
        self,
        codes: Callable[[str, str], str] | None = None,
        *,
        waits: Callable[[float], None] | None = None,
    ) -> None:
        self.asked: list[tuple[str, str]] = []
        self.told: list[str] = []
        self._codes = codes
        self._waits = waits

    def code(self, serial: str, again: str = "") -> str:
        self.asked.append((serial, again))
        assert self._codes is not None, "no code is expected"
        return self._codes(serial, again)

    def redirect(self) -> str:
        return ""

    def page(self, url: str, *, code: str = "", redirect: bool = False) -> str:
        raise AssertionError("no page is expected")

    def wait(self, seconds: float) -> None:
        assert self._waits is not None, "nothing is to be waited for"
        self._waits(seconds)

    def tell(self, text: str) -> None:
        self.told.append(text)
