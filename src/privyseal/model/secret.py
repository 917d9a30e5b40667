"""The one type that carries secret bytes inside a process."""


class Secret:
    """Secret bytes that do not print, pickle, encode or compare in variable time.

    CPython cannot promise erasure, so nothing here pretends to: this class keeps
    secrets out of logs, tracebacks and reprs, and makes every use greppable.
    """

    __slots__ = ("_value", "content_type")

    def __init__(self, value: bytes, content_type: str = "text/plain") -> None:
        self._value = value
        self.content_type = content_type

    def expose(self) -> bytes:
        """Return the bytes; each call site is a line an auditor reads."""
        return self._value

    def __len__(self) -> int:
        return len(self._value)

    def __eq__(self, other: object) -> bool:
        from hmac import compare_digest  # noqa: PLC0415 - loads OpenSSL: 2 ms of each `privy get`

        return isinstance(other, Secret) and compare_digest(self._value, other._value)

    __hash__ = None  # type: ignore[assignment]  # a secret is never a key

    def __repr__(self) -> str:
        return f"Secret(<{len(self._value)} bytes>)"

    def __reduce__(self) -> str:
        raise TypeError("a Secret does not leave the process by pickling")
