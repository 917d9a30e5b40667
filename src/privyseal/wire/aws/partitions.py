"""The parts AWS is divided into: their regions, domains and hosts to sign in at."""

import re
from typing import Final, NamedTuple


class Partition(NamedTuple):
    """One part of AWS, with accounts of its own.

    `suffix` ends the names of its hosts, `dual_stack` those that know IPv6. `signin` is the host
    that turns credentials into a sign-in, `console` the domain of the web console.
    """

    name: str
    regions: str
    suffix: str
    dual_stack: str
    home: str
    signin: str
    console: str


AWS: Final = Partition(
    "aws",
    "",
    "amazonaws.com",
    "api.aws",
    "us-east-1",
    "us-east-1.signin.aws.amazon.com",
    "console.aws.amazon.com",
)

PARTITIONS: Final = (
    AWS,
    Partition(
        "aws-cn",
        "cn-",
        "amazonaws.com.cn",
        "api.amazonwebservices.com.cn",
        "cn-north-1",
        "signin.amazonaws.cn",
        "console.amazonaws.cn",
    ),
    Partition(
        "aws-us-gov",
        "us-gov-",
        "amazonaws.com",
        "api.aws",
        "us-gov-west-1",
        "signin.amazonaws-us-gov.com",
        "console.amazonaws-us-gov.com",
    ),
    Partition(
        "aws-eusc",
        "eusc-",
        "amazonaws.eu",
        "api.amazonwebservices.eu",
        "eusc-de-east-1",
        "signin.amazonaws-eusc.eu",
        "console.amazonaws-eusc.eu",
    ),
    Partition(
        "aws-iso",
        "us-iso-",
        "c2s.ic.gov",
        "api.aws.ic.gov",
        "us-iso-east-1",
        "signin.c2shome.ic.gov",
        "console.c2shome.ic.gov",
    ),
    Partition(
        "aws-iso-b",
        "us-isob-",
        "sc2s.sgov.gov",
        "api.aws.scloud",
        "us-isob-east-1",
        "signin.sc2shome.sgov.gov",
        "console.sc2shome.sgov.gov",
    ),
    Partition(
        "aws-iso-e",
        "eu-isoe-",
        "cloud.adc-e.uk",
        "api.cloud-aws.adc-e.uk",
        "eu-isoe-west-1",
        "signin.csphome.adc-e.uk",
        "console.csphome.adc-e.uk",
    ),
    Partition(
        "aws-iso-f",
        "us-isof-",
        "csp.hci.ic.gov",
        "api.aws.hci.ic.gov",
        "us-isof-south-1",
        "signin.csphome.hci.ic.gov",
        "console.csphome.hci.ic.gov",
    ),
)
"""From botocore 1.44 (partitions.json, rules for signin); `regions` begins regions' names."""

LEGACY_GLOBAL: Final = frozenset(
    [
        "ap-northeast-1",
        "ap-south-1",
        "ap-southeast-1",
        "ap-southeast-2",
        "aws-global",
        "ca-central-1",
        "eu-central-1",
        "eu-north-1",
        "eu-west-1",
        "eu-west-2",
        "eu-west-3",
        "sa-east-1",
        "us-east-1",
        "us-east-2",
        "us-west-1",
        "us-west-2",
    ]
)
"""Regions whose STS is the global one with `sts_regional_endpoints = legacy` (SDK reference)."""

_BY_NAME: Final = {partition.name: partition for partition in PARTITIONS}

_REGION: Final = re.compile(r"[a-z]{2,6}(-[a-z]{2,12}){1,3}-\d{1,2}", re.ASCII)


def is_region(name: str) -> bool:
    """Return whether this is the form of a region's name; the region need not exist."""
    return bool(_REGION.fullmatch(name))


def of_region(region: str) -> Partition:
    """Return the partition of a region; the ordinary one for a name that tells none."""
    found = [part for part in PARTITIONS if part.regions and region.startswith(part.regions)]
    return found[0] if found else AWS


def named(name: str) -> Partition | None:
    """Return the partition of this name, as it stands in an ARN."""
    return _BY_NAME.get(name)
