"""`ca_bundle` and AWS_CA_BUNDLE: whose word counts for AWS, and what is said when it cannot."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from tests.integration.aws.aws_house import aws_house
from tests.integration.cli.aws.desk import Desk
from tests.integration.cli.aws.test_keeper import IDENTITY, Shell
from tests.tls import over_tls, self_signed

from privyseal.aws.calls import trusted


@pytest.fixture(name="authority")
def an_authority(tmp_path: Path) -> Path:
    path = tmp_path / "corp.pem"
    certificate, key = self_signed("localhost")
    path.write_bytes(certificate)
    path.with_suffix(".key").write_bytes(key)
    return path


@pytest.fixture(name="url")
def a_url(desk: Desk, authority: Path) -> Iterator[str]:
    with over_tls(desk.aws.url, authority, authority.with_suffix(".key")) as url:
        yield url


def test_the_file_of_a_profile_vouches_for_aws(desk: Desk, url: str, authority: Path) -> None:
    desk.user("dev", endpoint_url=url)
    alone = desk.privy("export", "dev")
    assert (alone.status, alone.out) == (6, "")
    assert "cannot trust who answers" in alone.err
    assert "ca_bundle" in alone.err

    desk.section("profile corp", include_profile="dev", source_profile="dev", endpoint_url=url)
    desk.write(
        desk.config.read_text().replace("[profile dev]", f"[profile dev]\nca_bundle = {authority}")
    )
    done = desk.privy("export", "dev")
    assert "AWS_SESSION_TOKEN" in done.out, done.err
    explained = desk.privy("config", "explain", "corp").out
    assert "[profile dev], included" in explained
    assert f"vouched for by the authorities in {authority}" in explained


def test_the_variable_goes_before_the_profile_and_the_console_obeys_it(
    desk: Desk, url: str, authority: Path
) -> None:
    desk.user("dev", endpoint_url=url, ca_bundle="/nowhere")
    env = {"AWS_CA_BUNDLE": str(authority)}
    done = desk.privy("login", "--stdout", "--signin-url", url, "dev", env=env)
    assert "SigninToken" in done.out, done.err


@pytest.mark.parametrize(
    ("name", "status", "said"),
    [
        ("gone.pem", 3, "is not there"),
        ("empty.pem", 1, "holds no certificate in PEM"),
        ("folder", 1, "is no file"),
    ],
)
def test_a_file_that_is_none_is_told_in_one_line(
    desk: Desk, url: str, tmp_path: Path, name: str, status: int, said: str
) -> None:
    (tmp_path / "empty.pem").touch()
    (tmp_path / "folder").mkdir()
    desk.user("dev", endpoint_url=url)
    done = desk.privy("export", "dev", env={"AWS_CA_BUNDLE": str(tmp_path / name)})
    first, hint = done.err.splitlines()
    assert done.status == status
    assert first == f"privy: the file of authorities {str(tmp_path / name)!r} {said}"
    assert "AWS_CA_BUNDLE" in hint
    assert desk.aws.calls.total() == 0


def test_doctor_compares_the_clock_with_whom_the_file_vouches_for(
    desk: Desk, url: str, authority: Path
) -> None:
    env = {"AWS_ENDPOINT_URL": url, "AWS_CA_BUNDLE": str(authority)}
    assert f"agrees with {url}" in desk.privy("doctor", env=env).out
    assert "not known who answers" in desk.privy("doctor", env={"AWS_ENDPOINT_URL": url}).out
    done = desk.privy("doctor", env=env | {"AWS_CA_BUNDLE": "/nowhere"})
    assert (done.status, "the file of authorities '/nowhere' is not there" in done.out) == (1, True)


@pytest.fixture(name="shell")
async def a_shell(tmp_path: Path) -> AsyncIterator[Shell]:
    async with aws_house(tmp_path) as world:
        yield Shell(world)


async def test_the_keeper_is_told_of_no_authority_and_a_line_says_so(
    shell: Shell, authority: Path
) -> None:
    shell.write(f"ca_bundle = {authority}")

    done = await shell.granted("exec", "prod", "--", *IDENTITY, scope="15m")
    assert done.status == 0, done.err
    assert done.err.count(f"not those of ca_bundle {str(authority)!r}: add them there") == 1
    explained = await shell.run("config", "explain", "prod")
    assert "note: the keeper's broker trusts this machine's authorities" in explained.out.decode()

    again = await shell.run("exec", "prod", "--", *IDENTITY)
    assert (again.out, again.err) == (done.out, "")


async def test_nothing_is_said_of_authorities_that_the_machine_trusts_anyway(shell: Shell) -> None:
    shell.world.house.environment["AWS_CA_BUNDLE"] = str(trusted())

    done = await shell.granted("exec", "prod", "--", *IDENTITY)

    assert done.status == 0, done.err
    assert "ca_bundle" not in done.err
