"""The moto server as an AWS of the test's own: real signatures, real policies, no fake of ours."""

import json
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from tests.waiting import PATIENCE, until

from privyseal.aws.calls import client
from privyseal.model.aws import AccessKey, Credentials, Network

REGION = "eu-central-1"
ALL_OF_IAM = {"Effect": "Allow", "Action": ["iam:*", "sts:*"], "Resource": "*"}


class Moto:
    """One running server."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.network = Network(region=REGION, endpoints={"sts": url, "iam": url})
        self._root = Credentials(access_key_id="root", secret_access_key="root")

    def reset(self) -> None:
        """Forget everything; whoever calls is let in until `enforce`."""
        self._post("/moto-api/reset-auth", b"1000000")
        self._post("/moto-api/reset")

    def enforce(self) -> None:
        """Check signatures and policies from now on."""
        self._post("/moto-api/reset-auth", b"0")

    def admit(self) -> None:
        """Let everybody in again, to look at what there is."""
        self._post("/moto-api/reset-auth", b"1000000")

    def iam(self) -> Any:
        return client("iam", self.network, self._root)

    def add_user(self, name: str = "alice", *statements: Mapping[str, object]) -> AccessKey:
        """Make a user with one key who may do what the statements say, all of IAM without one."""
        iam = self.iam()
        iam.create_user(UserName=name)
        policy = _document(*(statements or (ALL_OF_IAM,)))
        iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=policy)
        made = iam.create_access_key(UserName=name)["AccessKey"]
        return AccessKey(
            access_key_id=made["AccessKeyId"], secret_access_key=made["SecretAccessKey"]
        )

    def add_role(self, *statements: Mapping[str, object]) -> str:
        """Make a role that everybody may assume and that may do what these say; return its ARN."""
        trust = {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}
        iam = self.iam()
        made = iam.create_role(RoleName="reader", AssumeRolePolicyDocument=_document(trust))
        iam.put_role_policy(
            RoleName="reader", PolicyName="p", PolicyDocument=_document(*statements)
        )
        return str(made["Role"]["Arn"])

    def keys_of(self, name: str = "alice") -> dict[str, bool]:
        """Return the ids of a user's keys, and whether they are active."""
        listed = self.iam().list_access_keys(UserName=name)["AccessKeyMetadata"]
        return {key["AccessKeyId"]: key["Status"] == "Active" for key in listed}

    def _post(self, path: str, body: bytes = b"") -> None:
        connection = HTTPConnection(self.url.removeprefix("http://"), timeout=PATIENCE)
        try:
            connection.request("POST", path, body, {"Content-Type": "text/plain"})
            assert connection.getresponse().status == 200
        finally:
            connection.close()


@contextmanager
def moto_server(folder: Path) -> Iterator[Moto]:
    """Run a server on a free port of loopback."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    with (folder / "moto.log").open("wb") as log:
        process = subprocess.Popen(
            [Path(sys.executable).parent / "moto_server", "-H", "127.0.0.1", "-p", str(port)],
            stdout=log,
            stderr=log,
        )
    try:
        until(lambda: _answers(port))
        yield Moto(f"http://127.0.0.1:{port}")
    finally:
        process.terminate()
        process.wait(PATIENCE)


def _document(*statements: Mapping[str, object]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": statements})


def _answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
    except OSError:
        return False
