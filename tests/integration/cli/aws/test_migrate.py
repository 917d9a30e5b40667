"""`privy aws migrate` and `migrate-backend`: from files and stores of aws-vault into ours."""

import json
from pathlib import Path

import pytest
from tests.fakes_aws.people import User
from tests.integration.aws.worlds import PassWorld, gnome_keyring, pass_world
from tests.integration.cli.aws.desk import Desk
from tests.integration.cli.aws.person import at_terminal

from privyseal.aws.items import key_item
from privyseal.aws.stores.notes import NoteFile
from privyseal.aws.stores.passtool import Pass
from privyseal.aws.stores.secretservice import SecretServiceStore
from privyseal.aws.stores.tree import TreeStore
from privyseal.model.aws import AccessKey


def endpoint(desk: Desk) -> dict[str, str]:
    return {"AWS_ENDPOINT_URL": desk.aws.url, "AWS_REGION": "eu-west-1"}


def credentials(desk: Desk, text: str) -> Path:
    path = desk.folder / ".aws" / "credentials"
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    path.chmod(0o600)
    return path


def section(name: str, user: User) -> str:
    key = user.key
    return (
        f"[{name}]\naws_access_key_id = {key.access_key_id}\n"
        f"aws_secret_access_key = {key.secret_access_key}\n"
    )


def kept(desk: Desk) -> list[str]:
    return desk.privy("list", "--credentials").out.split()


def test_it_only_shows_what_it_would_do_and_changes_nothing(desk: Desk) -> None:
    user = desk.aws.people.add_user("jon")
    path = credentials(desk, "# keep me\n" + section("jon", user))
    before = path.read_text()

    done = desk.privy("migrate", env=endpoint(desk))

    assert done.status == 0, done.err
    assert f"…{user.key.access_key_id[-4:]}" in done.out
    assert "would be kept" in done.out
    assert "a long-lived key" in done.out
    assert "add --apply" in done.out
    assert user.key.secret_access_key not in done.out + done.err
    assert (path.read_text(), kept(desk)) == (before, [])


def test_keys_of_a_file_are_taken_over_and_the_old_copies_deleted(desk: Desk) -> None:
    jon, ada = (desk.aws.people.add_user(name) for name in ("jon", "ada"))
    text = f"# keep me\n{section('jon', jon)}\n{section('ada', ada)}region = eu-west-1\n"
    path = credentials(desk, text)

    done = desk.privy("migrate", "--apply", "--delete-source", env=endpoint(desk))

    assert done.status == 0, done.err
    assert kept(desk) == ["ada", "jon"]
    assert "secret" not in path.read_text()
    assert path.read_text().startswith("# keep me\n")
    assert "[ada]\nregion = eu-west-1\n" in path.read_text()
    assert "[jon]" not in path.read_text()
    assert "plain text" not in done.out
    for user in (jon, ada):
        assert user.key.secret_access_key not in done.out + done.err
    who = desk.privy("exec", "jon", "--", "aws", "sts", "get-caller-identity", env=endpoint(desk))
    assert json.loads(who.out)["Arn"] == jon.arn, who.err


@pytest.mark.parametrize(("answer", "gone"), [("y", True), ("", False)])
def test_old_copies_are_deleted_only_after_a_yes(desk: Desk, answer: str, gone: bool) -> None:
    path = credentials(desk, section("jon", desk.aws.people.add_user("jon")))
    question = f"Delete jon from the file {path}? (y|N) "
    argv = ["privy", "aws", "migrate", "--apply"]
    done = at_terminal(desk, argv, [(question, answer)], env=endpoint(desk))
    assert done.status == 0, done.err
    assert kept(desk) == ["jon"]
    assert ("aws_secret_access_key" not in path.read_text()) is gone


def test_without_a_terminal_the_old_copies_stay_and_that_is_said(desk: Desk) -> None:
    path = credentials(desk, section("jon", desk.aws.people.add_user("jon")))
    done = desk.privy("migrate", "--apply", env=endpoint(desk))
    assert "--delete-source" in done.err
    assert "aws_secret_access_key" in path.read_text()


def test_key_that_aws_does_not_know_is_not_taken_over_and_stays(desk: Desk) -> None:
    user = desk.aws.people.add_user("jon")
    text = section("jon", user).replace(user.key.secret_access_key, "x" * 40)
    path = credentials(desk, text)
    done = desk.privy("migrate", "--apply", "--delete-source", env=endpoint(desk))
    assert done.status == 1
    assert "failed, see below" in done.out
    assert "privy: jon: AWS refuses the signature" in done.err
    assert "(try: give the key anew with `privy aws add`)" in done.err
    assert "x" * 40 not in done.out + done.err
    assert (kept(desk), path.read_text()) == ([], text)


def test_key_that_lies_nowhere_is_told(desk: Desk) -> None:
    credentials(desk, section("jon", desk.aws.people.add_user("jon")))
    done = desk.privy("migrate", "--profile", "jon", "--profile", "ada")
    assert (done.status, done.out) == (3, "")
    assert "lies anywhere else: ada" in done.err

    said = desk.privy("export", "jon")
    assert (said.status, "take it over with `privy aws migrate`" in said.err) == (3, True)
    assert "warning: plain text in a file" in desk.privy("config", "validate").out


def test_temporary_keys_and_keys_of_the_same_name_are_left(desk: Desk) -> None:
    desk.user("dev")
    other = desk.aws.people.add_user("other")
    temporary = section("tmp", other) + "aws_session_token = t\n"
    credentials(desk, section("dev", other) + temporary)
    done = desk.privy("migrate", "--apply", "--json", "--delete-source", env=endpoint(desk))
    found = {key["name"]: key for key in json.loads(done.out)["keys"]}
    assert done.status == 0, done.err
    assert found["dev"]["verdict"] == "present"
    assert found["tmp"]["verdict"] == "unreadable"
    assert not any(key["deleted"] for key in found.values())


def test_key_in_the_configuration_is_taken_out_and_its_profile_stays(desk: Desk) -> None:
    user = desk.aws.people.add_user("jon")
    desk.write(section("profile jon", user) + "region = eu-west-1  # mine\n")
    done = desk.privy("migrate", "--apply", "--delete-source", env=endpoint(desk))
    assert done.status == 0, done.err
    assert kept(desk) == ["jon"]
    assert desk.config.read_text() == "[profile jon]\nregion = eu-west-1  # mine\n"


def test_keys_of_aws_vault_in_pass_are_taken_over(desk: Desk) -> None:
    user = desk.aws.people.add_user("team/jon")
    with pass_world() as world:
        tree(world, desk.folder).write(key_item("team/jon", access_key(user), added=1))
        env = {
            **endpoint(desk),
            "GNUPGHOME": world.environment["GNUPGHOME"],
            "PASSWORD_STORE_DIR": str(world.top),
            "AWS_VAULT_PASS_PREFIX": "aws-vault",
        }
        done = desk.privy("migrate", "--apply", "--delete-source", env=env)
        assert done.status == 0, done.err
        assert kept(desk) == ["team/jon"]
        assert tree(world, desk.folder).entries() == {}


def test_keys_of_aws_vault_in_gnome_keyring_are_found_and_taken_over(desk: Desk) -> None:
    user = desk.aws.people.add_user("jon")
    with gnome_keyring(desk.folder) as address:
        store = SecretServiceStore("awsvault", address=address)
        store.write(key_item("jon", access_key(user), added=1)._replace(notes={}))
        env = {**endpoint(desk), "DBUS_SESSION_BUS_ADDRESS": address}
        shown = desk.privy("migrate", env=env)
        assert "the collection 'awsvault'" in shown.out, shown.err
        done = desk.privy("migrate", "--apply", "--delete-source", env=env)
        assert done.status == 0, done.err
        assert kept(desk) == ["jon"]
        assert store.entries() == {}


def access_key(user: User) -> AccessKey:
    return AccessKey(
        access_key_id=user.key.access_key_id, secret_access_key=user.key.secret_access_key
    )


def tree(world: PassWorld, folder: Path) -> TreeStore:
    cipher = Pass("pass", world.top, world.environment)
    return TreeStore(world.top, "aws-vault", cipher, NoteFile(folder / "v.json"))


def test_place_that_there_is_not_is_refused_with_those_there_are(desk: Desk) -> None:
    done = desk.privy("migrate", "--from", "keyring")
    assert done.status == 2
    assert "secret-service" in done.err


def backend(desk: Desk, *words: str) -> tuple[int, str]:
    env = {"PASSAGE_DIR": str(desk.folder / "age"), "PASSAGE_IDENTITIES_FILE": str(identity(desk))}
    done = desk.vault("migrate-backend", *words, env=env)
    return done.status, done.out + done.err


def identity(desk: Desk) -> Path:
    from tests.integration.aws.worlds import IDENTITY  # noqa: PLC0415 - beside its only use

    path = desk.folder / "identity"
    path.write_text(f"{IDENTITY}\n")
    return path


def test_keys_are_copied_from_store_to_store_and_counted(desk: Desk) -> None:
    for name in ("dev", "ops"):
        desk.user(name)
    to = ("--from", "file", "--to", "passage")

    status, said = backend(desk, *to, "--dry-run")
    assert (status, said.splitlines()[-1]) == (
        0,
        "copied: 2, overwritten: 0, skipped: 0, deleted: 0",
    )
    assert not (desk.folder / "age").exists()

    assert backend(desk, *to, "--profile", "dev")[1].splitlines() == [
        "dev: copied",
        "copied: 1, overwritten: 0, skipped: 0, deleted: 0",
    ]
    assert [path.name for path in (desk.folder / "age").iterdir()] == ["dev.age"]

    assert backend(desk, *to, "--delete-source")[1].splitlines() == [
        "dev: skipped (the same key is there)",
        "ops: copied and deleted",
        "copied: 1, overwritten: 0, skipped: 1, deleted: 1",
    ]
    assert [path.name for path in (desk.folder / "keys").iterdir()] == ["dev"]


def test_other_key_is_replaced_only_when_that_is_wanted(desk: Desk) -> None:
    desk.user("dev")
    to = ("--from", "file", "--to", "passage")
    backend(desk, *to)
    desk.keep("dev", desk.aws.people.add_user("other").key)
    assert "skipped: 1" in backend(desk, *to)[1]
    assert "overwritten: 1" in backend(desk, *to, "--overwrite")[1]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--from", "file", "--to", "file"), "both"),
        (("--from", "file"), "--to"),
        (("--from", "keeper", "--to", "file"), "gives no long-lived key away"),
        (("--from", "file", "--to", "passage", "--profile", "nobody"), "no key 'nobody'"),
    ],
)
def test_what_makes_no_sense_is_refused(desk: Desk, words: tuple[str, ...], said: str) -> None:
    status, text = backend(desk, *words)
    assert status == 1
    assert said in text
