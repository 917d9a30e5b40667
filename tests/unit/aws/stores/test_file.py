"""The file store: aws-vault's files read, ours in its form, and its defects avoided."""

import json
from pathlib import Path

import jwcrypto.jwa
import pytest
from jwcrypto.common import base64url_encode
from jwcrypto.jwe import JWE
from jwcrypto.jwk import JWK
from tests.fakes import FakeClock

from privyseal.aws.items import decode_access_key, key_item
from privyseal.aws.ports import Item
from privyseal.aws.stores.file import FileStore
from privyseal.errors import CorruptError, DeniedError, LimitError, NotFoundError, UsageError
from privyseal.model.aws import AccessKey
from privyseal.model.secret import Secret
from privyseal.wire import jwe

# Made from primitives and opened by jwcrypto; the passphrase is `correct horse`.
VECTOR = (
    "eyJhbGciOiJQQkVTMi1IUzI1NitBMTI4S1ciLCJlbmMiOiJBMjU2R0NNIiwiY3JlYXRlZCI6IjIwMjYtMTEtMjEgMjI"
    "6NTU6MDAuMTIzICswMDAwIFVUQyBtPSswLjAxIiwicDJjIjo4MTkyLCJwMnMiOiJvSVNiVkNZdjNYajJLVThrIn0.wc"
    "f2M3guDWJJEs_2F3e8zPiMwvVOOxOSqLzcdC3qdKdKKzmlsY8pKQ.opmi3rxv5x8tpFNC.CR2-eAQLl-2COFztMQNkI"
    "PQWEm4kP0ZFHoFL2oWN5Rc5Zh9k2wazQuNBbR_Yql_m4MB_HPnhLP_m3FOV0Hjt_jSePAvyeI0awM5jXO3u_rP_HdHS"
    "PTFxNlOfvppNwL6RL2O9dmsa18qMD_5bT1OCmb2kDPdhBE7aYFGEDy3TtczIa4k5Yb1BZUP_WrsULkIpgzd8hid6pP3"
    "S9sspro7OxHuxKSCieXIWMtdm1TXShKzPeQYgHolZ9TVWCoR5JUuQ43n-R_yeCNwc97_wH1NAOyfhug.cL4nAPUIM9T"
    "juOV_Ox-iug"
)
KEY = AccessKey(access_key_id="AKIAEXAMPLE", secret_access_key="secret")
TOKEN = "oidc:https://x.awsapps.com/start"


class Passphrase:
    """Answers with one passphrase, and remembers how it was asked."""

    def __init__(self, text: str) -> None:
        self.asked: list[bool] = []
        self._text = text

    def __call__(self, *, new: bool) -> Secret:
        self.asked.append(new)
        return Secret(self._text.encode())


def store(folder: Path, text: str = "correct horse", *, rounds: int = 1000) -> FileStore:
    return FileStore(folder, Passphrase(text), FakeClock(), rounds=rounds)


def unlocked(text: bytes) -> dict[str, str]:
    token = JWE(algs=[jwe.ALG, jwe.ENC])
    token.deserialize(text.decode())
    token.decrypt(JWK(kty="oct", k=base64url_encode(b"correct horse")))
    found: dict[str, str] = json.loads(token.payload)
    return found


def test_key_that_aws_vault_stored_is_read(tmp_path):
    (tmp_path / "jon").write_text(VECTOR)
    item = store(tmp_path).read("jon")
    assert item.label == "aws-vault (jon)"
    assert decode_access_key(item.value.expose()) == KEY


def test_an_independent_library_opens_what_is_stored(tmp_path, monkeypatch):
    monkeypatch.setattr(jwcrypto.jwa, "default_max_pbkdf2_iterations", jwe.MAX_ROUNDS)
    FileStore(tmp_path, Passphrase("correct horse"), FakeClock()).write(
        key_item("jon", KEY, added=5)
    )
    found = unlocked((tmp_path / "jon").read_bytes())
    assert (found["Key"], found["Label"]) == ("jon", "aws-vault (jon)")


def test_rounds_are_raised_as_far_as_aws_vault_still_reads(tmp_path):
    FileStore(tmp_path, Passphrase("x"), FakeClock()).write(Item("jon", Secret(b"1")))
    rounds = jwe.parse((tmp_path / "jon").read_bytes()).rounds
    assert 600_000 <= rounds <= 1_300_000


def test_name_has_its_slashes_escaped_and_nothing_else(tmp_path):
    store(tmp_path).write(Item(TOKEN, Secret(b"t")))
    assert [path.name for path in tmp_path.iterdir()] == ["oidc:https:%2F%2Fx.awsapps.com%2Fstart"]


@pytest.mark.parametrize("key", ["jon", TOKEN, "a%2Fb", "100%", ".hidden", "..", "a,b c", "ü/ß"])
def test_every_name_comes_back(tmp_path, key):
    place = store(tmp_path)
    place.write(Item(key, Secret(b"v")))
    assert list(place.entries()) == [key]
    assert place.read(key).value == Secret(b"v")


def test_listing_gives_notes_and_asks_for_no_passphrase(tmp_path):
    store(tmp_path).write(key_item("jon", KEY, added=5))
    ask = Passphrase("never asked")
    entries = FileStore(tmp_path, ask, FakeClock()).entries()
    assert entries["jon"]["tail"] == "MPLE"
    assert ask.asked == []


def test_notes_come_back_with_the_entry(tmp_path):
    item = key_item("jon", KEY, added=5)
    store(tmp_path).write(item)
    assert store(tmp_path).read("jon").notes == {k: v for k, v in item.notes.items() if v}


def test_wrong_passphrase_stores_nothing_beside_what_is_there(tmp_path):
    (tmp_path / "jon").write_text(VECTOR)
    with pytest.raises(DeniedError, match="nothing was stored"):
        store(tmp_path, "battery staple").write(Item("ada", Secret(b"1")))
    assert [path.name for path in tmp_path.iterdir()] == ["jon"]


def test_entry_with_another_passphrase_is_not_replaced(tmp_path):
    store(tmp_path).write(Item("jon", Secret(b"1")))
    (tmp_path / "moved").mkdir()
    store(tmp_path / "moved", "other").write(Item("ada", Secret(b"2")))
    (tmp_path / "moved" / "ada").rename(tmp_path / "ada")
    with pytest.raises(DeniedError):
        store(tmp_path).write(Item("ada", Secret(b"3")))
    assert store(tmp_path, "other").read("ada").value == Secret(b"2")


def test_passphrase_of_a_new_store_is_to_be_chosen(tmp_path):
    ask = Passphrase("x")
    FileStore(tmp_path / "new", ask, FakeClock(), rounds=1000).write(Item("jon", Secret(b"1")))
    assert ask.asked == [True]


def test_passphrase_is_asked_for_once(tmp_path):
    store(tmp_path).write(Item("jon", Secret(b"1")))
    ask = Passphrase("correct horse")
    place = FileStore(tmp_path, ask, FakeClock(), rounds=1000)
    place.write(Item("ada", Secret(b"2")))
    assert place.read("jon").value == Secret(b"1")
    assert ask.asked == [False]


def test_files_are_for_their_owner_alone(tmp_path):
    folder = tmp_path / "awsvault" / "keys"
    store(folder).write(Item("jon", Secret(b"1")))
    assert folder.stat().st_mode & 0o777 == 0o700
    assert (folder / "jon").stat().st_mode & 0o777 == 0o600


def test_failed_write_leaves_the_old_entry_whole(tmp_path):
    place = store(tmp_path)
    place.write(Item("jon", Secret(b"old")))

    def broken(count: int) -> bytes:
        raise OSError(count)

    with pytest.raises(OSError, match="32"):
        FileStore(
            tmp_path, Passphrase("correct horse"), FakeClock(), rounds=1000, random=broken
        ).write(Item("jon", Secret(b"new")))
    assert place.read("jon").value == Secret(b"old")
    assert [path.name for path in tmp_path.iterdir()] == ["jon"]


def test_stray_files_are_no_entries(tmp_path):
    (tmp_path / "notes.txt").write_text("shopping")
    (tmp_path / ".jon.x1y2").write_text(VECTOR)
    (tmp_path / "folder").mkdir()
    assert store(tmp_path).entries() == {}
    with pytest.raises(CorruptError, match=r"notes\.txt"):
        store(tmp_path).read("notes.txt")


def test_folders_among_the_files_cost_no_descriptors(tmp_path):
    for number in range(8):
        (tmp_path / f"folder{number}").mkdir()
    place, own = store(tmp_path), Path("/proc/self/fd")
    before = len(list(own.iterdir()))
    assert place.entries() == {}
    assert len(list(own.iterdir())) == before


def test_what_is_not_there_is_not_found(tmp_path):
    place = store(tmp_path / "missing")
    assert place.entries() == {}
    with pytest.raises(NotFoundError):
        place.read("jon")
    with pytest.raises(NotFoundError):
        place.remove("jon")


@pytest.mark.parametrize(("key", "error"), [("", UsageError), ("a\0", UsageError)])
def test_name_that_no_file_can_have_is_refused(tmp_path, key, error):
    with pytest.raises(error):
        store(tmp_path).write(Item(key, Secret(b"1")))


def test_name_that_is_too_long_is_refused(tmp_path):
    with pytest.raises(LimitError):
        store(tmp_path).write(Item("x" * 300, Secret(b"1")))


@pytest.mark.parametrize(
    ("left", "why"),
    [(b"", "it is empty"), (bytes(4096), "it is empty"), (VECTOR.encode()[:200], "five parts")],
)
def test_what_a_full_disk_leaves_of_an_entry_is_damaged_and_not_missing(tmp_path, left, why):
    (tmp_path / "jon").write_bytes(left)
    assert list(store(tmp_path).entries()) == ["jon"]
    with pytest.raises(CorruptError, match=f"{tmp_path}/jon' is damaged: .*{why}") as caught:
        store(tmp_path).read("jon")
    assert "privy aws add" in caught.value.hint
