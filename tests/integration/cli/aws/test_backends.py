"""Commands with each store that can be real here: a key is added, used, listed and removed."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import pytest
from tests.integration.aws.fake_kwallet import fake_kwallet
from tests.integration.aws.worlds import IDENTITY, gnome_keyring, pass_world
from tests.integration.cli.aws.desk import Desk
from tests.private_bus import private_bus


@contextmanager
def gnome(desk: Desk) -> Iterator[Mapping[str, str]]:
    with gnome_keyring(desk.folder) as address:
        yield {"DBUS_SESSION_BUS_ADDRESS": address, "AWS_VAULT_BACKEND": "secret-service"}


@contextmanager
def pass_(desk: Desk) -> Iterator[Mapping[str, str]]:
    del desk
    with pass_world() as world:
        yield {
            "AWS_VAULT_BACKEND": "pass",
            "AWS_VAULT_PASS_PREFIX": "aws-vault",
            "PASSWORD_STORE_DIR": str(world.top),
            "GNUPGHOME": world.environment["GNUPGHOME"],
        }


@contextmanager
def passage(desk: Desk) -> Iterator[Mapping[str, str]]:
    (desk.folder / "identities").write_text(f"{IDENTITY}\n")
    yield {
        "AWS_VAULT_BACKEND": "passage",
        "PASSAGE_DIR": str(desk.folder / "store"),
        "PASSAGE_IDENTITIES_FILE": str(desk.folder / "identities"),
    }


@contextmanager
def kwallet(desk: Desk) -> Iterator[Mapping[str, str]]:
    with private_bus(desk.folder) as address, fake_kwallet(address, 6):
        yield {"DBUS_SESSION_BUS_ADDRESS": address, "AWS_VAULT_BACKEND": "kwallet"}


@pytest.mark.parametrize("world", [gnome, pass_, passage, kwallet])
def test_key_is_added_used_listed_and_removed(desk: Desk, world) -> None:
    user = desk.aws.people.add_user("dev")
    desk.section("profile dev")
    key = {
        "AWS_ACCESS_KEY_ID": user.key.access_key_id,
        "AWS_SECRET_ACCESS_KEY": user.key.secret_access_key,
    }
    with world(desk) as env:
        added = desk.vault("add", "dev", "--env", env={**env, **key})
        assert added.status == 0, added.err
        who = ("exec", "dev", "--", "aws", "sts", "get-caller-identity")
        for _ in range(2):
            done = desk.vault(*who, env=env)
            assert json.loads(done.out)["Arn"] == user.arn, done.err
        assert desk.aws.calls["GetSessionToken"] == 1

        listed = json.loads(desk.privy("list", "--json", env=env).out)
        assert listed["keys"][0]["account"] == user.arn.split(":")[4]
        assert listed["sessions"][0]["profile"] == "dev"

        gone = desk.vault("remove", "-f", "dev", env=env)
        assert gone.out == "Deleted credentials.\nDeleted 1 sessions.\n", gone.err
        assert desk.vault("list", "--credentials", env=env).out == ""
