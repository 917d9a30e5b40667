"""Credentials that begin outside: commands, tokens, the surroundings; never in the broker."""

import json
import os
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.fake_talk import FakeTalk
from tests.fakes import FakeClock
from tests.fakes_aws.aws import FakeAws, fake_aws
from tests.fakes_aws.web import Answer, Request, serving
from tests.fakes_stores import MemoryStore

from privyseal.aws.engine import Engine
from privyseal.aws.flights import Flights
from privyseal.aws.means import Means
from privyseal.aws.sources import CHAIN, from_process, from_surroundings
from privyseal.errors import (
    CorruptError,
    DeniedError,
    LimitError,
    NotFoundError,
    PrivysealError,
    UnreachableError,
    UsageError,
)
from privyseal.model.aws import (
    Ambient,
    Credentials,
    Network,
    Plan,
    Process,
    RoleStep,
    Source,
    WebIdentity,
)
from privyseal.runtime.clock import SystemClock

PATH = {"PATH": os.environ["PATH"]}
ISSUER = "https://issuer.example"


@pytest.fixture
def aws() -> Iterator[FakeAws]:
    with fake_aws(SystemClock()) as fake:
        yield fake


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    flights = Flights(tmp_path / "flights")
    return Engine(Means(MemoryStore(), FakeTalk(), SystemClock(), flights), outside=True)


def document(**changes: object) -> str:
    found = {
        "Version": 1,
        "AccessKeyId": "ASIAX",
        "SecretAccessKey": "secret",
        "SessionToken": "token",
        "Expiration": (datetime.now(UTC) + timedelta(hours=1)).isoformat(),
    }
    return json.dumps({**found, **changes})


def printing(text: str) -> Process:
    return Process(command=f"cat <<'END'\n{text}\nEND")


def plan(source: Source, aws: FakeAws | None = None) -> Plan:
    endpoints = {"sts": aws.url} if aws else {}
    return Plan(
        profile="p", source=source, network=Network(region="us-east-1", endpoints=endpoints)
    )


def test_a_process_prints_credentials() -> None:
    made = from_process(printing(document(AccountId="111122223333")), "p", PATH)

    assert (made.access_key_id, made.session_token) == ("ASIAX", "token")
    assert made.account == "111122223333"
    assert 3500 < made.expires - datetime.now(UTC).timestamp() <= 3600


def test_a_process_may_print_a_key_without_end() -> None:
    made = from_process(printing(document(SessionToken=None, Expiration=None)), "p", PATH)

    assert (made.session_token, made.expires) == ("", 0.0)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("secret?", "printed no JSON object"),
        ("[]", "printed no JSON object"),
        (document(Version=2), "answered in version 2"),
        (document(AccessKeyId=None), "gave no AccessKeyId"),
        (document(SecretAccessKey=["secret"]), "gave no SecretAccessKey"),
        (document(Expiration="soon"), "gave an Expiration that is no time"),
        (document(Expiration="2030-01-01T00:00:00"), "gave an Expiration without a time zone"),
    ],
)
def test_what_is_no_document_is_named_and_not_quoted(text: str, words: str) -> None:
    with pytest.raises(CorruptError, match=f"credential_process of 'p' {words}") as caught:
        from_process(printing(text), "p", PATH)
    assert "secret" not in str(caught.value)
    assert caught.value.__context__ is None or "secret" not in str(caught.value.__context__)


def test_a_process_that_fails_says_its_status() -> None:
    with pytest.raises(PrivysealError, match="credential_process of 'p' failed with status 7"):
        from_process(Process(command="exit 7"), "p", PATH)


def test_a_process_without_end_is_cut_off() -> None:
    with pytest.raises(LimitError, match="prints more than"):
        from_process(Process(command="cat /dev/zero"), "p", PATH)


def test_a_process_that_asks_for_itself_is_stopped() -> None:
    script = (
        "import os; from privyseal.aws.sources import from_process;"
        "from privyseal.model.aws import Process;"
        "from_process(Process(command=os.environ['AGAIN']), 'p', os.environ)"
    )
    again = f'{sys.executable} -c "{script}" 2>"$LOG"'
    log = Path(os.environ.get("TMPDIR", "/tmp")) / f"recursion-{os.getpid()}"

    with pytest.raises(PrivysealError, match="failed with status 1"):
        from_process(Process(command=again), "p", {**PATH, "AGAIN": again, "LOG": str(log)})

    assert "credential_process runs in a circle: p -> p" in log.read_text()
    log.unlink()


def test_processes_that_ask_for_each_other_are_named() -> None:
    with pytest.raises(UsageError, match="in a circle: a -> b -> a"):
        from_process(Process(command="true"), "a", {**PATH, CHAIN: "a\nb"})


def test_what_a_process_printed_is_kept_until_it_ends(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "document").write_text(document())
    count = tmp_path / "count"
    source = Process(command=f"echo x >> {count}; cat {tmp_path}/document")

    first, second = engine.obtain(plan(source)), engine.obtain(plan(source))

    assert first.access_key_id == second.access_key_id
    assert count.read_text() == "x\n"


def test_a_key_without_end_is_not_kept(engine: Engine) -> None:
    engine.obtain(plan(printing(document(Expiration=None))))

    assert engine.known().sessions == ()


@pytest.mark.parametrize("by", ["file", "command"])
def test_a_token_gives_a_role(engine: Engine, aws: FakeAws, tmp_path: Path, by: str) -> None:
    role = aws.people.add_role(trusts=frozenset({"issuer"}))
    token = tmp_path / "token"
    token.write_text("issuer:me\n")
    source = (
        WebIdentity(role=role.arn, token_file=str(token))
        if by == "file"
        else WebIdentity(role=role.arn, token_command=f"cat {token}")
    )

    made = engine.obtain(plan(source, aws))

    assert made.account == "111122223333"
    assert aws.asked("AssumeRoleWithWebIdentity")[0]["WebIdentityToken"] == "issuer:me"
    assert engine.obtain(plan(source, aws)) == made
    assert aws.calls["AssumeRoleWithWebIdentity"] == 1


def test_a_token_in_the_home_of_nobody_is_one_clear_line(engine: Engine, aws: FakeAws) -> None:
    source = WebIdentity(role="arn:aws:iam::1:role/r", token_file="~no-such-user/token")

    with pytest.raises(UsageError, match="'~no-such-user/token' is no path of a file"):
        engine.obtain(plan(source, aws))


@pytest.mark.parametrize("text", ["AKIA\nexport X=1", "AKIA\ud800", "AKIÄ"])
def test_what_no_variable_can_carry_is_no_credential(text: str) -> None:
    with pytest.raises(CorruptError, match="gave no AccessKeyId, or none of AWS"):
        from_process(printing(document(AccessKeyId=text)), "p", PATH)


@pytest.mark.parametrize("body", [b"[]", b'{"AccessKeyId": "ASIAX"}', b'{"Expiration": 1}'])
def test_a_container_that_gives_something_else_is_out_of_reach(body: bytes) -> None:
    with (
        serving(lambda _: Answer(200, body)) as url,
        pytest.raises(UnreachableError, match="does not answer with credentials"),
    ):
        from_surroundings(
            Ambient(kind="ecs"), Network(), {"AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{url}/get"}
        )


def test_a_metadata_service_at_no_address_is_one_clear_line() -> None:
    with pytest.raises(UnreachableError) as caught:
        from_surroundings(
            Ambient(kind="ec2"), Network(), {"AWS_EC2_METADATA_SERVICE_ENDPOINT": "//x y"}
        )
    assert "AWS_EC2_METADATA_SERVICE_ENDPOINT" in caught.value.hint


def test_a_missing_token_is_named(engine: Engine, aws: FakeAws) -> None:
    source = WebIdentity(role="arn:aws:iam::1:role/r", token_file="/nowhere/token")

    with pytest.raises(NotFoundError, match="no web identity token at '/nowhere/token'"):
        engine.obtain(plan(source, aws))


def test_a_refused_token_is_not_shown(engine: Engine, aws: FakeAws, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("stranger:precious")
    role = aws.people.add_role(trusts=frozenset({"issuer"}))

    with pytest.raises(DeniedError) as caught:
        engine.obtain(plan(WebIdentity(role=role.arn, token_file=str(token)), aws))
    assert "precious" not in str(caught.value)


def test_the_environment_is_a_source() -> None:
    environment = {
        "AWS_ACCESS_KEY_ID": "ASIAX",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_SESSION_TOKEN": "token",
        "AWS_CREDENTIAL_EXPIRATION": "2030-01-01T00:00:00Z",
    }

    made = from_surroundings(Ambient(kind="environment"), Network(), environment)

    assert (made.access_key_id, made.session_token) == ("ASIAX", "token")
    assert made.expires == datetime(2030, 1, 1, tzinfo=UTC).timestamp()
    with pytest.raises(NotFoundError, match="AWS_SECRET_ACCESS_KEY is unset"):
        from_surroundings(Ambient(kind="environment"), Network(), {"AWS_ACCESS_KEY_ID": "AKIAX"})


def ecs(request: Request) -> Answer:
    if request.headers.get("authorization") != "let me in":
        return Answer(403)
    body = {
        "AccessKeyId": "ASIAECS",
        "SecretAccessKey": "secret",
        "Token": "token",
        "Expiration": (datetime.now(UTC) + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    return Answer(200, json.dumps(body).encode(), {"Content-Type": "application/json"})


def test_a_container_is_a_source() -> None:
    with serving(ecs) as url:
        environment = {
            "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{url}/get",
            "AWS_CONTAINER_AUTHORIZATION_TOKEN": "let me in",
        }
        made = from_surroundings(Ambient(kind="ecs"), Network(), environment)

    assert made.access_key_id == "ASIAECS"
    assert made.expires > datetime.now(UTC).timestamp() + 3000
    with pytest.raises(NotFoundError, match="AWS_CONTAINER_CREDENTIALS_FULL_URI is unset"):
        from_surroundings(Ambient(kind="ecs"), Network(), {})


def test_a_container_that_refuses_is_out_of_reach() -> None:
    with serving(ecs) as url, pytest.raises(UnreachableError):
        from_surroundings(
            Ambient(kind="ecs"), Network(), {"AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{url}/get"}
        )


def imds(request: Request) -> Answer:
    if request.method == "PUT":
        return Answer(200, b"a-token")
    if request.headers.get("x-aws-ec2-metadata-token") != "a-token":
        return Answer(401)
    if request.path.endswith("/security-credentials/"):
        return Answer(200, b"the-role")
    body = {
        "Code": "Success",
        "AccessKeyId": "ASIAEC2",
        "SecretAccessKey": "secret",
        "Token": "token",
        "Expiration": (datetime.now(UTC) + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    return Answer(200, json.dumps(body).encode())


def test_an_instance_is_a_source() -> None:
    with serving(imds) as url:
        made = from_surroundings(
            Ambient(kind="ec2"), Network(), {"AWS_EC2_METADATA_SERVICE_ENDPOINT": f"{url}/"}
        )

    assert made.access_key_id == "ASIAEC2"


def test_no_instance_is_told() -> None:
    with serving(lambda request: Answer(404)) as url, pytest.raises(NotFoundError):
        from_surroundings(
            Ambient(kind="ec2"), Network(), {"AWS_EC2_METADATA_SERVICE_ENDPOINT": f"{url}/"}
        )


def test_a_login_of_the_aws_cli_that_is_not_there_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))

    with pytest.raises(PrivysealError) as caught:
        from_surroundings(Ambient(kind="login", session="arn:aws:iam::1:user/me"), Network(), {})
    assert caught.value.hint in {"install `botocore[crt]`", "run `aws login`"}


@pytest.mark.parametrize(
    "source",
    [
        Process(command="touch {proof}"),
        WebIdentity(role="arn:aws:iam::1:role/r", token_file="/etc/shadow"),
        WebIdentity(role="arn:aws:iam::1:role/r", token_command="touch {proof}"),
        Ambient(kind="environment"),
    ],
    ids=["process", "token-file", "token-command", "environment"],
)
def test_the_broker_goes_nowhere_else(source: Source, tmp_path: Path) -> None:
    proof = tmp_path / "proof"
    if isinstance(source, Process):
        source = Process(command=source.command.format(proof=proof))
    broker = Engine(Means(MemoryStore(), FakeTalk(), FakeClock(), Flights(tmp_path / "flights")))
    steps = (RoleStep(arn="arn:aws:iam::1:role/r"),)

    for tried in (plan(source), Plan(profile="p", source=source, steps=steps)):
        with pytest.raises(DeniedError, match="begins outside the store"):
            broker.obtain(tried)
    assert not proof.exists()


def test_a_cached_session_of_the_outside_is_not_given_by_the_broker(tmp_path: Path) -> None:
    store = MemoryStore()
    flights = Flights(tmp_path / "flights")
    wanted = plan(printing(document()))
    own = Engine(Means(store, FakeTalk(), SystemClock(), flights), outside=True)
    assert isinstance(own.obtain(wanted), Credentials)

    with pytest.raises(DeniedError):
        Engine(Means(store, FakeTalk(), SystemClock(), flights)).obtain(wanted)
