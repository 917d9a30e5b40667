"""The options that say where keys lie and how a person is asked: the same for every command."""

from collections.abc import Mapping
from typing import Final

from privyseal.cli.spec import Option, Values

STORE: Final = (
    Option("--backend", "Keep keys in this store, not with the keeper.", "NAME"),
    Option("--prompt", "Ask for MFA codes in this way.", "NAME"),
    Option("--file-dir", "Folder of the store `file`.", "FOLDER"),
    Option("--pass-dir", "Folder of the stores `pass` and `passage`.", "FOLDER"),
    Option("--pass-cmd", "Program of the stores `pass` and `passage`.", "PROGRAM"),
    Option("--pass-prefix", "Folder for keys inside the store of pass.", "NAME"),
    Option("--secret-service-collection", "Collection of the Secret Service.", "NAME"),
    Option("--keychain", "Keychain of macOS.", "NAME"),
    Option("--biometrics", "Ask for a finger, on macOS."),
    Option("--op-timeout", "Longest wait for 1Password.", "DURATION"),
    Option("--op-vault-id", "Vault of 1Password.", "ID"),
    Option("--op-item-title-prefix", "Beginning of titles in 1Password.", "TEXT"),
    Option("--op-item-tag", "Tag of items in 1Password.", "TEXT"),
    Option("--op-connect-host", "Address of a 1Password Connect server.", "URL"),
    Option("--op-desktop-account-id", "Account of the 1Password application.", "ID"),
)
"""Every command that touches a store takes these, and hands all its values to `open_door`."""

KEEPER: Final = "keeper"
"""The name for `--backend` that chooses the keeper, which is the default while one runs."""

_VARIABLES: Final[dict[str, tuple[str, ...]]] = {
    "keychain": ("AWS_VAULT_KEYCHAIN_NAME",),
    "secret_service_collection": ("AWS_VAULT_SECRET_SERVICE_COLLECTION_NAME",),
    "pass_dir": ("AWS_VAULT_PASS_PASSWORD_STORE_DIR",),
    "op_vault_id": ("AWS_VAULT_OP_VAULT_ID", "OP_VAULT_ID"),
    "op_connect_host": ("AWS_VAULT_OP_CONNECT_HOST", "OP_CONNECT_HOST"),
    "op_desktop_account_id": ("AWS_VAULT_OP_DESKTOP_ACCOUNT_ID", "OP_DESKTOP_ACCOUNT_ID"),
}
"""Where the name of a variable is not the option's."""


def chosen(values: Values, environment: Mapping[str, str]) -> dict[str, str]:
    """Return what option or variable says for each of `STORE`, "" for what nobody said."""
    return {
        option.name: _one(option.name, values.get(option.name, ""), environment) for option in STORE
    }


def _one(name: str, given: str | bool, environment: Mapping[str, str]) -> str:  # noqa: FBT001 - the value of an option
    if given:
        return given if isinstance(given, str) else "true"
    variables = _VARIABLES.get(name, (f"AWS_VAULT_{name.upper()}",))
    return next((environment[v] for v in variables if environment.get(v)), "")
