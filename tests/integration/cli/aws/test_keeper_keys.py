"""Keys where the keeper keeps them: each change is decided, and none is ever given back."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.fakes_aws.people import User
from tests.integration.aws.aws_house import aws_house
from tests.integration.cli.aws.test_keeper import Shell
from tests.integration.rig import Outcome, ended

from privyseal.model.ask import title_of


@pytest.fixture
async def shell(tmp_path: Path) -> AsyncIterator[Shell]:
    async with aws_house(tmp_path) as world:
        yield Shell(world)


def section(name: str, user: User) -> str:
    key = user.key
    return (
        f"[{name}]\naws_access_key_id = {key.access_key_id}\n"
        f"aws_secret_access_key = {key.secret_access_key}\n"
    )


def credentials(shell: Shell, text: str) -> Path:
    path = shell.world.house.folder / "aws-credentials"
    path.write_text(text)
    path.chmod(0o600)
    environment = shell.world.house.environment
    environment["AWS_SHARED_CREDENTIALS_FILE"] = str(path)
    environment["AWS_ENDPOINT_URL"] = shell.world.aws.url
    environment["AWS_REGION"] = "eu-west-1"
    return path


async def kept(shell: Shell) -> dict[str, str]:
    done = await shell.run("list", "--json")
    assert done.status == 0, done.err
    return {key["name"]: key["tail"] for key in json.loads(done.out)["keys"]}


async def test_keys_of_a_file_go_to_the_keeper_one_decision_each(shell: Shell) -> None:
    users = {name: shell.world.aws.people.add_user(name) for name in ("ada", "jon")}
    path = credentials(shell, "".join(section(*pair) for pair in users.items()))
    process = await shell.start("migrate", "--from", "credentials", "--apply", "--delete-source")
    shown = [str(await shell.world.house.decide()) for _ in users]
    done = await ended(process)

    assert done.status == 0, done.err
    assert (await kept(shell)).items() >= {
        (name, user.key.access_key_id[-4:]) for name, user in users.items()
    }
    assert "secret" not in path.read_text()
    for user in users.values():
        assert user.key.secret_access_key not in f"{done.out!r}{done.err!r}{shown}"


async def test_key_that_the_person_refuses_stays_where_it_was(shell: Shell) -> None:
    path = credentials(shell, section("jon", shell.world.aws.people.add_user("jon")))
    before = path.read_text()
    process = await shell.start("migrate", "--from", "credentials", "--apply", "--delete-source")
    await shell.world.house.decide(allow=False)
    done = await ended(process)

    assert done.status == 1
    assert "jon" not in await kept(shell)
    assert path.read_text() == before


async def test_key_that_the_keeper_has_asks_nobody(shell: Shell) -> None:
    credentials(shell, section("prod", shell.world.user))
    done = await shell.run("migrate", "--from", "credentials", "--apply")
    assert b"is kept already" in done.out, done.err


async def add(shell: Shell, *more: str) -> Outcome:
    user = shell.world.aws.people.add_user("jon")
    credentials(shell, "")
    environment = shell.world.house.environment
    environment["AWS_ACCESS_KEY_ID"] = user.key.access_key_id
    environment["AWS_SECRET_ACCESS_KEY"] = user.key.secret_access_key
    return await shell.granted("add", "jon", "--env", *more)


async def test_key_is_added_listed_and_removed(shell: Shell) -> None:
    done = await add(shell)
    assert done.out == b'Added credentials to profile "jon" in vault\n', done.err
    assert set(await kept(shell)) == {"prod", "jon"}

    gone = await shell.granted("remove", "-f", "jon")
    assert gone.out == b"Deleted credentials.\n", gone.err
    assert set(await kept(shell)) == {"prod"}


async def test_sessions_are_cleared_by_a_decision(shell: Shell) -> None:
    first = await shell.granted("exec", "prod", "--", "true")
    assert first.status == 0, first.err
    cleared = await shell.granted("clear", "prod")
    assert cleared.out == b"Cleared 1 sessions.\n", cleared.err


async def test_who_forgets_sessions_alone_is_not_asked_about_a_key(shell: Shell) -> None:
    first = await shell.granted("exec", "prod", "--", "true")
    assert first.status == 0, first.err
    process = await shell.start("remove", "--sessions-only", "prod")
    approval = await shell.world.house.decide()
    done = await ended(process)

    assert title_of(approval.ask) == ("CLEAR", "Forget AWS sessions")
    assert done.out == b"Deleted 1 sessions.\n", done.err
    assert set(await kept(shell)) == {"prod"}


async def test_nobody_is_asked_about_sessions_of_a_name_that_there_is_not(shell: Shell) -> None:
    done = await shell.run("clear", "prodd")
    assert (done.status, done.out) == (3, b"")
    assert done.err.splitlines()[1] == "  try: did you mean 'prod'?"
    await shell.world.house.nothing_waits()


@pytest.mark.parametrize("words", [["clear"], ["clear", "prod"]])
async def test_nobody_is_asked_where_there_is_nothing_to_forget(
    shell: Shell, words: list[str]
) -> None:
    done = await shell.run(*words)
    assert (done.status, done.out) == (0, b"Cleared 0 sessions.\n"), done.err
    await shell.world.house.nothing_waits()


async def test_keys_of_a_store_are_copied_to_the_keeper(shell: Shell) -> None:
    environment = shell.world.house.environment
    environment |= {
        "AWS_VAULT_FILE_DIR": str(shell.world.house.folder / "keys"),
        "AWS_VAULT_FILE_PASSPHRASE": "correct horse",
    }
    user = shell.world.aws.people.add_user("jon")
    credentials(shell, "")
    environment["AWS_ACCESS_KEY_ID"] = user.key.access_key_id
    environment["AWS_SECRET_ACCESS_KEY"] = user.key.secret_access_key
    stored = await shell.run("add", "jon", "--env", "--backend", "file")
    assert stored.status == 0, stored.err

    done = await shell.granted("migrate-backend", "--from", "file", "--to", "keeper")

    assert b"copied: 1," in done.out, done.err
    assert (await kept(shell))["jon"] == user.key.access_key_id[-4:]


async def test_secret_service_that_is_ours_is_no_place_to_take_keys_from(shell: Shell) -> None:
    credentials(shell, "")
    await shell.world.house.start_agent()
    done = await shell.run("migrate")
    assert b"no long-lived key lies anywhere else" in done.out, done.err


async def test_key_is_typed_at_the_console_of_a_companion_only(shell: Shell) -> None:
    credentials(shell, "")
    done = await shell.run("add", "jon", "--typed")
    assert done.status == 2
    assert "console of a companion" in done.err
    assert set(await kept(shell)) == {"prod"}
