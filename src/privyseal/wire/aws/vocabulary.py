"""The keys that may stand in the configuration file, and the variables that stand above them."""

from collections.abc import Mapping
from typing import Final

VARIABLES: Final[Mapping[str, tuple[str, ...]]] = {
    "region": ("AWS_REGION", "AWS_DEFAULT_REGION"),
    "sts_regional_endpoints": ("AWS_STS_REGIONAL_ENDPOINTS",),
    "endpoint_url": ("AWS_ENDPOINT_URL",),
    "ignore_configured_endpoint_urls": ("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",),
    "use_dualstack_endpoint": ("AWS_USE_DUALSTACK_ENDPOINT",),
    "use_fips_endpoint": ("AWS_USE_FIPS_ENDPOINT",),
    "ca_bundle": ("AWS_CA_BUNDLE",),
    "mfa_serial": ("AWS_MFA_SERIAL",),
    "duration_seconds": ("AWS_ASSUME_ROLE_TTL",),
    "session_ttl": ("AWS_SESSION_TOKEN_TTL",),
    "chained_session_ttl": ("AWS_CHAINED_SESSION_TOKEN_TTL",),
    "federation_ttl": ("AWS_FEDERATION_TOKEN_TTL",),
    "min_ttl": ("AWS_MIN_TTL",),
}
"""Variables that count for every profile of a chain; the first that is set holds."""

TARGET_VARIABLES: Final[Mapping[str, tuple[str, ...]]] = {
    "role_arn": ("AWS_ROLE_ARN",),
    "role_session_name": ("AWS_ROLE_SESSION_NAME",),
    "session_tags": ("AWS_SESSION_TAGS",),
    "transitive_session_tags": ("AWS_TRANSITIVE_TAGS",),
    "source_identity": ("AWS_SOURCE_IDENTITY",),
}
"""Variables that count for the profile asked for alone, not for those it builds on."""

DURATIONS: Final = frozenset(
    ["duration_seconds", "session_ttl", "chained_session_ttl", "federation_ttl", "min_ttl"]
)
"""Keys whose variables hold Go durations; in the file `duration_seconds` is a number."""

DEFAULTS: Final[Mapping[str, str]] = {
    "duration_seconds": "3600",
    "session_ttl": "3600",
    "chained_session_ttl": "28800",
    "federation_ttl": "3600",
    "min_ttl": "300",
}

HONOURED: Final = frozenset(
    [
        "ca_bundle",
        "credential_process",
        "credential_source",
        "duration_seconds",
        "endpoint_url",
        "external_id",
        "ignore_configured_endpoint_urls",
        "include_profile",
        "login_session",
        "mfa_process",
        "mfa_serial",
        "policy",
        "policy_arns",
        "region",
        "role_arn",
        "role_session_name",
        "services",
        "session_tags",
        "source_identity",
        "source_profile",
        "sso_account_id",
        "sso_region",
        "sso_role_name",
        "sso_session",
        "sso_start_url",
        "sts_regional_endpoints",
        "transitive_session_tags",
        "use_dualstack_endpoint",
        "use_fips_endpoint",
        "web_identity_token_file",
        "web_identity_token_process",
    ]
)
"""Keys of a profile that count here. `policy` and `policy_arns` are ours: a session policy."""

SESSION_KEYS: Final = frozenset(["sso_start_url", "sso_region", "sso_registration_scopes"])
"""Keys of an `[sso-session]` section."""

_OTHERS: Final = frozenset(
    [
        "account_id_endpoint_mode",
        "api_versions",
        "auth_scheme_preference",
        "aws_access_key_id",
        "aws_account_id",
        "aws_secret_access_key",
        "aws_session_token",
        "cli_auto_prompt",
        "cli_binary_format",
        "cli_error_format",
        "cli_follow_urlparam",
        "cli_help_output",
        "cli_history",
        "cli_pager",
        "cli_timestamp_format",
        "cloudfront",
        "csm_client_id",
        "csm_enabled",
        "csm_host",
        "csm_port",
        "data_path",
        "defaults_mode",
        "disable_host_prefix_injection",
        "disable_request_compression",
        "ec2_metadata_service_endpoint",
        "ec2_metadata_service_endpoint_mode",
        "ec2_metadata_v1_disabled",
        "emr",
        "endpoint_discovery_enabled",
        "imds_use_ipv6",
        "max_attempts",
        "metadata_service_num_attempts",
        "metadata_service_timeout",
        "output",
        "parameter_validation",
        "request_checksum_calculation",
        "request_min_compression_size_bytes",
        "response_checksum_validation",
        "retry_mode",
        "s3",
        "s3_disable_express_session_auth",
        "s3_disable_multiregion_access_points",
        "s3_use_arn_region",
        "s3api",
        "sdk_ua_app_id",
        "sigv4a_signing_region_set",
        "sso_auto_populated",
        "sso_registration_scopes",
        "tcp_keepalive",
        "user_agent_appid",
    ]
)
"""Keys of a profile that other AWS tools know, and that change nothing here."""

KNOWN: Final = HONOURED | _OTHERS

PLAINTEXT: Final = frozenset(["aws_access_key_id", "aws_secret_access_key", "aws_session_token"])
"""Keys that hold a credential as plain text."""

SERVICES: Final[Mapping[str, str]] = {
    "sts": "sts",
    "iam": "iam",
    "sso": "sso",
    "sso-oidc": "sso_oidc",
    "signin": "signin",
}
"""The services that are called here, and their names in `[services]` and in variables."""


def section_of(name: str) -> str:
    """Return the section of a profile: `default`, `profile dev`."""
    return name if name == "default" else f"profile {name}"


def profile_of(section: str) -> str:
    """Return the profile that a section is for, "" when it is for something else."""
    kind, _, name = section.partition(" ")
    if section == "default":
        return section
    return name if kind == "profile" and name != "default" else ""
