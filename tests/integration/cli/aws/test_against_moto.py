"""`privy aws` against moto, which checks signatures and policies: an AWS that is not ours."""

import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from tests.fakes_aws.aws import FakeAws
from tests.fakes_aws.people import Key
from tests.integration.cli.aws.desk import Desk
from tests.moto_server import ALL_OF_IAM, Moto, moto_server

from privyseal.model.aws import AccessKey

BOTO3 = """
import boto3
print(*[user["UserName"] for user in boto3.client("iam").list_users()["Users"]])
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Moto]:
    with moto_server(tmp_path_factory.mktemp("moto")) as moto:
        yield moto


@pytest.fixture
def moto(server: Moto) -> Moto:
    server.reset()
    return server


@pytest.fixture
def at_moto(moto: Moto, tmp_path: Path) -> Desk:
    return Desk(tmp_path, cast("FakeAws", SimpleNamespace(url=moto.url)))


def keep(desk: Desk, name: str, key: AccessKey) -> None:
    desk.keep(name, cast("Key", key))


def test_the_aws_cli_and_boto3_are_the_role(at_moto: Desk, moto: Moto) -> None:
    keep(at_moto, "base", moto.add_user())
    at_moto.section("profile base")
    at_moto.section("profile app", source_profile="base", role_arn=moto.add_role(ALL_OF_IAM))
    moto.enforce()

    cli = at_moto.privy("exec", "app", "--", "aws", "sts", "get-caller-identity")
    boto3 = at_moto.privy("exec", "app", "--", "python3", "-c", BOTO3)

    assert ":assumed-role/reader/" in json.loads(cli.out)["Arn"], cli.err
    assert boto3.out == "alice\n", boto3.err


def test_what_the_role_may_not_do_it_does_not(at_moto: Desk, moto: Moto) -> None:
    keep(at_moto, "base", moto.add_user())
    nothing = {"Effect": "Allow", "Action": "sts:*", "Resource": "*"}
    at_moto.section("profile app", source_profile="base", role_arn=moto.add_role(nothing))
    moto.enforce()

    done = at_moto.privy("exec", "app", "--", "aws", "iam", "list-users")

    assert done.status != 0
    assert "AccessDenied" in done.err


@pytest.mark.parametrize(
    ("change", "words", "status"),
    [
        ("secret", "the secret key does not belong to the key id", 4),
        ("id", "AWS does not know the access key", 4),
        ("policy", "is not authorized to perform: sts:AssumeRole", 4),
    ],
)
def test_a_refusal_is_one_line(
    at_moto: Desk, moto: Moto, change: str, words: str, status: int
) -> None:
    nothing = {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": "*"}
    key = moto.add_user("alice", nothing if change == "policy" else ALL_OF_IAM)
    changed = AccessKey(
        access_key_id="AKIA" + "X" * 16 if change == "id" else key.access_key_id,
        secret_access_key="wrong" * 8 if change == "secret" else key.secret_access_key,
    )
    keep(at_moto, "base", changed)
    at_moto.section("profile app", source_profile="base", role_arn=moto.add_role(ALL_OF_IAM))
    moto.enforce()

    done = at_moto.privy("exec", "app", "--", "true")

    assert done.status == status
    complaint = done.err.splitlines()[0]
    assert words in complaint
    assert "(sts:AssumeRole, " in complaint
    assert changed.secret_access_key not in done.err


def test_a_key_is_rotated_with_the_next_command_in_mind(at_moto: Desk, moto: Moto) -> None:
    old = moto.add_user()
    keep(at_moto, "base", old)
    at_moto.section("profile base")
    at_moto.section("profile app", source_profile="base", role_arn=moto.add_role(ALL_OF_IAM))
    moto.enforce()

    rotated = at_moto.privy("rotate", "app")
    after = at_moto.privy("exec", "app", "--", "python3", "-c", BOTO3)

    assert rotated.status == 0, rotated.err
    assert after.out == "alice\n", after.err
    moto.admit()
    assert old.access_key_id not in moto.keys_of()
