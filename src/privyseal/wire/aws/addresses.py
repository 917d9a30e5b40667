"""URLs taken apart, whatever they hold."""

from urllib.parse import SplitResult, urlsplit

from privyseal.errors import UsageError

_SHOWN = 200


def parts_of(url: str) -> SplitResult:
    """Return the parts of a URL.

    Raises:
        UsageError: Its brackets, its host or its port are no such thing.
    """
    try:
        parts = urlsplit(url)
        _ = parts.hostname, parts.port
    except ValueError as error:
        raise UsageError(f"{url[:_SHOWN]!r} is no address") from error
    return parts
