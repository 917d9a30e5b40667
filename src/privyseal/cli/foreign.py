"""Foreign text made fit for a terminal."""

import unicodedata


def fit(text: str, most: int) -> str:
    """Return `text` with everything that could steer a terminal replaced, cut to `most` cells."""
    plain = "".join(
        c if c == " " or unicodedata.category(c)[0] not in "CZ" else "\ufffd" for c in text
    )
    if width(plain) <= most:
        return plain
    half = (most - 1) // 2
    return f"{plain[: most - 1 - half]}…{plain[-half:] if half else ''}"


def width(text: str) -> int:
    """Return how many cells `text` takes."""
    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1
        for c in text
    )
