"""`privy aws`: its commands by name, each with its module and its line in the help."""

from __future__ import annotations

from privyseal.cli.spec import Group

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

_HERE: Final = "privyseal.cli.aws"

GROUP: Final = Group(
    "Give commands short-lived AWS credentials.",
    {
        "exec": (f"{_HERE}.exec", "Run a command with credentials of a profile."),
        "export": (f"{_HERE}.export", "Print credentials of a profile for a shell or a file."),
        "login": (f"{_HERE}.login", "Open the web console as a profile."),
        "logout": (f"{_HERE}.logout", "Sign out of a portal, and forget its token."),
        "list": (f"{_HERE}.list_", "List profiles, keys and sessions."),
        "add": (f"{_HERE}.add", "Keep a long-lived key."),
        "remove": (f"{_HERE}.remove", "Forget a long-lived key."),
        "clear": (f"{_HERE}.clear", "Forget cached sessions and tokens."),
        "rotate": (f"{_HERE}.rotate", "Replace a long-lived key by a new one."),
        "totp": (f"{_HERE}.totp", "Keep the seed of a virtual MFA device."),
        "migrate": (f"{_HERE}.migrate", "Take over what aws-vault and plain files keep."),
        "migrate-backend": (f"{_HERE}.migrate_backend", "Copy keys from one store to another."),
        "sso": (f"{_HERE}.sso", "Look at what a portal offers, and write profiles for it."),
        "config": (f"{_HERE}.config", "Explain, check and show ~/.aws/config."),
        "credential-process": (
            f"{_HERE}.credential_process",
            "Print credentials for the credential_process of another tool.",
        ),
        "proxy": (f"{_HERE}.proxy", "Say what took the place of aws-vault's proxy."),
        "status": (f"{_HERE}.status", "Say which profile this shell has, and for how long."),
        "doctor": (f"{_HERE}.doctor", "Check store, clock and files, and say what to do."),
        "ls": (f"{_HERE}.list_", ""),
        "rm": (f"{_HERE}.remove", ""),
        "server": (f"{_HERE}.proxy", ""),
    },
)
