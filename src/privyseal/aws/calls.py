"""Calls to AWS: clients that take everything from their arguments, and errors in one clear line.

botocore reads profiles, credentials, models, bundles and endpoints wherever it finds them; the
session here is told that there are none. Only the proxy variables that every program honours
(HTTPS_PROXY, NO_PROXY) are left to it.
"""

import os
import threading
from collections.abc import Callable, Collection, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

from privyseal.aws.refusals import ExpectedError, quoted, refusal
from privyseal.errors import (
    CorruptError,
    NotFoundError,
    PrivysealError,
    UnreachableError,
    UnsupportedError,
    UsageError,
)
from privyseal.model.aws import Credentials, Network

_ATTEMPTS: Final = 5
_CONNECT_SECONDS: Final = 10
_READ_SECONDS: Final = 30
_GLOBAL_STS: Final = "https://sts.amazonaws.com"
_GLOBAL_REGION: Final = "us-east-1"
# The machine's own list of authorities, where Debian, Fedora, SUSE and Alpine have it: a company's
# proxy is in there, and not in the list that botocore brings.
_AUTHORITIES: Final = (
    Path("/etc/ssl/certs/ca-certificates.crt"),
    Path("/etc/pki/tls/certs/ca-bundle.crt"),
    Path("/etc/ssl/ca-bundle.pem"),
    Path("/etc/ssl/cert.pem"),
)

_building = threading.Lock()


_CAUSES: Final[Mapping[str, str]] = {
    "EndpointConnectionError": "no connection",
    "ConnectTimeoutError": "no connection in time",
    "ReadTimeoutError": "no answer in time",
    "ConnectionClosedError": "it closed the connection",
    "ProxyConnectionError": "the proxy does not answer",
}
UNREADABLE: Final = (
    ArithmeticError,
    AttributeError,
    LookupError,
    RuntimeError,  # an instant that no calendar has, or nesting without end
    TypeError,
    ValueError,
)
"""What botocore's parsers stumble with over what has another shape than its models."""


def not_installed() -> UnsupportedError:
    """Return what to say where botocore is missing."""
    return UnsupportedError(
        "calls to AWS need botocore, which is not installed",
        hint="install the extra: pip install 'privyseal[aws]'",
    )


def client(
    service: str, network: Network, credentials: Credentials | None, *, attempts: int = _ATTEMPTS
) -> Any:
    """Return a botocore client of a service ("sts"); without credentials it signs nothing.

    It tries `attempts` times in all where AWS throttles, fails or does not answer; give 1 for a
    call that must not be made twice.

    Raises:
        UnsupportedError: botocore is not installed.
        UsageError: The region or an endpoint is malformed.
        PrivysealError: The file of authorities is none.
    """
    try:
        from botocore import UNSIGNED, plugin  # noqa: PLC0415 - 250 ms: only where a call is made
        from botocore.config import Config  # noqa: PLC0415
        from botocore.exceptions import BotoCoreError  # noqa: PLC0415
    except ImportError:
        raise not_installed() from None

    region = network.region or _GLOBAL_REGION
    endpoint = endpoint_of(service, network)
    if endpoint and (network.fips or network.dual_stack):
        raise UsageError(
            f"the endpoint {quoted(endpoint)!r} for {service} excludes FIPS and dual-stack",
            hint="leave out either endpoint_url or the other two",
        )
    if service == "sts" and network.global_sts and not endpoint:
        region, endpoint = _GLOBAL_REGION, _GLOBAL_STS
    config = Config(
        region_name=region,
        signature_version=None if credentials else UNSIGNED,
        connect_timeout=_CONNECT_SECONDS,
        read_timeout=_READ_SECONDS,
        retries={"mode": "standard", "total_max_attempts": attempts},
        use_dualstack_endpoint=network.dual_stack,
        use_fips_endpoint=network.fips,
        ignore_configured_endpoint_urls=True,
        user_agent_extra="privyseal",
    )
    signing: dict[str, str] = {}
    if credentials:
        signing = {
            "aws_access_key_id": credentials.access_key_id,
            "aws_secret_access_key": credentials.secret_access_key,
        }
        if credentials.session_token:
            signing["aws_session_token"] = credentials.session_token
    try:
        with _building:
            # No code is loaded because a variable names it.
            plugin.set_plugin_context(plugin.PluginContext(plugins="DISABLED"))
            return _session().create_client(
                service,
                config=config,
                endpoint_url=endpoint or None,
                verify=trusted(network.ca_bundle),
                **signing,
            )
    except (BotoCoreError, ValueError) as error:
        raise UsageError(f"cannot reach {service} in {region!r}: {quoted(str(error))}") from None


def call(
    owner: Any, operation: str, *, expected: Collection[str] = (), **inputs: object
) -> dict[str, Any]:
    """Make one call on a client ("get_caller_identity") and return the answer.

    Raises:
        ExpectedError: AWS answered with one of the error codes that are `expected`.
        WrongCodeError: The code of the MFA device is wrong.
        EndedError: The credentials have expired.
        UnknownKeyError: Their access key is not known.
        DeniedError: AWS refuses them otherwise, or what they may do.
        LimitError: AWS throttles, or one of its limits is reached.
        NotFoundError: What is named is not there.
        UsageError: AWS finds the request malformed.
        UnreachableError: There is no way to AWS, or AWS does not answer.
    """
    from botocore.exceptions import (  # noqa: PLC0415 - see `client`
        BotoCoreError,
        ClientError,
        ParamValidationError,
        SSLError,
    )
    from botocore.parsers import ResponseParserError  # noqa: PLC0415

    what = f"{owner.meta.service_model.service_id.lower()}:{owner.meta.method_to_api_mapping[operation]}"
    method: Callable[..., dict[str, Any]] = getattr(owner, operation)
    try:
        return method(**inputs)
    except ClientError as error:
        if (code := str(error.response.get("Error", {}).get("Code", ""))) in expected:
            raise ExpectedError(code) from None
        raise refusal(error.response, what, inputs) from None
    except ParamValidationError:
        # Its text quotes what was given, a code or a token among it.
        names = ", ".join(sorted(inputs))
        raise UsageError(f"one of {names} has no form that {what} takes") from None
    except SSLError:
        raise UnreachableError(
            f"cannot trust who answers at {_host(owner)}",
            hint="look for a proxy or a captive portal between here and AWS, whose authority is not known"
            " to this machine or to `ca_bundle`",
        ) from None
    except BotoCoreError as error:
        raise UnreachableError(
            f"cannot reach {_host(owner)} for {what}: {_CAUSES.get(type(error).__name__, 'it failed')}",
            hint="look at the network, the proxy (HTTPS_PROXY) and the endpoint",
        ) from None
    except (ResponseParserError, *UNREADABLE):
        raise UnreachableError(
            f"what answers {what} at {_host(owner)} is not AWS",
            hint="look for a proxy or a captive portal, and at the endpoint",
        ) from None


def endpoint_of(service: str, network: Network) -> str:
    """Return where a service is called instead of where AWS has it, "" for there."""
    for name in (service, service.replace("-", " "), service.replace("-", "_"), ""):
        if found := network.endpoints.get(name):
            return found
    return ""


@cache
def _session() -> Any:
    """Return a botocore session that knows no file and no variable."""
    from botocore.configprovider import (  # noqa: PLC0415 - see `client`
        BOTOCORE_DEFAUT_SESSION_VARIABLES,
        ConfigValueStore,
        ConstantProvider,
    )
    from botocore.loaders import Loader  # noqa: PLC0415
    from botocore.session import Session  # noqa: PLC0415

    plain = {
        name: ConstantProvider(value=default)
        for name, (_, _, default, _) in BOTOCORE_DEFAUT_SESSION_VARIABLES.items()
    }
    for files in ("config_file", "credentials_file"):
        plain[files] = ConstantProvider(value="/dev/null")
    session = Session()
    session.register_component("config_store", ConfigValueStore(mapping=plain))
    built_in = Loader(
        extra_search_paths=[Loader.BUILTIN_DATA_PATH], include_default_search_paths=False
    )
    session.register_component("data_loader", built_in)
    return session


def trusted(bundle: str = "") -> str | bool:
    """Return the file with the authorities that may vouch for AWS, True for botocore's own.

    That is the `bundle` where one is named, else the machine's.

    Raises:
        NotFoundError: There is no such file.
        CorruptError: It holds no certificate.
        PrivysealError: It cannot be read.
    """
    if not bundle:
        return next((str(path) for path in _AUTHORITIES if path.is_file()), True)
    import ssl  # noqa: PLC0415 - 10 ms, and rarely wanted

    path = Path(os.path.expanduser(bundle))  # noqa: PTH111 - pathlib's raises
    what, hint = f"the file of authorities {str(path)!r}", "mend `ca_bundle`, or AWS_CA_BUNDLE"
    try:
        if path.exists() and not path.is_file():  # to open a pipe would be to wait
            raise CorruptError(f"{what} is no file", hint=hint)
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=path)
    except FileNotFoundError:
        raise NotFoundError(f"{what} is not there", hint=hint) from None
    except ssl.SSLError:
        raise CorruptError(f"{what} holds no certificate in PEM", hint=hint) from None
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise PrivysealError(f"cannot read {what}: {why}", hint=hint) from None
    return str(path)


def _host(owner: Any) -> str:
    return repr(quoted(str(owner.meta.endpoint_url)))
