"""Text that no order can carry: an argument or a variable of the environment that is not UTF-8."""

from privyseal.errors import UsageError
from privyseal.model.value import encode

_SHOWN = 80


def check(value: object) -> None:
    """Refuse a value that holds such text; nothing secret may be in it, for the text is quoted.

    Raises:
        UsageError: It does.
    """
    try:
        encode(value)
    except UnicodeEncodeError as error:
        raise UsageError(f"this is no text in UTF-8: {error.object[:_SHOWN]!r}") from None
