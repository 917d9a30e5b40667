"""Credentials that begin outside: a command, a token in a file, or what the surroundings offer.

The person who asks holds these anyway, so they are fetched in her own process and never by the
broker, which would otherwise run commands and read files that the desktop names.
"""

import json
import os
import subprocess
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import msgspec

from privyseal.aws import sts
from privyseal.aws.calls import UNREADABLE
from privyseal.errors import (
    CorruptError,
    DeniedError,
    LimitError,
    NotFoundError,
    PrivysealError,
    UnreachableError,
    UnsupportedError,
    UsageError,
)
from privyseal.model.aws import Ambient, Credentials, Network, Process, WebIdentity
from privyseal.model.clock import Clock
from privyseal.runtime.wholefile import read_whole

CHAIN: Final = "PRIVYSEAL_CREDENTIAL_PROCESS"
"""Tells a `credential_process` which profiles wait for one already, parted by newlines."""

_NEEDED: Final = ("AccessKeyId", "SecretAccessKey")
_OPTIONAL: Final = ("SessionToken", "AccountId")
_MAX_OUTPUT: Final = 256 * 1024
_MAX_TOKEN: Final = 64 * 1024
_MAX_CHAIN: Final = 8


def from_process(source: Process, profile: str, environment: Mapping[str, str]) -> Credentials:
    """Return what a `credential_process` prints.

    Raises:
        UsageError: It asks, through whatever programs, for the profile that asks for it.
        CorruptError: It prints something else.
        PrivysealError: It failed.
    """
    before = [name for name in environment.get(CHAIN, "").split("\n") if name]
    if profile in before or len(before) >= _MAX_CHAIN:
        raise UsageError(
            f"credential_process runs in a circle: {' -> '.join([*before, profile])}",
            hint=f"let the command of {profile!r} name another profile, or give that one a key",
        )
    inner = {**environment, CHAIN: "\n".join([*before, profile])}
    what = f"credential_process of {profile!r}"
    return _parsed(_output(source.command, inner, what, _MAX_OUTPUT), what)


def from_web_identity(
    source: WebIdentity, network: Network, environment: Mapping[str, str], clock: Clock
) -> Credentials:
    """Return a role's credentials for a token from a file or a command.

    Raises:
        NotFoundError: The file is not there.
        PrivysealError: There is no token, or AWS refuses it.
    """
    if source.token_file:
        token = _token(source.token_file)
    else:
        raw = _output(source.token_command, environment, "web_identity_token_process", _MAX_TOKEN)
        token = raw.decode(errors="replace").strip()
    if not token:
        raise CorruptError("the web identity token is empty")
    return sts.web_identity(network, source, token, clock)


def from_surroundings(
    source: Ambient, network: Network, environment: Mapping[str, str]
) -> Credentials:
    """Return what the environment, a metadata service or a login of the AWS CLI offers.

    Raises:
        NotFoundError: It offers nothing.
        UnsupportedError: botocore lacks what a login needs.
    """
    match source.kind:
        case "environment":
            return _from_environment(environment)
        case "ec2":
            return _from_ec2(environment)
        case "ecs":
            return _from_ecs(environment)
        case "login":
            return _from_login(source.session, network)


def _output(command: str, environment: Mapping[str, str], what: str, limit: int) -> bytes:
    # A shell, as aws-vault has it: people write `~` and pipes here. The text is the user's own.
    try:
        with subprocess.Popen(
            ["/bin/sh", "-c", command], stdout=subprocess.PIPE, env=dict(environment)
        ) as process:
            assert process.stdout is not None  # noqa: S101 - for the type checker: it is a pipe
            output = process.stdout.read(limit + 1)
            if len(output) > limit:
                process.kill()
                raise LimitError(f"{what} prints more than {limit} bytes")
    except (OSError, ValueError) as error:
        raise PrivysealError(f"{what} cannot be run: {error}") from None
    if process.returncode:
        raise PrivysealError(
            f"{what} failed with status {process.returncode}", hint="run the command by hand"
        )
    return output


def _token(name: str) -> str:
    try:
        raw = read_whole(Path(name).expanduser(), _MAX_TOKEN)
    except NotFoundError:
        raise NotFoundError(f"no web identity token at {name!r}") from None
    except (RuntimeError, ValueError):  # the home of a user whom nobody knows, or a NUL
        raise UsageError(f"{name!r} is no path of a file") from None
    return raw.decode(errors="replace").strip()


def _parsed(output: bytes, what: str) -> Credentials:
    # The parser's error quotes what it read: it must not travel on with ours.
    try:
        found = json.loads(output)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise CorruptError(f"{what} printed no JSON object", hint="run the command by hand")
    if found.get("Version", 1) != 1:
        raise CorruptError(f"{what} answered in version {found['Version']!r:.20}, and 1 is known")
    return _credentials(found, what)


def _credentials(found: Mapping[str, Any], what: str) -> Credentials:
    """Return what a `credential_process` calls by these names; other sources are brought to them."""
    texts = {name: found.get(name) or "" for name in (*_NEEDED, *_OPTIONAL)}
    for name, value in texts.items():
        # What is no such text would break a header, a variable, or the line of a file.
        plain = isinstance(value, str) and value.isascii() and value.isprintable()
        if not plain or (name in _NEEDED and not value):
            raise CorruptError(f"{what} gave no {name}, or none of AWS")
    return Credentials(
        access_key_id=texts["AccessKeyId"],
        secret_access_key=texts["SecretAccessKey"],
        session_token=texts["SessionToken"],
        expires=_moment(found.get("Expiration"), what),
        account=texts["AccountId"],
    )


def _moment(text: object, what: str) -> float:
    if text is None or text == "":
        return 0.0
    try:
        moment = datetime.fromisoformat(str(text))
    except ValueError:
        raise CorruptError(f"{what} gave an Expiration that is no time") from None
    if moment.tzinfo is None:
        raise CorruptError(f"{what} gave an Expiration without a time zone")
    return moment.timestamp()


def _from_environment(environment: Mapping[str, str]) -> Credentials:
    key, secret = (
        environment.get(name, "") for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
    )
    if not (key and secret):
        raise NotFoundError(
            "credential_source is Environment, and AWS_ACCESS_KEY_ID or AWS_SECRET_ACCESS_KEY is unset"
        )
    found = {
        "AccessKeyId": key,
        "SecretAccessKey": secret,
        "SessionToken": environment.get("AWS_SESSION_TOKEN"),
        "Expiration": environment.get("AWS_CREDENTIAL_EXPIRATION"),
        "AccountId": environment.get("AWS_ACCOUNT_ID"),
    }
    return _credentials(found, "the environment")


def _from_ec2(environment: Mapping[str, str]) -> Credentials:
    from botocore.exceptions import BotoCoreError  # noqa: PLC0415 - 250 ms, rarely wanted
    from botocore.utils import InstanceMetadataFetcher  # noqa: PLC0415

    config = {"ec2_metadata_service_endpoint": environment.get("AWS_EC2_METADATA_SERVICE_ENDPOINT")}
    try:
        fetcher = InstanceMetadataFetcher(
            timeout=1, num_attempts=2, env={}, user_agent="privyseal", config=config
        )
        found = fetcher.retrieve_iam_role_credentials()
    except (BotoCoreError, OSError, *UNREADABLE):
        raise UnreachableError(
            "the instance metadata service does not answer with credentials",
            hint="look at AWS_EC2_METADATA_SERVICE_ENDPOINT",
        ) from None
    if not found:
        raise NotFoundError("no instance metadata service offers credentials here")
    named = {
        "AccessKeyId": found["access_key"],
        "SecretAccessKey": found["secret_key"],
        "SessionToken": found["token"],
        "Expiration": found["expiry_time"],
    }
    return _credentials(named, "the instance metadata service")


def _from_ecs(environment: Mapping[str, str]) -> Credentials:
    from botocore.credentials import ContainerProvider  # noqa: PLC0415 - 250 ms, rarely wanted
    from botocore.exceptions import BotoCoreError  # noqa: PLC0415

    provider = ContainerProvider(environ=dict(environment))
    try:
        found = provider.load()
        frozen = found.get_frozen_credentials() if found else None
    except (BotoCoreError, OSError, *UNREADABLE):
        raise UnreachableError(
            "the container credentials service does not answer with credentials"
        ) from None
    if frozen is None:
        raise NotFoundError(
            "credential_source is EcsContainer, and AWS_CONTAINER_CREDENTIALS_FULL_URI is unset"
        )
    return _frozen(found, frozen, "the container credentials service")


def _from_login(session: str, network: Network) -> Credentials:
    from botocore.credentials import LoginProvider  # noqa: PLC0415 - 250 ms, rarely wanted
    from botocore.exceptions import (  # noqa: PLC0415
        BotoCoreError,
        ClientError,
        MissingDependencyException,
    )

    from privyseal.aws.calls import client  # noqa: PLC0415

    def signing_in(service: str, **options: Any) -> Any:
        region = options.get("region_name") or network.region
        return client(service, msgspec.structs.replace(network, region=region), None)

    config = {"profiles": {"it": {"login_session": session}}}
    provider = LoginProvider(lambda: config, signing_in, "it")
    try:
        found = provider.load()
        frozen = found.get_frozen_credentials()
    except MissingDependencyException:
        raise UnsupportedError(
            "login_session needs botocore's extra `crt`", hint="install `botocore[crt]`"
        ) from None
    except (BotoCoreError, ClientError, OSError, *UNREADABLE):
        raise DeniedError(
            "the login of the AWS CLI is not there or has ended", hint="run `aws login`"
        ) from None
    return _frozen(found, frozen, "the login of the AWS CLI")


def _frozen(found: Any, frozen: Any, what: str) -> Credentials:
    named = {
        "AccessKeyId": frozen.access_key,
        "SecretAccessKey": frozen.secret_key,
        "SessionToken": frozen.token,
        # botocore keeps the end of refreshable credentials to itself.
        "Expiration": getattr(found, "_expiry_time", None),
        "AccountId": getattr(frozen, "account_id", None),
    }
    return _credentials(named, what)


def surroundings() -> Mapping[str, str]:
    """Return the environment of this process, for those who ask in it."""
    return dict(os.environ)
