"""The configuration files of a command that is to get credentials in one way alone.

SDKs ask the files before they ask a server: keys or a role in `[default]` would win, unnoticed.
"""

import os
import shlex
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from privyseal.cli.aws.files import config_file, text
from privyseal.errors import PrivysealError
from privyseal.runtime.paths import runtime_dir
from privyseal.wire.aws import inifile
from privyseal.wire.aws.vocabulary import section_of

GIVING: Final = frozenset(
    {
        "aws_access_key_id",
        "aws_secret_access_key",
        "aws_session_token",
        "credential_process",
        "credential_source",
        "external_id",
        "include_profile",
        "login_session",
        "mfa_process",
        "mfa_serial",
        "role_arn",
        "role_session_name",
        "source_profile",
        "sso_account_id",
        "sso_region",
        "sso_role_name",
        "sso_session",
        "sso_start_url",
        "web_identity_token_file",
        "web_identity_token_process",
    }
)
"""Keys of a profile by which an SDK gets credentials, or describes which."""


@contextmanager
def child_config(
    environment: Mapping[str, str], profile: str, *, process: bool
) -> Iterator[dict[str, str]]:
    """Lend the variables for a child whose default profile gives no credentials from files.

    With `process` the child's profile is `profile`, and has `privy aws credential-process` instead.
    Where nothing has to be left out the user's own file serves.
    """
    before = text(config_file(environment))
    after = without_credentials(before, profile or "default")
    given = {"AWS_SHARED_CREDENTIALS_FILE": os.devnull}
    if process:
        after = with_process(after, profile, config_file(environment))
        given["AWS_PROFILE"] = profile
    if after == before:
        yield given
        return
    with _private_file(after) as path:
        yield given | {"AWS_CONFIG_FILE": str(path)}


def without_credentials(config: str, profile: str) -> str:
    """Return the text of a configuration whose profile keeps its settings and gives no credentials."""
    file = inifile.parse(config)
    section = section_of(profile)
    giving = [key for key in file.sections().get(section, {}) if key in GIVING]
    return file.with_values(section, dict.fromkeys(giving)).text() if giving else config


def with_process(config: str, profile: str, own: str) -> str:
    """Return the text of a configuration in which a profile asks us for its credentials.

    `own` is the path of the user's own file, where we find out how.
    """
    # Her own file, which this is not, says where credentials come from.
    words = ["env", f"AWS_CONFIG_FILE={own}", *_privy(), "aws", "credential-process", profile]
    values = {"credential_process": shlex.join(words)}
    return inifile.parse(config).with_values(section_of(profile), values).text()


def _privy() -> list[str]:
    # Whatever PATH the child is given. A lease is for a program with a name, so the script goes first.
    script = Path(sys.executable).with_name("privy")
    if script.exists():
        return [str(script)]
    return [
        sys.executable,
        "-P",
        "-c",
        "import sys; from privyseal.cli.main import main; sys.exit(main())",
    ]


@contextmanager
def _private_file(content: str) -> Iterator[Path]:
    folder = runtime_dir()
    try:
        with suppress(OSError):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        number, name = tempfile.mkstemp(
            prefix="aws-config-", dir=folder if folder.is_dir() else None
        )
    except OSError as error:
        raise PrivysealError(
            f"cannot write a configuration for the command: {error.strerror}"
        ) from error
    path = Path(name)
    try:
        with os.fdopen(number, "w", encoding="utf-8") as file:
            file.write(content)
        yield path
    finally:
        path.unlink(missing_ok=True)
