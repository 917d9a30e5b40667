"""Plans for generated graphs of profiles, against a second reading of aws-vault's rules."""

import time
from typing import NamedTuple, get_args

import pytest
from hypothesis import example, given, settings, strategies as st
from tests.soak import times

from privyseal.errors import NotFoundError, PrivysealError, UsageError
from privyseal.model.aws import FederationStep, Plan, RoleStep, SessionStep, StoredKey
from privyseal.wire.aws.planning import Purpose, plan
from privyseal.wire.aws.profiles import Flags, load

GRAPHS = times(400, soak=10_000)
SECONDS_FOR_ONE = 2.0
HOUR = 3600
SERIALS = ("arn:aws:iam::111111111111:mfa/s", "arn:aws:iam::111111111111:mfa/t")


class Node(NamedTuple):
    """One profile as it is generated; numbers name other profiles, also such as do not exist."""

    source: int | None
    include: int | None
    role: bool
    mfa: str
    hours: int
    key: bool
    portal: bool


class Graph(NamedTuple):
    nodes: tuple[Node, ...]

    def text(self) -> str:
        lines = []
        for number, node in enumerate(self.nodes):
            lines.append(f"[profile p{number}]")
            if node.source is not None:
                lines.append(f"source_profile = p{node.source}")
            if node.include is not None:
                lines.append(f"include_profile = p{node.include}")
            if node.role:
                lines.append(f"role_arn = {arn(number)}")
            if node.mfa:
                lines.append(f"mfa_serial = {node.mfa}")
            if node.hours:
                lines.append(f"duration_seconds = {node.hours * HOUR}")
            if node.portal:
                lines.append("sso_start_url = https://corp.awsapps.com/start")
                lines += ["sso_region = eu-west-1", "sso_account_id = 1", "sso_role_name = dev"]
        return "\n".join(lines)

    def keys(self) -> frozenset[str]:
        return frozenset(f"p{number}" for number, node in enumerate(self.nodes) if node.key)


def arn(number: int) -> str:
    return f"arn:aws:iam::222222222222:role/r{number}"


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    size = draw(st.integers(1, 13))
    # Most edges lead onwards, so that there are long chains; some anywhere, so that there are circles.
    nodes = []
    for number in range(size):
        onwards = st.just(min(number + 1, size - 1))
        anywhere = st.integers(0, size)
        nodes.append(
            Node(
                source=draw(st.none() | onwards | onwards | onwards | anywhere),
                include=draw(st.none() | st.none() | st.none() | anywhere),
                role=draw(st.booleans()),
                mfa=draw(st.sampled_from(["", SERIALS[0], SERIALS[0], SERIALS[1]])),
                hours=draw(st.sampled_from([0, 0, 0, 1, 2, 12])),
                key=draw(st.integers(0, 3)) == 0 or number == size - 1,
                portal=draw(st.integers(0, 7)) == 0,
            )
        )
    return Graph(tuple(nodes))


class CircleError(Exception):
    """Profiles lead back to each other."""


class NothingError(Exception):
    """A profile does not exist, or has nowhere to begin."""


class Reading:
    """What section 2 and 3 of aws-vault's rules say of a graph, by recursion over providers."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.calls: list[tuple[str, str, int]] = []
        self.begins = ""
        self.chained_mfa = ""

    def value(self, number: int, field: str, seen: tuple[int, ...] = ()) -> object:
        if number in seen:
            raise CircleError
        if number >= len(self.graph.nodes):
            return None
        node = self.graph.nodes[number]
        inherited = None
        if node.include is not None:
            inherited = self.value(node.include, field, (*seen, number))
        if field == "role" and node.role:
            return arn(number)
        own = None if field == "role" else getattr(node, field)
        return own if own or (own == 0 and field == "source") else inherited

    def source_of(self, number: int) -> int | None:
        found = self.value(number, "source")
        return found if isinstance(found, int) and not isinstance(found, bool) else None

    def chain(self, number: int) -> list[int]:
        found = [number]
        while True:
            last = found[-1]
            exists = last < len(self.graph.nodes)
            for field in ("source", "include"):
                self.value(last, field)
            if not exists:
                raise NothingError
            source = self.source_of(last)
            if self.graph.nodes[last].key or source in {None, last}:
                return found
            assert source is not None
            if source in found:
                raise CircleError
            found.append(source)

    def read(self, number: int) -> None:
        chain = self.chain(number)
        last = chain[-1]
        key = self.graph.nodes[last].key
        if not key and not self.value(last, "portal"):
            raise NothingError
        self.begins = "key" if key else "portal"
        roles = [at for at in chain if self.role(at, chain)]
        asked = [self.seconds(at) for at in roles]
        keep_full = len(asked) == 1 and asked[0] > HOUR
        self.provider(0, chain, keep_full=keep_full)

    def role(self, number: int, chain: list[int]) -> str:
        if self.begins == "portal" and number == chain[-1]:
            return ""
        return str(self.value(number, "role") or "")

    def seconds(self, number: int) -> int:
        hours = self.value(number, "hours")
        return (hours if isinstance(hours, int) and hours else 1) * HOUR

    def provider(self, at: int, chain: list[int], *, keep_full: bool) -> str:
        """Return what the profile at this place of the chain gives: key, session or role."""
        number = chain[at]
        if at == len(chain) - 1:
            held = "key" if self.begins == "key" else "role"
        else:
            held = self.provider(at + 1, chain, keep_full=keep_full)
        mfa = str(self.value(number, "mfa") or "")
        role = self.role(number, chain)
        downstream = chain[at - 1] if at else None
        if held == "key" and not keep_full:
            feeds_role = downstream is not None and bool(self.role(downstream, chain))
            theirs = mfa if downstream is None else str(self.value(downstream, "mfa") or "")
            allowed = downstream is None or (bool(mfa) and mfa == theirs)
            if (not role or feeds_role) and allowed:
                self.calls.append(("session", mfa, 8 * HOUR if at else HOUR))
                self.chained_mfa = mfa
                held = "session"
        if role:
            own = mfa if mfa != self.chained_mfa and held != "role" else ""
            limit = HOUR if held in {"session", "role"} else 12 * HOUR
            self.calls.append((role, own, min(self.seconds(number), limit)))
            held = "role"
        return held


def _node(source: int | None, mfa: str, hours: int = 0, *, role: bool = True) -> Node:
    return Node(source, None, role, mfa, hours, key=not role, portal=False)


LOOP = Graph(tuple(_node((number + 1) % 3, "") for number in range(3)))
MIXED = Graph(
    (
        *(_node(number + 1, SERIALS[number % 2], 2) for number in range(9)),
        _node(None, SERIALS[0], role=False),
    )
)


@settings(max_examples=GRAPHS, deadline=None)
@given(graphs())
@example(LOOP)
@example(MIXED)
def test_a_plan_is_what_aws_vaults_rules_give_or_one_clear_refusal(graph: Graph) -> None:
    profiles = load(graph.text())
    for number in range(len(graph.nodes)):
        reading = Reading(graph)
        begun = time.thread_time()
        refused: PrivysealError | None = None
        made: Plan | None = None
        try:
            made = plan(profiles, f"p{number}", keys=graph.keys(), environment={})
        except (UsageError, NotFoundError) as error:
            refused = error
        assert time.thread_time() - begun < SECONDS_FOR_ONE
        try:
            reading.read(number)
        except CircleError:
            assert isinstance(refused, UsageError)
            assert " -> " in str(refused)
            assert str(refused).isprintable()
            continue
        except NothingError:
            assert isinstance(refused, NotFoundError)
            assert str(refused).isprintable()
            continue
        if len([call for call in reading.calls if call[0] != "session"]) > 11:
            assert isinstance(refused, UsageError)
            continue
        assert made is not None, refused
        assert isinstance(made.source, StoredKey) == (reading.begins == "key")
        assert _calls(made) == reading.calls
        _check_what_holds_always(made)


def _calls(made: Plan) -> list[tuple[str, str, int]]:
    found = []
    for step in made.steps:
        assert isinstance(step, SessionStep | RoleStep)
        name = step.arn if isinstance(step, RoleStep) else "session"
        found.append((name, step.mfa, step.duration))
    return found


def _check_what_holds_always(made: Plan) -> None:
    serials = [step.mfa for step in made.steps if not isinstance(step, FederationStep)]
    codes = [serial for serial in serials if serial]
    assert len(set(codes)) == len(codes)
    for at, step in enumerate(made.steps):
        if isinstance(step, SessionStep):
            assert at == 0
            assert isinstance(made.source, StoredKey)
        elif isinstance(step, RoleStep) and at:
            assert step.duration <= HOUR
            assert not step.mfa or isinstance(made.steps[0], SessionStep)


@settings(max_examples=GRAPHS // 4, deadline=None)
@given(
    graphs(),
    st.sampled_from(get_args(Purpose)),
    st.booleans(),
    st.booleans(),
    st.sampled_from([0, HOUR, 4 * HOUR, 36 * HOUR]),
    st.lists(st.integers(0, 20).map(arn), max_size=3),
)
def test_no_flag_makes_a_plan_that_aws_would_refuse_for_its_times(
    graph: Graph,
    purpose: Purpose,
    no_session: bool,
    read_only: bool,
    duration: int,
    roles: list[str],
) -> None:
    flags = Flags(
        no_session=no_session,
        read_only=read_only,
        duration=duration,
        role_arn=roles[0] if roles else "",
        chain=tuple(roles[1:]),
    )
    try:
        made = plan(
            load(graph.text()),
            "p0",
            keys=graph.keys(),
            environment={},
            flags=flags,
            purpose=purpose,
        )
    except (UsageError, NotFoundError) as error:
        shown = str(error)
        assert shown.isprintable()
        return
    _check_what_holds_always(made)
    for at, step in enumerate(made.steps):
        most = (12 * HOUR if not at else HOUR) if isinstance(step, RoleStep) else 36 * HOUR
        assert 900 <= step.duration <= most
    if read_only:
        narrowed = made.steps[-1]
        assert not isinstance(narrowed, SessionStep)
        assert not narrowed.policy  # AWS allows what any of the policies allows
        assert narrowed.policy_arns == ("arn:aws:iam::aws:policy/ReadOnlyAccess",)
    if no_session or (purpose == "login" and not any(isinstance(s, RoleStep) for s in made.steps)):
        assert not any(isinstance(step, SessionStep) for step in made.steps)


def _line(length: int, *, roles: int) -> str:
    text = [f"[profile p{length}]\nmfa_serial = {SERIALS[0]}"]
    for number in range(length):
        text.append(f"[profile p{number}]\nsource_profile = p{number + 1}")
        text.append(f"mfa_serial = {SERIALS[0]}")
        if number < roles:
            text.append(f"role_arn = {arn(number)}")
    return "\n".join(text)


def test_a_chain_of_ten_roles_takes_one_code() -> None:
    made = plan(load(_line(10, roles=10)), "p0", keys=["p10"], environment={})
    assert [type(step) for step in made.steps] == [SessionStep, *[RoleStep] * 10]
    assert [mfa for _, mfa, _ in _calls(made) if mfa] == [SERIALS[0]]


def test_a_chain_longer_than_a_plan_is_refused() -> None:
    with pytest.raises(UsageError, match="chains more than 11 roles"):
        plan(load(_line(12, roles=12)), "p0", keys=["p12"], environment={})


def test_thousands_of_profiles_are_followed_without_recursion_and_in_time() -> None:
    profiles = load(_line(5000, roles=3))
    begun = time.thread_time()
    assert len(plan(profiles, "p0", keys=["p5000"], environment={}).steps) == 4
    circle = "\n".join(
        f"[profile p{n}]\nsource_profile = p{(n + 1) % 5000}\ninclude_profile = q{n}"
        f"\n[profile q{n}]\nregion = eu-west-1"
        for n in range(5000)
    )
    with pytest.raises(UsageError, match=r"'p0' -> 'p1' -> .*'…'.* -> 'p0'"):
        plan(load(circle), "p0", keys=(), environment={})
    assert time.thread_time() - begun < 10
