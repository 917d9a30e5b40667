"""Sign-in links to the web console: the federation endpoint takes credentials and gives a token.

A link is as good as the credentials, for 15 minutes and for whoever opens it first.
"""

import json
import re
from typing import Final
from urllib.parse import quote, urlencode

from privyseal.aws.calls import not_installed, trusted
from privyseal.errors import DeniedError, UnreachableError, UsageError
from privyseal.model.aws import Ambient, Credentials, FederationStep, Link, Network, Process
from privyseal.wire.aws.addresses import parts_of
from privyseal.wire.aws.partitions import Partition, is_region, of_region

ISSUER: Final = "privyseal"
"""Whom the console names when a session has ended."""

SHORTEST: Final = 900
LONGEST: Final = 12 * 3600
"""Bounds of a console session, in seconds (IAM user guide, "Enabling custom broker access")."""

_SECONDS: Final = 30
_MAX_ANSWER: Final = 64 * 1024
_LONGEST: Final = 2048
_HOST: Final = re.compile(r"[a-z0-9.-]+")


def link(
    credentials: Credentials,
    destination: str,
    duration: int,
    issuer: str,
    federation: str,
    network: Network,
) -> str:
    """Return a link that signs whoever opens it in to the web console.

    Args:
        credentials: Of a role or a federated user: the console takes no others.
        destination: A path, a whole address on the console's hosts, or "" for its home.
        duration: Seconds of the session, 0 for as long as AWS thinks; for a role only.
        issuer: Whom the console names when the session has ended.
        federation: The endpoint, "" for that of the region's partition.
        network: Its region is where the console opens, its authorities vouch for the endpoint.

    Raises:
        UsageError: The destination or the duration is none.
        DeniedError: AWS gives no session for these credentials.
        UnreachableError: The endpoint does not answer.
    """
    if not credentials.session_token:
        raise UsageError("the console takes no long-lived key", hint="use a role, or federation")
    if duration and not SHORTEST <= duration <= LONGEST:
        raise UsageError(
            f"a console session of {duration} s is out of bounds",
            hint="ask for 15 minutes to 12 hours, or leave the duration to AWS",
        )
    partition = of_region(network.region)
    page = resolve(destination, network.region, partition)
    endpoint = federation or f"https://{partition.signin}/federation"
    session = {
        "sessionId": credentials.access_key_id,
        "sessionKey": credentials.secret_access_key,
        "sessionToken": credentials.session_token,
    }
    asked = {"Action": "getSigninToken", "Session": json.dumps(session, separators=(",", ":"))}
    if duration:
        asked["SessionDuration"] = str(duration)
    token = _signin_token(endpoint, asked, network.ca_bundle)
    login = {"Action": "login", "Issuer": issuer, "Destination": page, "SigninToken": token}
    return f"{endpoint}?{urlencode(login, quote_via=quote)}"


def link_by(order: Link, credentials: Credentials) -> str:
    """Return the link that an order asks for, with the credentials of its plan.

    Raises:
        PrivysealError: As for `link`.
    """
    plan = order.plan
    if not plan.steps and isinstance(plan.source, Process | Ambient):
        credentials = _presentable(credentials, plan.network)
    # A federated user's session ends with her credentials; the plan has set how long these last.
    federated = bool(plan.steps) and isinstance(plan.steps[-1], FederationStep)
    duration = 0 if federated else order.duration
    return link(credentials, order.destination, duration, ISSUER, order.federation, plan.network)


def after_logout(url: str) -> str:
    """Return a link that signs the browser out of the console first, and then follows `url`."""
    parts = parts_of(url)
    asked = {"Action": "logout", "redirect_uri": url}
    return f"{parts.scheme}://{parts.netloc}/oauth?{urlencode(asked, quote_via=quote)}"


def resolve(destination: str, region: str, partition: Partition) -> str:
    """Return the address of a page of the console.

    Raises:
        UsageError: It is a page of somebody else, or no page.
    """
    if not (destination.isascii() and destination.isprintable()) or len(destination) > _LONGEST:
        raise UsageError(f"{destination[:80]!r} is no page of the console")
    if "://" in destination:
        parts = parts_of(destination)
        aws = partition.console.removeprefix("console.")
        plain = _HOST.fullmatch(parts.netloc)  # to a browser a backslash ends the host
        if parts.scheme != "https" or not plain or not f".{parts.netloc}".endswith(f".{aws}"):
            raise UsageError(
                f"{destination!r} is no page of the console",
                hint=f"give a path, or an address at {partition.console}",
            )
        return destination
    if region and not is_region(region):
        raise UsageError(f"{region!r} is no region")
    host = f"{region}.{partition.console}" if region else partition.console
    path, mark, fragment = destination.lstrip("/").partition("#")
    if not region:
        return f"https://{host}/{path}{mark}{fragment}"
    path = path or "console/home"
    joint = "&" if "?" in path else "?"
    return f"https://{host}/{path}{joint}region={region}{mark}{fragment}"


def _presentable(credentials: Credentials, network: Network) -> Credentials:
    """Return credentials of unknown origin in a form that the console takes."""
    from privyseal.aws import sts  # noqa: PLC0415 - seldom wanted

    if credentials.session_token:
        kind = sts.identity(network, credentials).arn.rpartition(":")[2].partition("/")[0]
        if kind not in {"assumed-role", "federated-user"}:
            raise UsageError(
                "the console takes no session of a user (GetSessionToken)",
                hint="log in with a profile that has a role, or keeps the key itself",
            )
        return credentials
    return sts.federation(network, credentials, FederationStep(name=""))


def _signin_token(endpoint: str, asked: dict[str, str], bundle: str) -> str:
    # What goes wrong below may quote the address, and the credentials are in it.
    host = parts_of(endpoint).netloc
    status, body = _fetch(f"{endpoint}?{urlencode(asked)}", host, trusted(bundle))
    if status != 200:  # noqa: PLR2004 - RFC 9110 §15.3.1
        raise DeniedError(
            f"AWS gives no console session for these credentials (status {status} of {host})",
            hint="leave --duration out: only a role assumed with a long-lived key may set it"
            if "SessionDuration" in asked
            else "the console takes credentials of a role or a federated user, while they last",
        )
    try:
        token = json.loads(body)["SigninToken"]
    except (ValueError, KeyError, TypeError, RecursionError):
        token = None
    if not isinstance(token, str) or not token:
        raise UnreachableError(f"{host} answers without a sign-in token")
    return token


def _fetch(url: str, host: str, authorities: str | bool) -> tuple[int, bytes]:  # noqa: FBT001 - botocore's form
    try:
        from botocore.awsrequest import AWSRequest  # noqa: PLC0415 - 250 ms: only for a call
        from botocore.exceptions import BotoCoreError  # noqa: PLC0415
        from botocore.httpsession import URLLib3Session  # noqa: PLC0415
        from botocore.utils import get_environ_proxies  # noqa: PLC0415
        from urllib3.exceptions import HTTPError  # noqa: PLC0415
    except ImportError:
        raise not_installed() from None
    session = URLLib3Session(verify=authorities, timeout=_SECONDS, proxies=get_environ_proxies(url))
    try:
        answer = session.send(AWSRequest("GET", url, stream_output=True).prepare())
        return answer.status_code, answer.raw.read(_MAX_ANSWER)
    except (BotoCoreError, HTTPError, OSError):
        raise UnreachableError(
            f"cannot reach {host}", hint="look at the network and the proxy (HTTPS_PROXY)"
        ) from None
    finally:
        session.close()
