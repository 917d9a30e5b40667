"""Whatever a program prints in the place of keyctl, security, pass, KWallet: an entry or an error."""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import PIPE, Popen
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from tests.damage import damaged, our_errors_alone
from tests.integration.aws.fake_kwallet import FakeKWallet, fake_kwallet
from tests.private_bus import private_bus
from tests.soak import times
from tests.waiting import until

from privyseal.aws.items import encode_item, key_item
from privyseal.aws.known import known
from privyseal.aws.ports import Item, KeyStore
from privyseal.aws.stores.keychain import KeychainStore
from privyseal.aws.stores.keyctl import KeyctlStore
from privyseal.aws.stores.kwallet import KWalletStore
from privyseal.aws.stores.notes import NoteFile
from privyseal.aws.stores.passtool import Pass
from privyseal.aws.stores.tree import TreeStore
from privyseal.errors import LimitError, UsageError
from privyseal.model.aws import AccessKey
from privyseal.model.secret import Secret
from privyseal.model.value import encode

ENTRY = key_item("jon", AccessKey(access_key_id="AKIAEXAMPLE", secret_access_key="hush"), added=1)


class Program(NamedTuple):
    """A program under the name of another, that prints and complains of what it was given."""

    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        return {"PATH": f"{self.folder}:/usr/bin:/bin"}

    def says(self, printed: bytes, complaint: bytes = b"", status: int = 0) -> None:
        (self.folder / "printed").write_bytes(printed)
        (self.folder / "complaint").write_bytes(complaint)
        (self.folder / "status").write_text(f"{status}\n")


@pytest.fixture
def program(tmp_path: Path) -> Program:
    for name in ("keyctl", "security", "pass"):
        path = tmp_path / name
        path.write_text(
            f"#!/bin/sh\ncat {tmp_path}/printed; cat {tmp_path}/complaint >&2\n"
            f"read status <{tmp_path}/status; exit $status\n"
        )
        path.chmod(0o755)
    return Program(tmp_path)


def few() -> Callable[[Any], Any]:
    return settings(
        max_examples=times(15, soak=2_000),
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture],
    )


def used(store: KeyStore) -> None:
    with our_errors_alone():
        assert encode(known(store.entries()))
    with our_errors_alone():
        assert store.read("jon").key == "jon"
    with our_errors_alone():
        store.write(Item("jon", Secret(b"{}")))
    with our_errors_alone():
        store.remove("jon")


ATTRIBUTES = (
    b'keychain: "x"\n    "acct"<blob>="jon"\n    "svce"<blob>="aws-vault"\n',
    b'keychain: "x"\n    "acct"<blob>=0x6A6F6  "?"\n    "svce"<blob>="aws-vault"\n',
    b'keychain: "x"\n    "acct"<blob>=0xFFFF\n    "svce"<blob>=0x6177732D7661756C74\n',
    b'keychain: "x"\n    "acct"<blob>=<NULL>\n    "svce"<blob>="aws-vault"\n',
    b'keychain: "x"\n    "acct"<blob>="\\777"\n    "svce"<blob>="aws-vault"\n',
    b"123\n",
    b"user;0;0;3f010000;jon\n",
    b"user;0\n",
    b"\xff\xfe\n",
)
STATUSES = st.sampled_from([0, 0, 0, 1])


@few()
@given(
    printed=st.binary(max_size=200) | st.sampled_from(ATTRIBUTES),
    complaint=st.binary(max_size=50) | st.sampled_from([b"could not be found", b"No such key"]),
    status=STATUSES,
)
def test_keyctl_and_security(
    program: Program, printed: bytes, complaint: bytes, status: int
) -> None:
    program.says(printed, complaint, status)
    used(KeychainStore("aws-vault", program.environment))
    used(KeyctlStore(program.environment))


@pytest.mark.parametrize("printed", ATTRIBUTES)
def test_odd_attributes(program: Program, printed: bytes) -> None:
    program.says(printed)
    used(KeychainStore("aws-vault", program.environment))
    used(KeyctlStore(program.environment))


@few()
@given(text=damaged({"Key": "jon", "Data": "AAA=", "Label": "x"}), status=STATUSES)
def test_pass(program: Program, text: bytes, status: int) -> None:
    program.says(text, b"gpg: no", status)
    top = program.folder / "store"
    top.mkdir(exist_ok=True)
    (top / "jon.gpg").touch()
    (top / "verdicts").unlink(missing_ok=True)
    used(TreeStore(top, "", Pass("pass", top, program.environment), NoteFile(top / "verdicts")))


def test_a_program_without_end_is_cut_off_and_its_input_may_stay_unread(program: Program) -> None:
    (program.folder / "pass").write_text("#!/bin/sh\nexec cat /dev/zero\n")
    cipher = Pass("pass", program.folder, program.environment)
    with pytest.raises(LimitError, match="prints more than"):
        cipher.insert("jon", bytes(10**6))


def test_a_complaint_without_end_holds_nothing_up(program: Program) -> None:
    (program.folder / "pass").write_text(
        "#!/bin/sh\nhead -c 3000000 /dev/zero >&2; cat >/dev/null; echo done\n"
    )
    cipher = Pass("pass", program.folder, program.environment)
    cipher.insert("jon", bytes(10**6))
    assert cipher.show("jon") == b"done\n"


SHOWING = """
import sys
from pathlib import Path
from privyseal.aws.stores.passtool import Pass
Pass("pass", Path(sys.argv[1]), {"PATH": f"{sys.argv[1]}:/usr/bin:/bin"}).show("jon")
"""


def test_an_interrupt_waits_for_nothing_that_a_program_left_behind(program: Program) -> None:
    (program.folder / "pass").write_text(
        f"#!/bin/sh\n(trap '' INT; echo $$ >{program.folder}/left; exec sleep 600) &\nsleep 600\n"
    )
    left = program.folder / "left"
    with Popen(
        [sys.executable, "-c", SHOWING, str(program.folder)],
        stderr=PIPE,
        start_new_session=True,
    ) as person:
        until(lambda: left.exists() and left.read_text().endswith("\n"))
        try:
            os.kill(person.pid, signal.SIGINT)
            assert person.wait(30) == -signal.SIGINT
        finally:
            os.killpg(person.pid, signal.SIGKILL)


def test_a_name_that_no_argument_can_be_is_refused(program: Program) -> None:
    with pytest.raises(UsageError, match="NUL"):
        KeychainStore("aws-vault", program.environment).read("a\0b")


@pytest.fixture
def wallet(tmp_path: Path) -> Iterator[tuple[KWalletStore, FakeKWallet]]:
    with private_bus(tmp_path) as address, fake_kwallet(address, 6) as made:
        yield KWalletStore(6, address=address), made


@few()
@given(text=damaged({"Key": "jon", "Data": "AAA=", "Label": "x"}))
def test_an_entry_of_a_wallet(wallet: tuple[KWalletStore, FakeKWallet], text: bytes) -> None:
    store, kwallet = wallet
    kwallet.folders["aws-vault"] = {"jon": text, "ada": b""}
    used(store)


ODD: list[tuple[str, object]] = [
    ("s", "x"),
    ("i", 7),
    ("b", True),
    ("as", ["x"]),
    ("ay", b"x"),
    ("a{sv}", {}),
]


@pytest.mark.parametrize(
    ("member", "answer"),
    [
        pytest.param(member, odd, id=f"{member}-{odd[0]}")
        for member in ("open", "has_folder", "entry_list", "read_entry")
        for odd in ODD
        if member != "open" or odd[0] not in {"i", "b"}  # which would be a handle
    ],
)
def test_a_wallet_that_answers_with_something_else(
    wallet: tuple[KWalletStore, FakeKWallet],
    monkeypatch: pytest.MonkeyPatch,
    member: str,
    answer: tuple[str, object],
) -> None:
    store, kwallet = wallet
    kwallet.folders["aws-vault"] = {"jon": encode_item(ENTRY)}
    monkeypatch.setattr(kwallet, member, lambda *_: answer)
    used(store)
