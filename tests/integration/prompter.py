"""A prompter for gnome-keyring's questions, with a person's answers in place of a window.

gnome-keyring asks whoever owns `org.gnome.keyring.SystemPrompter`. Passwords cross the bus under
the exchange `sx-aes-1` of the gcr library: key files with a group of that name, a Diffie-Hellman
exchange in the 1536-bit group of RFC 3526, HKDF-SHA256 without salt and info to 16 bytes, then
AES-128-CBC with PKCS#7 padding.
"""

import asyncio
import base64
import configparser
import secrets
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.padding import PKCS7
from tests.waiting import PATIENCE

from privyseal.errors import PrivysealError
from privyseal.runtime.bus import Call, Connection, Method, Reply

NAME = "org.gnome.keyring.SystemPrompter"
PROMPTER = "org.gnome.keyring.internal.Prompter"
CALLBACK = "org.gnome.keyring.internal.Prompter.Callback"
GROUP = "sx-aes-1"

PRIME = int(
    "FFFFFFFFFFFFFFFFC90FDAA22168C234C4C6628B80DC1CD129024E088A67CC74"
    "020BBEA63B139B22514A08798E3404DDEF9519B3CD3A431B302B0A6DF25F1437"
    "4FE1356D6D51C245E485B576625E7EC6F44C42E9A637ED6B0BFF5CB6F406B7ED"
    "EE386BFB5A899FA5AE9F24117C4B1FE649286651ECE45B3DC2007CB8A163BF05"
    "98DA48361C55D39A69163FA8FD24CF5F83655D23DCA3AD961C62F356208552BB"
    "9ED529077096966D670C354E4ABC9804F1746C08CA237327FFFFFFFFFFFFFFFF",
    16,
)
LENGTH = 192


class Exchange:
    """One side of `sx-aes-1`."""

    def __init__(self) -> None:
        self._private = secrets.randbits(1024)
        self._key = b""

    def begin(self) -> str:
        public = pow(2, self._private, PRIME).to_bytes(LENGTH)
        return _key_file(public=public)

    def receive(self, text: str) -> None:
        parser = configparser.ConfigParser(interpolation=None)
        parser.read_string(text)
        peer = int.from_bytes(base64.b64decode(parser[GROUP]["public"]))
        shared = pow(peer, self._private, PRIME).to_bytes(LENGTH)
        self._key = HKDF(SHA256(), 16, salt=None, info=None).derive(shared)

    def send(self, secret: bytes) -> str:
        padder = PKCS7(128).padder()
        padded = padder.update(secret) + padder.finalize()
        iv = secrets.token_bytes(16)
        encryptor = Cipher(algorithms.AES(self._key), modes.CBC(iv)).encryptor()
        public = pow(2, self._private, PRIME).to_bytes(LENGTH)
        sealed = encryptor.update(padded) + encryptor.finalize()
        return _key_file(public=public, secret=sealed, iv=iv)


def _key_file(**values: bytes) -> str:
    lines = [f"{name}={base64.b64encode(value).decode()}" for name, value in values.items()]
    return "\n".join([f"[{GROUP}]", *lines, ""])


class Prompter:
    """Answers each question with the next of `answers`; None cancels, as does having no more."""

    def __init__(
        self, group: asyncio.TaskGroup, connection: Connection, answers: Sequence[str | None]
    ) -> None:
        self._group = group
        self._connection = connection
        self._answers = list(answers)
        self._exchanges: dict[str, Exchange] = {}
        self._idle = asyncio.Event()
        self.questions: list[str] = []

    async def serve(self) -> None:
        self._connection.serve(
            {
                (PROMPTER, "BeginPrompting"): Method("o", "", self._begin),
                (PROMPTER, "PerformPrompt"): Method("osa{sv}s", "", self._perform),
                (PROMPTER, "StopPrompting"): Method("o", "", self._stop),
            }
        )
        await self._connection.claim(NAME)

    async def idle(self) -> None:
        """Return when the last question was taken back."""
        async with asyncio.timeout(PATIENCE):
            await self._idle.wait()

    async def _begin(self, call: Call) -> Reply:
        callback = call.body[0]
        exchange = self._exchanges[callback] = Exchange()
        self._tell(call, "PromptReady", "sa{sv}s", ["", {}, exchange.begin()])
        return Reply()

    async def _perform(self, call: Call) -> Reply:
        callback, kind, properties, text = call.body
        self.questions.append(f"{kind}: {properties['message'].value}")
        exchange = self._exchanges[callback]
        exchange.receive(text)
        answer = self._answers.pop(0) if self._answers else None
        if answer is None:
            said = ["no", {}, exchange.begin()]
        else:
            said = ["yes", {}, exchange.send(answer.encode())]
        self._tell(call, "PromptReady", "sa{sv}s", said)
        return Reply()

    async def _stop(self, call: Call) -> Reply:
        self._exchanges.pop(call.body[0], None)
        self._tell(call, "PromptDone", "", [], then=self._idle.set)
        return Reply()

    def _tell(
        self,
        call: Call,
        member: str,
        takes: str,
        body: list[Any],
        then: Callable[[], None] = lambda: None,
    ) -> None:
        async def tell() -> None:
            # Only after the answer to `call`: gnome-keyring expects that order.
            with suppress(PrivysealError):  # it takes its object away without waiting for the end
                path = call.body[0]
                await self._connection.call(call.sender, path, CALLBACK, member, takes, body)
            then()

        self._group.create_task(tell())
