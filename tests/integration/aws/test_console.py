"""Console links: a scripted browser follows them to a page, signed in as the role."""

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.fakes import FakeClock
from tests.fakes_aws.aws import FakeAws, fake_aws
from tests.fakes_aws.browser import visit
from tests.fakes_aws.clients import client
from tests.fakes_aws.people import Key

from privyseal.aws.console import ISSUER, after_logout, link, resolve
from privyseal.errors import DeniedError, UnreachableError, UsageError
from privyseal.model.aws import Credentials, Network
from privyseal.wire.aws.partitions import of_region

HOME = "https://eu-central-1.console.aws.amazon.com/console/home?region=eu-central-1"


@pytest.fixture
def aws() -> Iterator[FakeAws]:
    with fake_aws(FakeClock()) as made:
        yield made


@pytest.fixture
def role(aws: FakeAws) -> Key:
    return aws.people.begin_role(aws.people.add_role(), "test", 3600)


def of(key: Key) -> Credentials:
    return Credentials(
        access_key_id=key.access_key_id,
        secret_access_key=key.secret_access_key,
        session_token=key.session_token,
        expires=key.expires,
    )


def made(aws: FakeAws, key: Key, destination: str = "", duration: int = 0) -> str:
    network = Network(region="eu-central-1")
    return link(of(key), destination, duration, ISSUER, f"{aws.url}/federation", network)


def test_a_link_signs_in_once_as_the_role(aws: FakeAws, role: Key) -> None:
    url = made(aws, role)
    assert visit(url).url == HOME
    assert aws.signin.signed_in == [(role, HOME, 0)]
    assert aws.asked("login")[0]["Issuer"] == "privyseal"
    assert visit(url).status == 400


def test_the_session_lasts_as_long_as_was_asked(aws: FakeAws, role: Key) -> None:
    visit(made(aws, role, duration=43_200))
    assert aws.signin.signed_in == [(role, HOME, 43_200)]


def test_logging_out_first_ends_at_the_same_page(aws: FakeAws, role: Key) -> None:
    assert visit(after_logout(made(aws, role))).url == HOME
    assert aws.calls["logout"] == 1


def test_federated_users_sign_in_without_a_duration(aws: FakeAws) -> None:
    user = aws.people.add_user()
    with client("sts", aws, user.key) as sts:
        found = sts.get_federation_token(Name="alice")["Credentials"]
    key = aws.people.find(found["AccessKeyId"])
    assert key is not None
    visit(made(aws, key))
    assert aws.signin.signed_in[0][0] is key
    with pytest.raises(DeniedError) as error:
        made(aws, key, duration=3600)
    assert "leave --duration out" in error.value.hint


@pytest.mark.parametrize("duration", [1, 899, 43_201])
def test_a_duration_out_of_bounds_is_refused_here(aws: FakeAws, role: Key, duration: int) -> None:
    with pytest.raises(UsageError, match="out of bounds"):
        made(aws, role, duration=duration)
    assert not aws.seen


def test_a_long_lived_key_never_goes_to_the_console(aws: FakeAws) -> None:
    with pytest.raises(UsageError, match="long-lived"):
        made(aws, aws.people.add_user().key)
    assert not aws.seen


def test_no_error_quotes_the_credentials(aws: FakeAws, role: Key) -> None:
    role.expires = 1
    with pytest.raises(DeniedError) as denied:
        made(aws, role)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        aws.url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(UnreachableError) as unreachable:
            made(aws, role)
    for error in (denied.value, unreachable.value):
        assert error.__cause__ is None
        assert error.__context__ is None or error.__suppress_context__
        assert role.secret_access_key not in str(error)


def test_an_endpoint_that_breaks_off_is_out_of_reach_and_the_credentials_are_not_told(
    role: Key,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor(1) as pool:

        def break_off() -> None:
            visitor, _ = listener.accept()
            with visitor:
                visitor.recv(65536)
                visitor.sendall(
                    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nno chunk\r\n"
                )

        left = pool.submit(break_off)
        endpoint = f"http://127.0.0.1:{listener.getsockname()[1]}/federation"
        with pytest.raises(UnreachableError, match="cannot reach 127") as caught:
            link(of(role), "", 0, ISSUER, endpoint, Network(region="eu-central-1"))
        left.result(10)
    assert role.secret_access_key not in str(caught.value)


@pytest.mark.parametrize(
    ("region", "signin", "page"),
    [
        ("", "us-east-1.signin.aws.amazon.com", "https://console.aws.amazon.com/"),
        ("eu-central-1", "us-east-1.signin.aws.amazon.com", HOME),
        (
            "cn-north-1",
            "signin.amazonaws.cn",
            "https://cn-north-1.console.amazonaws.cn/console/home?region=cn-north-1",
        ),
        (
            "us-gov-west-1",
            "signin.amazonaws-us-gov.com",
            "https://us-gov-west-1.console.amazonaws-us-gov.com/console/home?region=us-gov-west-1",
        ),
        (
            "eusc-de-east-1",
            "signin.amazonaws-eusc.eu",
            "https://eusc-de-east-1.console.amazonaws-eusc.eu/console/home?region=eusc-de-east-1",
        ),
        (
            "us-iso-east-1",
            "signin.c2shome.ic.gov",
            "https://us-iso-east-1.console.c2shome.ic.gov/console/home?region=us-iso-east-1",
        ),
        (
            "us-isob-east-1",
            "signin.sc2shome.sgov.gov",
            "https://us-isob-east-1.console.sc2shome.sgov.gov/console/home?region=us-isob-east-1",
        ),
        (
            "eu-isoe-west-1",
            "signin.csphome.adc-e.uk",
            "https://eu-isoe-west-1.console.csphome.adc-e.uk/console/home?region=eu-isoe-west-1",
        ),
        (
            "us-isof-south-1",
            "signin.csphome.hci.ic.gov",
            "https://us-isof-south-1.console.csphome.hci.ic.gov/console/home?region=us-isof-south-1",
        ),
    ],
)
def test_every_partition_has_its_sign_in_and_its_console(
    region: str, signin: str, page: str
) -> None:
    partition = of_region(region)
    assert partition.signin == signin
    assert resolve("", region, partition) == page


@pytest.mark.parametrize(
    ("destination", "page"),
    [
        ("s3/home", "s3/home?region=eu-central-1"),
        ("/s3/home", "s3/home?region=eu-central-1"),
        ("ec2/home?a=b#Instances:", "ec2/home?a=b&region=eu-central-1#Instances:"),
        ("ec2/home#Instances:", "ec2/home?region=eu-central-1#Instances:"),
    ],
)
def test_a_path_is_opened_in_the_region(destination: str, page: str) -> None:
    base = "https://eu-central-1.console.aws.amazon.com/"
    assert resolve(destination, "eu-central-1", of_region("eu-central-1")) == base + page


def test_an_address_of_aws_is_taken_whole_and_no_other() -> None:
    partition = of_region("eu-central-1")
    url = "https://health.aws.amazon.com/health/home"
    assert resolve(url, "eu-central-1", partition) == url
    for wrong in (
        "https://evil.example/",
        "https://evilaws.amazon.com/",
        "https://aws.amazon.com.evil.example/",
        "https://console.aws.amazon.com@evil.example/",
        "https://console.aws.amazon.com:8443/",
        "https://evil.example\\.aws.amazon.com/",
        "https://evil.example\\@console.aws.amazon.com/",
        "https://me@console.aws.amazon.com/",
        "http://console.aws.amazon.com/",
        "javascript://console.aws.amazon.com/",
        "s3\n",
        "s" * 3000,
    ):
        with pytest.raises(UsageError, match="no page of the console"):
            resolve(wrong, "eu-central-1", partition)
    with pytest.raises(UsageError, match="is no address"):
        resolve("https://[", "eu-central-1", partition)
    with pytest.raises(UsageError, match="is no region"):
        resolve("", "evil.example/", of_region(""))
