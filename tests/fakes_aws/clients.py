"""AWS's own library as a client of the fake: it reads no file and no environment of anybody."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import botocore.session
from botocore import UNSIGNED
from botocore.config import Config
from tests.fakes_aws.aws import FakeAws
from tests.fakes_aws.people import Key

REGION = "eu-central-1"


@contextmanager
def client(service: str, aws: FakeAws, key: Key | None = None) -> Iterator[Any]:
    """Lend a botocore client of a service; without a key it signs nothing and retries nothing."""
    session = botocore.session.Session()
    for variable in ("config_file", "credentials_file"):
        session.set_config_variable(variable, os.devnull)
    made = session.create_client(
        service,
        region_name=REGION,
        endpoint_url=aws.url,
        aws_access_key_id=key.access_key_id if key else None,
        aws_secret_access_key=key.secret_access_key if key else None,
        aws_session_token=(key.session_token or None) if key else None,
        config=Config(
            signature_version=None if key else UNSIGNED,
            retries={"total_max_attempts": 1},
            parameter_validation=False,  # the fake is to refuse, not the client
            connect_timeout=10,
            read_timeout=10,
        ),
    )
    try:
        yield made
    finally:
        made.close()
