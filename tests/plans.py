"""Plans of every shape, for properties that hold for all of them."""

from hypothesis import strategies as st

from privyseal.model import aws

SECONDS = st.integers(0, 36 * 3600)

Texts = st.SearchStrategy[str]


def portals(text: Texts) -> st.SearchStrategy[aws.Portal]:
    return st.builds(aws.Portal, start_url=text, region=text, session=text)


def networks(text: Texts) -> st.SearchStrategy[aws.Network]:
    return st.builds(
        aws.Network,
        region=text,
        endpoints=st.dictionaries(text, text, max_size=3),
        dual_stack=st.booleans(),
        fips=st.booleans(),
        global_sts=st.booleans(),
    )


def kept_sources(text: Texts) -> st.SearchStrategy[aws.Source]:
    """Return where plans begin that need something of the store."""
    return st.one_of(
        st.builds(aws.StoredKey, name=text),
        st.builds(aws.PortalRole, portal=portals(text), account=text, role=text),
    )


def outside_sources(text: Texts) -> st.SearchStrategy[aws.Source]:
    return st.one_of(
        st.builds(aws.WebIdentity, role=text, session_name=text, duration=SECONDS, token_file=text),
        st.builds(aws.Process, command=text),
    )


def steps(text: Texts) -> st.SearchStrategy[aws.Step]:
    few = st.lists(text, max_size=2).map(tuple)
    return st.one_of(
        st.builds(aws.SessionStep, duration=SECONDS, mfa=text),
        st.builds(
            aws.RoleStep,
            arn=text,
            session_name=text,
            duration=SECONDS,
            external_id=text,
            mfa=text,
            source_identity=text,
            tags=st.dictionaries(text, text, max_size=3),
            transitive=few,
            policy=text,
            policy_arns=few,
        ),
        st.builds(aws.FederationStep, name=text, duration=SECONDS, policy=text),
    )


def plans(text: Texts, sources: st.SearchStrategy[aws.Source]) -> st.SearchStrategy[aws.Plan]:
    return st.builds(
        aws.Plan,
        profile=text,
        source=sources,
        steps=st.lists(steps(text), max_size=4).map(tuple),
        network=networks(text),
        notes=st.lists(text, max_size=2).map(tuple),
        fresh=st.booleans(),
        least=SECONDS,
    )
