"""The receipt key: made once, private, and refused when it is not."""

import stat

import msgspec
import pytest
from tests.audit_log import receipt

from privyseal.errors import CorruptError, PrivysealError
from privyseal.keeper.receipts import Signer
from privyseal.wire.auditcheck import check_receipt


def test_the_key_is_made_once_and_private(tmp_path):
    path = tmp_path / "keys" / "receipts"
    first = Signer.open(path)

    assert Signer.open(path).public_key == first.public_key
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [entry.name for entry in path.parent.iterdir()] == ["receipts"]


def test_two_keys_differ(tmp_path):
    assert Signer.open(tmp_path / "a").public_key != Signer.open(tmp_path / "b").public_key


def test_a_signed_receipt_passes_and_a_changed_one_does_not(tmp_path):
    signed = Signer.open(tmp_path / "key").sign(receipt("r1"))
    check_receipt(signed)

    with pytest.raises(CorruptError, match="signature"):
        check_receipt(msgspec.structs.replace(signed, decided_by="somebody else"))


@pytest.mark.parametrize("text", ["", "00", "zz" * 32, "00" * 33, "\u20ac" * 32])
def test_a_file_without_a_key_is_refused_and_kept(tmp_path, text):
    path = tmp_path / "key"
    path.touch(0o600)
    path.write_text(text)

    with pytest.raises(CorruptError, match="holds no receipt key"):
        Signer.open(path)
    assert path.read_text() == text


def test_a_key_that_others_could_read_is_refused(tmp_path):
    path = tmp_path / "key"
    Signer.open(path)
    path.chmod(0o640)

    with pytest.raises(PrivysealError, match="open to other users"):
        Signer.open(path)


def test_a_symbolic_link_is_not_followed(tmp_path):
    Signer.open(tmp_path / "real")
    (tmp_path / "key").symlink_to(tmp_path / "real")

    with pytest.raises(PrivysealError, match="cannot use the receipt key"):
        Signer.open(tmp_path / "key")
