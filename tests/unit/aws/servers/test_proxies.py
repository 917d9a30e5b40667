"""A child's HTTP proxy never stands between it and a local server."""

import pytest

from privyseal.aws.servers.proxies import unproxied

PROXY = {"http_proxy": "http://proxy:3128"}


@pytest.mark.parametrize(
    "environment",
    [{}, {"http_proxy": ""}, PROXY | {"no_proxy": "*"}, PROXY | {"NO_PROXY": "x,127.0.0.1"}],
)
def test_nothing_is_set_where_no_proxy_is_in_the_way(environment: dict[str, str]) -> None:
    assert unproxied(environment, "127.0.0.1") == {}


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        (PROXY, "127.0.0.1"),
        ({"ALL_PROXY": "x", "NO_PROXY": ".corp,10.0.0.1"}, ".corp,10.0.0.1,127.0.0.1"),
    ],
)
def test_both_spellings_name_the_server(environment: dict[str, str], expected: str) -> None:
    assert unproxied(environment, "127.0.0.1") == {"no_proxy": expected, "NO_PROXY": expected}
