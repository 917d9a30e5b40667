"""What a person reads of an order: all of it."""

import re
from collections.abc import Iterator
from urllib.parse import urlsplit

import msgspec
import pytest
from hypothesis import given, settings, strategies as st
from tests.plans import SECONDS, kept_sources, networks, plans, portals
from tests.soak import times

from privyseal.errors import NotFoundError, UsageError
from privyseal.keeper.backends.objects import item_path
from privyseal.keeper.orders import matches, order_facts
from privyseal.model import aws
from privyseal.model.ask import ChangeAws, UseAws, decode_ask, leasable, outcome_of, title_of
from privyseal.model.secret import Secret
from privyseal.model.value import Value, encode
from privyseal.wire.broker import decode_question, is_endpoint
from privyseal.wire.passnames import identifier

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)
PORTALS, NETWORKS = portals(TEXT), networks(TEXT)
PLANS = plans(TEXT, kept_sources(TEXT))
ORDERS = st.one_of(
    st.builds(aws.Obtain, plan=PLANS, command=st.lists(TEXT, max_size=3).map(tuple)),
    st.builds(aws.Link, plan=PLANS, destination=TEXT, duration=SECONDS, federation=TEXT),
    st.builds(aws.Roles, portal=PORTALS, network=NETWORKS),
    st.builds(aws.SignIn, portal=PORTALS, network=NETWORKS),
    st.builds(aws.Keep, name=TEXT, network=NETWORKS, typed=st.booleans(), replace=st.booleans()),
    st.builds(aws.Remove, name=TEXT),
    st.builds(aws.Clear, name=TEXT, portal=st.none() | PORTALS),
    st.builds(aws.Rotate, name=TEXT, plan=PLANS, grace=SECONDS, resume=st.booleans()),
)


def texts(part: object) -> Iterator[str]:
    """Yield every text in an order, wherever it stands."""
    if isinstance(part, str):
        yield part
    elif isinstance(part, dict):
        for pair in part.items():
            yield from texts(pair)
    elif isinstance(part, tuple):
        for each in part:
            yield from texts(each)
    elif isinstance(part, Value):
        for name in part.__struct_fields__:
            yield from texts(getattr(part, name))


@settings(max_examples=times(200, soak=4_000), deadline=None)
@given(order=ORDERS)
def test_every_text_of_an_order_is_drawn(order: aws.Order):
    facts = order_facts(order)
    drawn = "\0".join(fact.value for fact in facts)
    # A command is drawn as a shell would read it.
    drawn += drawn.replace("'\"'\"'", "'")

    assert [text for text in texts(order) if text not in drawn] == []
    assert all(fact.name for fact in facts)


@settings(max_examples=times(200, soak=4_000), deadline=None)
@given(order=ORDERS)
def test_an_order_survives_the_wire(order: aws.Order):
    kind = UseAws if isinstance(order, aws.Obtain | aws.Link | aws.Roles) else ChangeAws
    ask = kind(order=order)  # type: ignore[arg-type]  # the order fits the kind

    assert decode_ask(encode(ask).decode()) == ask
    assert title_of(ask)[0]
    assert len(leasable(ask)) == (kind is UseAws)


@settings(max_examples=times(200, soak=4_000), deadline=None)
@given(first=PLANS, second=PLANS)
def test_a_lease_tells_plans_apart_by_all_that_obtains_something(first: aws.Plan, second: aws.Plan):
    bare = [
        msgspec.structs.replace(plan, notes=(), fresh=False, least=0) for plan in (first, second)
    ]

    same = outcome_of(aws.Obtain(plan=first)) == outcome_of(aws.Obtain(plan=second))

    assert same == (bare[0] == bare[1])
    assert outcome_of(aws.Obtain(plan=first)) == outcome_of(aws.Obtain(plan=first, command=("x",)))
    assert outcome_of(aws.Obtain(plan=first)) != outcome_of(aws.Link(plan=first))


@settings(max_examples=times(300, soak=4_000), deadline=None)
@given(packet=st.binary(max_size=200) | TEXT.map(str.encode) | ORDERS.map(encode))
def test_a_packet_is_a_question_or_a_clear_error(packet: bytes):
    try:
        question = decode_question(packet)
    except UsageError:
        return
    assert decode_question(encode(question)) == question


def test_no_item_of_a_store_passes_for_what_an_order_gives():
    # Who wrote a pass store named its collections, and what lies in them has the names that it has there.
    plan = aws.Plan(profile="prod", source=aws.StoredKey(name="base"))
    outcome = outcome_of(aws.Obtain(plan=plan))

    with pytest.raises(NotFoundError):
        item_path(outcome)
    assert identifier(outcome.item) != outcome.item


def test_a_request_reads_as_a_person_thinks_of_it():
    role = aws.RoleStep(
        arn="arn:aws:iam::111122223333:role/Deploy",
        duration=5400,
        tags={"team": "blue", "cost": "7"},
        policy_arns=("arn:aws:iam::aws:policy/ReadOnlyAccess",),
    )
    plan = aws.Plan(
        profile="prod",
        source=aws.StoredKey(name="base"),
        steps=(aws.SessionStep(mfa="arn:aws:iam::999988887777:mfa/me"), role),
        network=aws.Network(
            region="eu-central-1",
            endpoints={
                "sts": "https://sts.eu-central-1.amazonaws.com",
                "iam": "http://evil.example",
            },
        ),
        notes=("capped to 1 h",),
    )

    facts = order_facts(aws.Obtain(plan=plan, command=("sh", "-c", "a b")))

    assert [(fact.grade[0], fact.name, fact.value) for fact in facts] == [
        ("r", "profile", "prod"),
        ("v", "stored key", "base"),
        ("v", "session", "as AWS decides"),
        ("v", "mfa", "arn:aws:iam::999988887777:mfa/me"),
        ("v", "role", "arn:aws:iam::111122223333:role/Deploy"),
        ("v", "account", "111122223333"),
        ("v", "duration", "1 h 30 min"),
        ("v", "tags", "team: blue, cost: 7"),
        ("v", "policy arns", "arn:aws:iam::aws:policy/ReadOnlyAccess"),
        ("v", "region", "eu-central-1"),
        ("w", "calls", "sts: https://sts.eu-central-1.amazonaws.com, iam: http://evil.example"),
        ("r", "notes", "capped to 1 h"),
        ("r", "command", "sh -c 'a b'"),
    ]


def test_a_long_lived_key_that_would_leave_is_a_warning():
    plan = aws.Plan(profile="prod", source=aws.StoredKey(name="base"))

    [*_, last] = order_facts(aws.Obtain(plan=plan))

    assert (last.grade, last.name, last.value) == ("warning", "gives", "the long-lived key itself")


def test_a_federated_session_is_shown_by_how_long_it_holds():
    plan = aws.Plan(
        profile="prod",
        source=aws.StoredKey(name="base"),
        steps=(aws.FederationStep(duration=3600),),
    )

    facts = {fact.name: fact.value for fact in order_facts(aws.Link(plan=plan))}

    assert facts["federation"] == "1 h"
    assert all(value for name, value in facts.items() if name != "profile")


def test_what_is_forgotten_without_a_name_is_said():
    (every,) = order_facts(aws.Clear())
    (one,) = order_facts(aws.Clear(name="prod"))

    assert (every.name, every.value) == ("forgets", "all sessions and tokens")
    assert (one.name, one.value) == ("name", "prod")


def test_a_key_that_is_kept_is_named_by_its_id_and_never_shown():
    key = aws.AccessKey(
        access_key_id="AKIAEXAMPLE", secret_access_key="hunter2", account="111122223333", mfa="me"
    )

    facts = order_facts(aws.Keep(name="prod", unverified=True), Secret(encode(key)))

    assert [(fact.grade, fact.name, fact.value) for fact in facts] == [
        ("verified", "name", "prod"),
        ("reported", "key id", "AKIAEXAMPLE"),
        ("reported", "account", "111122223333"),
        ("reported", "mfa", "me"),
        ("verified", "unverified", "yes"),
    ]
    with pytest.raises(UsageError, match="the key is malformed") as caught:
        order_facts(aws.Keep(name="prod"), Secret(b'{"secret_access_key": "hunter2", "x": 1}'))
    assert "hunter2" not in str(caught.value)


def test_a_seed_is_kept_without_being_shown():
    order = aws.Keep(name="totp:arn:aws:iam::111122223333:mfa/me")

    assert [fact.value for fact in order_facts(order, Secret(b"JBSWY3DPEHPK3PXP"))] == [order.name]


def test_an_order_that_no_broker_takes_is_not_shown():
    steps = tuple(aws.RoleStep(arn="arn", policy="p" * 16_000) for _ in range(4))
    plan = aws.Plan(profile="prod", source=aws.StoredKey(name="base"), steps=steps)

    with pytest.raises(UsageError, match="too long"):
        order_facts(aws.Obtain(plan=plan))
    assert order_facts(aws.Obtain(plan=msgspec.structs.replace(plan, steps=steps[:2])))


@pytest.mark.parametrize(
    ("pattern", "matched"),
    [
        ("prod", True),
        ("pr*", True),
        ("base", True),
        ("111122223333", True),
        ("*:role/Adm*", True),
        ("Prod", False),
        ("eu-*", False),
        ("*me*", False),
        ("", False),
    ],
)
def test_a_pattern_matches_profile_key_account_and_role(pattern: str, *, matched: bool):
    role = aws.RoleStep(arn="arn:aws:iam::111122223333:role/Admin", session_name="me")
    plan = aws.Plan(
        profile="prod",
        source=aws.StoredKey(name="base"),
        steps=(role,),
        network=aws.Network(region="eu-west-1"),
    )

    assert matches(aws.Obtain(plan=plan), [pattern]) == matched
    portal = aws.Portal(start_url="https://x.awsapps.com/start", region="eu-west-1")
    source = aws.PortalRole(portal=portal, account="111122223333", role="Admin")
    assert matches(aws.Link(plan=msgspec.structs.replace(plan, source=source)), ["Admin"])


@pytest.mark.parametrize(
    "url",
    [
        "https://sts.amazonaws.com",
        "https://sts.eu-central-1.amazonaws.com/",
        "https://sts-fips.us-gov-west-1.amazonaws.com:443",
        "https://portal.sso.us-east-1.amazonaws.com/federation/credentials",
        "https://oidc.us-east-1.amazonaws.com",
        "https://sts.us-east-1.api.aws",
        "https://sts.cn-north-1.amazonaws.com.cn",
        "https://iam.us-gov.amazonaws.com",
        "https://us-east-1.signin.aws.amazon.com/federation",
        "https://signin.aws.amazon.com/federation",
        "https://signin.amazonaws-us-gov.com/federation",
        "https://signin.amazonaws.cn/federation",
    ],
)
def test_an_endpoint_of_aws_is_known(url: str):
    assert is_endpoint(url)


@pytest.mark.parametrize(
    "url",
    [
        "http://sts.amazonaws.com",
        "https://sts.amazonaws.com.evil.example",
        "https://sts.amazonaws.com@evil.example",
        "https://evil.example/sts.amazonaws.com",
        "https://sts.amazonaws.com:8443",
        "https://abc.execute-api.us-east-1.amazonaws.com",
        "https://sts.s3.amazonaws.com",
        "https://ec2-1-2-3-4.compute-1.amazonaws.com",
        "https://sts.evil.amazonaws.com",
        "https://sts.eu-central-1.amazonaws.com\n.evil.example",
        "https://STS.amazonaws.com",
        "",
    ],
)
def test_what_a_customer_of_aws_may_own_is_no_endpoint(url: str):
    assert not is_endpoint(url)


def test_further_endpoints_are_taken_whole():
    others = ["http://10.0.2.2:5000/", ""]

    assert is_endpoint("http://10.0.2.2:5000", others)
    assert is_endpoint("http://10.0.2.2:5000/x", others)
    assert not is_endpoint("http://10.0.2.2:50001", others)
    assert not is_endpoint("http://10.0.2.2:5000.evil.example", others)


@settings(max_examples=times(300, soak=4_000), deadline=None)
@given(
    url=st.from_regex(
        re.compile(r"https://[a-z0-9.@:/?#-]{1,60}amazonaws\.com[a-z0-9.@:/?#-]{0,30}")
    )
)
def test_what_passes_for_aws_has_a_host_of_aws(url: str):
    if is_endpoint(url):
        host = urlsplit(url).hostname or ""
        assert re.fullmatch(
            r"([a-z-]+\.)?(sts|iam|oidc|sso|signin)[a-z0-9.-]*\.amazonaws\.com", host
        )
