"""Regions, partitions, and the addresses that are AWS's own, by botocore's tables."""

import json
from collections.abc import Iterator
from pathlib import Path

import botocore
import pytest
from botocore.endpoint_provider import EndpointProvider
from botocore.exceptions import BotoCoreError
from botocore.loaders import Loader

from privyseal.wire.aws import partitions
from privyseal.wire.aws.partitions import PARTITIONS, is_region, of_region
from privyseal.wire.broker import is_endpoint

DATA = Path(botocore.__file__).parent / "data"
SERVICES = ("sts", "iam", "sso", "sso-oidc", "signin")


def published() -> Iterator[tuple[str, str, dict[str, str]]]:
    for part in json.loads((DATA / "partitions.json").read_text())["partitions"]:
        for region in part["regions"]:
            yield part["id"], region, part["outputs"]


@pytest.mark.parametrize("service", SERVICES)
def test_every_endpoint_that_botocore_knows_is_awss_own(service: str) -> None:
    loader = Loader()
    rules = loader.load_service_model(service, "endpoint-rule-set-1")
    provider = EndpointProvider(rules, loader.load_data("partitions"))
    checked = set()
    for _, region, _ in published():
        for fips in (False, True):
            for dual in (False, True):
                try:
                    found = provider.resolve_endpoint(
                        Region=region, UseFIPS=fips, UseDualStack=dual, IsControlPlane=False
                    )
                except BotoCoreError:
                    continue
                checked.add(found.url)
    assert len(checked) > 8
    assert [url for url in checked if not is_endpoint(url)] == []


def test_every_region_is_in_its_partition() -> None:
    for name, region, outputs in published():
        if region.endswith("-global"):
            continue
        assert is_region(region)
        assert of_region(region).name == name
        assert of_region(region).suffix == outputs["dnsSuffix"]
        assert of_region(region).dual_stack == outputs["dualStackDnsSuffix"]


def test_every_partition_is_found_by_its_name_and_has_a_home() -> None:
    for partition in PARTITIONS:
        assert partitions.named(partition.name) is partition
        assert of_region(partition.home) is partition
        assert is_endpoint(f"https://{partition.signin}/federation")
    assert partitions.named("aws-moon") is None
    assert of_region("moon-1") is partitions.AWS


@pytest.mark.parametrize(
    "host",
    [
        "amazonaws.com",
        "sts.s3.amazonaws.com",
        "sts.s3-us-west-2.amazonaws.com",
        "sts.s3.us-west-2.amazonaws.com",
        "portal.sso.s3.amazonaws.com",
        "abc.execute-api.eu-west-1.amazonaws.com",
        "abc.lambda-url.eu-west-1.on.aws",
        "sts.eu-west-1.elb.amazonaws.com",
        "sts.amazonaws.com.evil.example",
        "evilsts.amazonaws.com",
        "stsXamazonaws.com",
        "sts.\uff45u-west-1.amazonaws.com",
        "aws-evil.example-global.signin.aws.amazon.com",
    ],
)
def test_a_host_that_others_may_fill_is_no_endpoint(host: str) -> None:
    assert not is_endpoint(f"https://{host}")
