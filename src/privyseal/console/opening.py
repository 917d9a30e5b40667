"""The first frame of a companion's console, drawn before anything slow is loaded.

After the secure attention key has ended every program on the terminal, this is what tells a person
that the real console is back; so it imports no value types, no event loop and no bus.
"""

import os
from pathlib import Path
from typing import Final

from privyseal.console.layout import Line, column, line, spread
from privyseal.console.terminal import Terminal
from privyseal.wire.sanitise import fit

NO_PHRASE: Final = "no phrase"
_LONGEST_PHRASE: Final = 200
_PHRASE_CELLS: Final = 28


def phrase() -> str:
    """Return the phrase by which the user knows this screen; systemd hands it over as a credential.

    systemd.exec(5), LoadCredential=: a file in the folder CREDENTIALS_DIRECTORY.
    """
    folder = os.environ.get("CREDENTIALS_DIRECTORY", "")
    try:
        with (Path(folder) / "phrase").open("rb") as file:
            text = file.read(_LONGEST_PHRASE).decode(errors="replace").strip()
    except OSError:
        text = ""
    return fit(text, _PHRASE_CELLS, console=True) or NO_PHRASE


def paint(terminal: Terminal, vt: int, words: str) -> None:
    """Draw the first frame with the phrase `words`."""
    columns, rows = terminal.size()
    left, right = line((f" PRIVYSEAL   vt{vt}   {words}", "bar")), line(("starting ", "bar"))
    said: list[Line] = [(), line(" Starting: nothing can be decided yet.")]
    frame = [spread(left, right, columns, "bar"), *column(said, rows - 1, columns)]
    terminal.draw(frame, flush=True)
