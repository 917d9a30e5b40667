"""JWE with a passphrase: a vector of the file store, other libraries, and what is refused."""

import json
import os

import jwcrypto.jwa
import pytest
from hypothesis import given, settings, strategies as st
from joserfc import jwe as joserfc_jwe
from joserfc.jwe import JWERegistry
from joserfc.jwk import OctKey
from jwcrypto.common import base64url_encode
from jwcrypto.jwe import JWE
from jwcrypto.jwk import JWK

from privyseal.errors import CorruptError, DeniedError, LimitError, PrivysealError, UnsupportedError
from privyseal.model.secret import Secret
from privyseal.wire import jwe

PASSPHRASE = Secret(b"correct horse battery staple")
SALT = b"0123456789ab"


def sealed(payload: bytes = b"payload", rounds: int = 1000, **more: object) -> bytes:
    kek = jwe.derive(PASSPHRASE, SALT, rounds)
    return jwe.seal(payload, kek=kek, salt=SALT, rounds=rounds, more=more, random=os.urandom)


def opened(text: bytes, passphrase: Secret = PASSPHRASE) -> bytes:
    parsed = jwe.parse(text)
    return jwe.unseal(parsed, jwe.derive(passphrase, parsed.salt, parsed.rounds))


@given(st.binary())
@settings(max_examples=30)
def test_payload_comes_back(payload):
    assert opened(sealed(payload)) == payload


def test_jwcrypto_opens_what_we_seal(monkeypatch):
    monkeypatch.setattr(jwcrypto.jwa, "default_max_pbkdf2_iterations", jwe.MAX_ROUNDS)
    token = JWE(algs=[jwe.ALG, jwe.ENC])
    token.deserialize(
        sealed(b"payload", rounds=600_000, created="now", notes={"tail": "MPLE"}).decode()
    )
    token.decrypt(JWK(kty="oct", k=base64url_encode(PASSPHRASE.expose())))
    assert token.payload == b"payload"


def test_we_open_what_jwcrypto_seals():
    header = json.dumps({"alg": jwe.ALG, "enc": jwe.ENC})
    token = JWE(b"payload", protected=header, algs=[jwe.ALG, jwe.ENC])
    token.add_recipient(JWK(kty="oct", k=base64url_encode(PASSPHRASE.expose())))
    assert opened(token.serialize(compact=True).encode()) == b"payload"


def test_joserfc_opens_what_we_seal():
    registry = JWERegistry(algorithms=[jwe.ALG, jwe.ENC], strict_check_header=False)
    key = OctKey.import_key(PASSPHRASE.expose())
    found = joserfc_jwe.decrypt_compact(sealed(b"payload", created="now"), key, registry=registry)
    assert found.plaintext == b"payload"


def test_another_passphrase_is_denied():
    with pytest.raises(DeniedError):
        opened(sealed(), Secret(b"another"))


@pytest.mark.parametrize("part", range(5))
def test_a_change_anywhere_is_noticed(part):
    parts = sealed().split(b".")
    changed = bytearray(parts[part])
    changed[len(changed) // 2] ^= 1
    parts[part] = bytes(changed)
    with pytest.raises(PrivysealError):
        opened(b".".join(parts))


def test_file_that_asks_for_too_many_rounds_is_refused_before_any_work():
    kek = jwe.derive(PASSPHRASE, SALT, 1000)
    greedy = jwe.seal(b"", kek=kek, salt=SALT, rounds=2**40, more={}, random=os.urandom)
    with pytest.raises(LimitError):
        jwe.parse(greedy)


@pytest.mark.parametrize(
    "header",
    [
        b'{"alg":"dir","enc":"A256GCM"}',
        b'{"alg":"PBES2-HS256+A128KW","enc":"A256GCM","crit":["x"],"p2c":1000,"p2s":"MDEyMzQ1Njc4OQ"}',
    ],
)
def test_another_kind_of_jwe_is_refused(header):
    with pytest.raises(UnsupportedError):
        jwe.parse(base64url_encode(header).encode() + b".AA.AA.AA.AA")


@pytest.mark.parametrize("p2c", ["8192", 0, -1, True, 1.5, None])
def test_count_of_rounds_must_be_one(p2c):
    header = json.dumps({"alg": jwe.ALG, "enc": jwe.ENC, "p2c": p2c, "p2s": "MDEyMzQ1Njc4OQ"})
    with pytest.raises(CorruptError):
        jwe.parse(base64url_encode(header).encode() + b".AA.AA.AA.AA")


@given(st.binary() | st.lists(st.binary(max_size=9), min_size=5, max_size=5).map(b".".join))
def test_junk_is_one_clear_error(text):
    with pytest.raises(PrivysealError):
        jwe.parse(text)
