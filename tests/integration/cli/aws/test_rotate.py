"""`privy aws rotate`, from the profile that was named to the key at the end of its chain."""

import pytest
from tests.fakes_aws.people import User
from tests.integration.cli.aws.desk import Desk

from privyseal.aws import items
from privyseal.aws.stores.file import FileStore
from privyseal.model.aws import AccessKey
from privyseal.model.secret import Secret
from privyseal.runtime.clock import SystemClock


def kept(desk: Desk, name: str) -> AccessKey:
    passphrase = desk.environment["AWS_VAULT_FILE_PASSPHRASE"].encode()
    store = FileStore(desk.folder / "keys", lambda *, new: Secret(passphrase), SystemClock())
    return items.decode_access_key(store.read(name).value.expose())


def only_key(desk: Desk, user: User, name: str) -> bool:
    """Tell whether the store has the one key that the user has."""
    (key,) = user.keys
    stored = kept(desk, name)
    return (stored.access_key_id, stored.secret_access_key) == (
        key.access_key_id,
        key.secret_access_key,
    )


def test_the_key_itself_replaces_itself(desk: Desk) -> None:
    user = desk.user()
    old = user.key

    done = desk.privy("rotate", "dev")

    assert done.status == 0, done.err
    assert only_key(desk, user, "dev")
    assert user.key is not old
    assert done.err == (
        "privy: Rotating credentials stored for profile 'dev' using the key itself "
        "(takes 10-20 seconds)\n"
    )
    assert done.out == (
        f"dev: …{old.access_key_id[-4:]} is now …{user.key.access_key_id[-4:]}\n"
        f"the old key …{old.access_key_id[-4:]} is deleted\n"
    )


@pytest.mark.parametrize("options", [(), ("-n",)])
def test_the_key_at_the_end_of_a_chain_is_found(desk: Desk, options: tuple[str, ...]) -> None:
    user = desk.user("base")
    first = desk.aws.people.add_role("first")
    second = desk.aws.people.add_role("second", trusts=frozenset({first.arn}))
    desk.section("profile mid", source_profile="base", role_arn=first.arn)
    desk.section("profile app", source_profile="mid", role_arn=second.arn)

    done = desk.privy("rotate", *options, "app")

    assert done.status == 0, done.err
    assert only_key(desk, user, "base")
    assert desk.aws.calls["AssumeRole"] == (0 if options else 2)


def test_a_user_with_a_device_gives_one_code(desk: Desk) -> None:
    user = desk.user(device=True)
    assert user.device is not None
    desk.write("")
    desk.section("profile dev", mfa_serial=user.device.serial)

    done = desk.privy("rotate", "dev", "--mfa-token", user.device.code())

    assert done.status == 0, done.err
    assert only_key(desk, user, "dev")
    assert desk.aws.calls["GetSessionToken"] == 1


def test_the_new_key_serves_the_next_command(desk: Desk) -> None:
    user = desk.user()
    assert desk.privy("exec", "dev", "--", "true").status == 0
    desk.privy("rotate", "dev")

    done = desk.privy("exec", "dev", "--", "true")

    assert done.status == 0, done.err
    assert desk.aws.calls["GetSessionToken"] == 2
    assert only_key(desk, user, "dev")


def test_with_a_grace_the_old_key_is_deleted_by_a_later_run(desk: Desk) -> None:
    user = desk.user()

    done = desk.privy("rotate", "dev", "--grace", "1h")

    assert done.status == 0, done.err
    assert [key.active for key in user.keys] == [False, True]
    again = desk.privy("rotate", "--resume", "dev")
    assert "the old key is kept, deactivated, until" in again.out
    assert len(user.keys) == 2


def test_nothing_to_finish_is_said(desk: Desk) -> None:
    desk.user()

    done = desk.privy("rotate", "--resume", "dev")

    assert done.status == 3
    assert "no rotation of 'dev' was left unfinished" in done.err


def test_two_keys_stop_it_before_anything_changes(desk: Desk) -> None:
    user = desk.user()
    user.add_key()

    done = desk.privy("rotate", "dev")

    assert done.status == 1
    assert "AWS allows no third" in done.err
    assert len(user.keys) == 2
    assert kept(desk, "dev").access_key_id == user.key.access_key_id


def test_a_grace_is_bounded(desk: Desk) -> None:
    desk.user()

    done = desk.privy("rotate", "dev", "--grace", "48h")

    assert done.status == 2
    assert "--grace is at most 36h, not 48h" in done.err


def test_a_profile_without_a_stored_key_is_refused(desk: Desk) -> None:
    desk.section("profile other", credential_process="true")

    done = desk.privy("rotate", "other")

    assert done.status == 2
    assert "'other' has no stored key that could be rotated" in done.err
