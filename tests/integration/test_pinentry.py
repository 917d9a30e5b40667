"""Our pinentry between the real gpg-agent and a keeper that answers for a person."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.integration.gnupg_folder import gnupg_folder
from tests.private_bus import private_bus
from tests.waiting import PATIENCE, eventually

from privyseal.errors import DeniedError
from privyseal.model.secret import Secret
from privyseal.provider.passtree.gpg import Gpg
from privyseal.provider.pinentry import Pinentry, converse
from privyseal.runtime.bus import DBUS, Call, Connection, Method, Reply
from privyseal.runtime.memfd import seal
from privyseal.wire.keeper import BUS_NAME, DECISION

PASSPHRASE = "p%61ss ä\twort"


@dataclass
class Person:
    """Answers each question with the next of `answers`; None cancels, "" waits for who asks."""

    answers: list[str | None] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    left: asyncio.Event = field(default_factory=asyncio.Event)

    async def pin(self, call: Call) -> Reply:
        self.asked.append(call.body[0])
        answer = self.answers.pop(0)
        if answer is None:
            raise DeniedError("cancelled at the console")
        if not answer:
            await self.left.wait()
        return Reply([0], [seal(answer.encode())])

    def watch(self, _path: str, body: list[object]) -> None:
        if self.asked and not body[2]:
            self.left.set()


@dataclass(frozen=True)
class Office:
    """A GnuPG home whose agent asks our pinentry, and a file that takes the passphrase."""

    home: Path
    sealed: bytes
    person: Person
    address: str

    async def decrypt(self) -> "subprocess.CompletedProcess[bytes]":
        def work() -> "subprocess.CompletedProcess[bytes]":
            return subprocess.run(
                ["gpg", "--batch", "--no-tty", "--status-fd", "2", "--decrypt"],
                input=self.sealed,
                capture_output=True,
                check=False,
                timeout=PATIENCE,
                env={"PATH": os.environ["PATH"], "GNUPGHOME": str(self.home)},
            )

        return await asyncio.to_thread(work)


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[Office]:
    with gnupg_folder() as folder, private_bus(tmp_path) as address:
        home = folder / ".gnupg"
        wrapper = folder / "pinentry"
        python, module = sys.executable, "privyseal.provider.pinentry"
        wrapper.write_text(f'#!/bin/sh\nexec {python} -m {module} --bus-address {address} "$@"\n')
        wrapper.chmod(0o700)
        with (home / "gpg-agent.conf").open("a") as conf:
            conf.write(f"pinentry-program {wrapper}\n")
        gpg = Gpg(home)
        key = await gpg.make_key(Secret(PASSPHRASE.encode()))
        sealed = await gpg.encrypt(b"it is open", [key])
        await gpg.lock()
        async with asyncio.TaskGroup() as group:
            with closing(await Connection.open(group, address)) as connection:
                person = Person()
                connection.serve({(DECISION, "Pin"): Method("s", "h", person.pin)})
                await connection.claim(BUS_NAME)
                await connection.listen(DBUS, DBUS, "NameOwnerChanged", person.watch)
                yield Office(home, sealed, person, address)


async def test_the_agent_gets_what_a_person_types_on_the_console(office: Office) -> None:
    office.person.answers = [PASSPHRASE]
    done = await office.decrypt()
    assert done.stdout == b"it is open", done.stderr
    assert "Privyseal store" in office.person.asked[0]
    assert "\n" not in office.person.asked[0]


async def test_after_a_wrong_passphrase_the_agent_asks_again_and_says_so(office: Office) -> None:
    office.person.answers = ["wrong", PASSPHRASE]
    assert (await office.decrypt()).stdout == b"it is open"
    assert "Bad Passphrase" in office.person.asked[1]


async def test_cancelling_at_the_console_cancels_at_the_agent(office: Office) -> None:
    office.person.answers = [None]
    done = await office.decrypt()
    assert b"Operation cancelled" in done.stderr
    assert len(office.person.asked) == 1


async def test_an_agent_that_ends_takes_its_question_back(office: Office) -> None:
    office.person.answers = [""]
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(office.decrypt())
        await eventually(lambda: bool(office.person.asked))
        await Gpg(office.home).close()
        assert (await waiting).returncode != 0
    async with asyncio.timeout(PATIENCE):
        await office.person.left.wait()


async def _talk(
    lines: bytes, *, answers: Sequence[str | None] = (), held: bool = False
) -> tuple[str, list[str]]:
    """Return what our side says to `lines`, and what it asks."""
    asked: list[str] = []
    said: list[bytes] = []
    rest = list(answers)

    async def ask(text: str) -> Secret:
        asked.append(text)
        answer = rest.pop(0)
        if answer is None:
            raise DeniedError("no")
        if not answer:
            await asyncio.Event().wait()
        return Secret(answer.encode())

    reader = asyncio.StreamReader()
    reader.feed_data(lines)
    if not held:
        reader.feed_eof()
    async with asyncio.timeout(PATIENCE):
        await converse(Pinentry(ask), reader, said.append)
    return b"".join(said).decode(), asked


async def test_the_usual_beginning_of_an_agent_is_understood() -> None:
    said, _ = await _talk(
        b"OPTION grab\nOPTION ttyname=/dev/tty1\nOPTION lc-ctype=C\nGETINFO flavor\nSETKEYINFO n/AB\n"
        b"SETOK ok\nSETCANCEL no\nSETTIMEOUT 0\nNOP\nMESSAGE\nCONFIRM --one-button\nRESET\nBYE\n",
        held=True,
    )
    assert "ERR" not in said
    assert "D privyseal\n" in said
    assert said.endswith("OK closing connection\n")


async def test_what_is_unknown_or_malformed_is_an_error_and_no_end() -> None:
    said, _ = await _talk(b"SETREPEAT x\n!!\nGETINFO colour\nSETTIMEOUT soon\nBYE\n", held=True)
    assert [line.split()[:2] for line in said.splitlines()] == [
        ["ERR", "83886355"],
        ["ERR", "83886355"],
        ["ERR", "83886360"],
        ["ERR", "83886360"],
        ["OK", "closing"],
    ]


async def test_a_confirmation_takes_the_word_yes() -> None:
    lines = b"SETDESC Delete%21\nCONFIRM\nCONFIRM\nCONFIRM\nBYE\n"
    said, asked = await _talk(lines, answers=["yes", "no", None], held=True)
    assert [line.split()[1:2] for line in said.splitlines()[1:4]] == [
        [],
        ["83886194"],
        ["83886179"],
    ]
    assert asked[0].startswith("Delete! ")


async def test_nobody_answering_in_time_is_a_timeout() -> None:
    said, _ = await _talk(b"SETTIMEOUT 1\nGETPIN\nBYE\n", answers=[""], held=True)
    assert "ERR 83886142" in said


async def test_a_line_without_end_ends_the_conversation() -> None:
    said, _ = await _talk(b"SETDESC " + b"x" * 5000, held=True)
    assert said.startswith("ERR 83886081 ")


async def test_the_end_of_input_takes_an_open_question_back() -> None:
    said, _ = await _talk(b"GETPIN\n", answers=[""])
    assert said == ""
