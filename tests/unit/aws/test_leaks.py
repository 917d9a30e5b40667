"""What is found of AWS secrets in plain text, told without repeating any."""

import json
import os
from pathlib import Path

import pytest

from privyseal.aws.leaks import Leak, scan

NOW = 1_700_000_000.0
LATER, EARLIER = "2033-05-18T03:33:20Z", "2020-01-01T00:00:00Z"


def found(home: Path) -> list[Leak]:
    folder = home / ".aws"
    return scan(folder / "config", folder / "credentials", folder, NOW)


def put(home: Path, name: str, content: object) -> Path:
    path = home / ".aws" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    path.chmod(0o600)
    return path


def test_home_without_aws_has_no_leaks(tmp_path):
    assert found(tmp_path) == []


@pytest.mark.parametrize(
    ("name", "content", "what", "advice"),
    [
        (
            "credentials",
            "[jon]\naws_access_key_id = AKIAEXAMPLE\naws_secret_access_key = hush\n",
            "a long-lived key …MPLE in [jon]",
            "privy aws migrate",
        ),
        (
            "config",
            "[profile jon]\naws_access_key_id = AKIAEXAMPLE\naws_secret_access_key = hush\n",
            "a long-lived key …MPLE in [profile jon]",
            "privy aws migrate",
        ),
        (
            "credentials",
            "[jon]\naws_access_key_id=ASIAEXAMPLE\naws_secret_access_key=hush\naws_session_token=t\n",
            "temporary credentials …MPLE in [jon]",
            "delete the section",
        ),
        (
            "cli/cache/x.json",
            {
                "Credentials": {
                    "AccessKeyId": "ASIAEXAMPLE",
                    "SecretAccessKey": "hush",
                    "Expiration": LATER,
                }
            },
            "temporary credentials …MPLE, until 2033-05-18 03:33 UTC",
            "delete the file",
        ),
        (
            "sso/cache/x.json",
            {
                "accessToken": "hush",
                "startUrl": "https://x/start",
                "refreshToken": "hush",
                "expiresAt": EARLIER,
            },
            "the token of https://x/start, expired since 2020-01-01 00:00 UTC, and how to renew it",
            "aws sso logout",
        ),
        (
            "sso/cache/y.json",
            {"clientId": "c", "clientSecret": "hush", "expiresAt": "2033-05-18T03:33:20UTC"},
            "a registration as client",
            "delete the file",
        ),
        (
            "login/cache/z.json",
            {"accessToken": {"secretAccessKey": "hush"}, "refreshToken": "hush"},
            "a sign-in of `aws login`",
            "aws logout",
        ),
    ],
)
def test_each_kind_is_told_with_what_to_do(tmp_path, name, content, what, advice):
    path = put(tmp_path, name, content)
    (leak,) = found(tmp_path)
    assert (leak.path, leak.what) == (str(path), what)
    assert advice in leak.advice
    assert "hush" not in repr(leak)


def test_file_that_others_may_read_is_told_once_more(tmp_path):
    text = "[jon]\naws_secret_access_key = hush\n[ada]\naws_secret_access_key = hush\n"
    path = put(tmp_path, "credentials", text)
    path.chmod(0o644)
    (leak,) = found(tmp_path)[2:]
    assert leak.what == "other users may read it (mode 644)"
    assert leak.advice == f"take that back with `chmod 600 {path}`"


@pytest.mark.parametrize("content", ["{", "[]", "[" * 100_000, '{"Credentials": 7}', '"x"', "{}"])
def test_other_files_are_passed_over(tmp_path, content):
    for name in ("cli/cache/x.json", "sso/cache/x.json", "login/cache/x.json", "credentials"):
        put(tmp_path, name, content)
    assert found(tmp_path) == []


def test_an_end_that_utc_has_no_year_for_is_left_out(tmp_path):
    put(
        tmp_path, "sso/cache/x.json", {"accessToken": "hush", "expiresAt": "0001-01-01T00:00+09:00"}
    )
    (leak,) = found(tmp_path)
    assert leak.what == "the token of a portal"


def test_profiles_without_keys_are_no_leaks(tmp_path):
    put(tmp_path, "config", "[profile jon]\nregion = eu-west-1\n")
    assert found(tmp_path) == []


def test_pipes_are_not_waited_for(tmp_path):
    for name in ("sso/cache/x.json", "credentials"):
        path = tmp_path / ".aws" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        os.mkfifo(path)
    assert found(tmp_path) == []


@pytest.mark.parametrize(
    ("name", "content", "what"),
    [
        ("notes.txt", f"my key is {'AKIA'}IOSFODNN7EXAMPLE, my secret hush", "key …MPLE"),
        ("credentials.bak", f"[jon]\naws_access_key_id={'AKIA'}IOSFODNN7EXAMPLE\n", "key …MPLE"),
        ("old/cache.json", {"accessToken": "hush"}, "a token or a key"),
    ],
)
def test_what_lies_beside_the_known_files_is_found_as_well(tmp_path, name, content, what):
    path = put(tmp_path, name, content)
    put(tmp_path, "config", "[default]\nregion = eu-west-1\n")
    [leak] = found(tmp_path)
    assert leak.path == str(path)
    assert leak.what.startswith("what looks like ")
    assert leak.what.endswith(what)
    assert leak.advice == "see what it is, and delete it"
