"""The options that say where keys lie and how a person is asked: the same for every command."""

from __future__ import annotations

from privyseal.cli.spec import Option, Values

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Final

PROMPTS: Final = frozenset(
    ["kdialog", "osascript", "pinentry", "terminal", "wincredui", "ykman", "zenity"]
)
"""The names of `privyseal.aws.prompts.choice.NAMES`; a test holds them equal."""

PROMPT: Final = Option(
    "--prompt",
    "Ask for MFA codes by: terminal, pinentry, zenity, kdialog, ykman, osascript or wincredui.",
    "NAME",
)


def _place(flag: str, text: str, metavar: str = "") -> Option:
    return Option(flag, text, metavar, section="Where keys lie")


STORE: Final = (
    PROMPT,
    _place(
        "--backend",
        "One of: keeper (the default where one runs), secret-service, kwallet, keyctl, pass, passage, "
        "op-connect, op, op-desktop, keychain, wincred, file.",
        "NAME",
    ),
    _place("--file-dir", "Folder of the store `file`.", "FOLDER"),
    _place("--pass-dir", "Folder of the stores `pass` and `passage`.", "FOLDER"),
    _place("--pass-cmd", "Program of the stores `pass` and `passage`.", "PROGRAM"),
    _place("--pass-prefix", "Folder for keys inside the store of pass.", "NAME"),
    _place("--secret-service-collection", "Collection of the Secret Service.", "NAME"),
    _place("--keychain", "Keychain of macOS.", "NAME"),
    _place("--biometrics", "Ask for a finger, on macOS."),
    _place("--op-timeout", "Longest wait for 1Password.", "DURATION"),
    _place("--op-vault-id", "Vault of 1Password.", "ID"),
    _place("--op-item-title-prefix", "Beginning of titles in 1Password.", "TEXT"),
    _place("--op-item-tag", "Tag of items in 1Password.", "TEXT"),
    _place("--op-connect-host", "Address of a 1Password Connect server.", "URL"),
    _place("--op-desktop-account-id", "Account of the 1Password application.", "ID"),
)
"""Every command that touches a store takes these, and hands all its values to `open_door`."""

KEEPER: Final = "keeper"
"""The name for `--backend` that chooses the keeper, which is the default while one runs."""


def chosen(values: Values) -> dict[str, str]:
    """Return what the options say of the store, "" where they say nothing."""
    said = {option.name: values.get(option.name, "") for option in STORE if option != PROMPT}
    return {name: "true" if value is True else str(value or "") for name, value in said.items()}


def backend(values: Values, environment: Mapping[str, str]) -> str:
    """Return the name of the store that was chosen, "" when none was."""
    return str(values.get("backend") or environment.get("AWS_VAULT_BACKEND", ""))


def check_prompt(values: Values, environment: Mapping[str, str]) -> None:
    """Refuse a way to ask for codes that there is not, before somebody decides.

    Raises:
        UsageError: It is none.
    """
    name = str(values.get("prompt") or environment.get("AWS_VAULT_PROMPT", ""))
    if name and name not in PROMPTS:
        from privyseal.aws.prompts.choice import choose  # noqa: PLC0415 - it knows what to say

        choose(name, environment, busy=False)
