"""Regions, and which hosts are AWS's own; botocore's tables say what is right."""

import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import botocore
import pytest
from botocore.endpoint_provider import EndpointProvider
from botocore.exceptions import BotoCoreError
from botocore.loaders import Loader

from privyseal.wire.aws import partitions
from privyseal.wire.aws.partitions import PARTITIONS, is_aws_host, is_region, of_region

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
                checked.add(urlsplit(found.url).hostname)
    assert len(checked) > 8
    assert [host for host in checked if not is_aws_host(host)] == []


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
        assert is_aws_host(partition.signin)
    assert partitions.named("aws-moon") is None
    assert of_region("moon-1") is partitions.AWS


@pytest.mark.parametrize(
    "host",
    [
        "sts.amazonaws.com",
        "STS.EU-WEST-1.amazonaws.com.",
        "signin.aws.amazon.com",
        "eu-west-1.signin.aws.amazon.com",
        "us-iso-east-1.signin.c2shome.ic.gov",
        "d-1234567890.awsapps.com",
        "ssoins-1234.portal.eu-west-1.app.aws",
    ],
)
def test_a_host_of_aws_is_known(host: str) -> None:
    assert is_aws_host(host)


@pytest.mark.parametrize(
    "host",
    [
        "",
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
        "sts.amazonaws.com:443",
        "sts.amazonaws.com\n",
        "stsXamazonaws.com",
        "awsapps.com",
        "evilawsapps.com",
        "127.0.0.1",
        "localhost",
        "sts.\uff45u-west-1.amazonaws.com",
        "a." * 5000 + "awsapps.com",
        "a-" * 100 + "!.awsapps.com",
    ],
)
def test_a_host_that_others_may_fill_is_none(host: str) -> None:
    assert not is_aws_host(host)
