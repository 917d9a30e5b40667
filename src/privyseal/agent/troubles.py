"""What is wrong in the session, by subject: said once to everybody who wants to know."""

import logging
from collections.abc import Callable

log = logging.getLogger(__name__)


class Troubles:
    """Every trouble that lasts."""

    def __init__(self) -> None:
        self._texts: dict[str, str] = {}
        self._hooks: list[Callable[[], None]] = []

    def on_change(self, hook: Callable[[], None]) -> None:
        """Call `hook` whenever there is another trouble, or one less."""
        self._hooks.append(hook)

    def tell(self, subject: str, text: str) -> None:
        """Say what is wrong with a subject, or with the empty text that nothing is any more."""
        if self._texts.get(subject, "") == text:
            return
        if text:
            log.warning("%s", text)
            self._texts[subject] = text
        else:
            log.info("no trouble any more with %s", subject)
            del self._texts[subject]
        for hook in self._hooks:
            hook()

    @property
    def texts(self) -> tuple[str, ...]:
        """What is wrong now, oldest first."""
        return tuple(self._texts.values())
