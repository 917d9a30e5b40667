"""`privy aws sso`: sign in at a portal, see what it offers, write profiles for it."""

from typing import Final

from privyseal.cli.spec import Group

_HERE: Final = "privyseal.cli.aws"

GROUP: Final = Group(
    "Look at what a portal offers, and write profiles for it.",
    {
        "login": (f"{_HERE}.sso_login", "Sign in at a portal now."),
        "list": (f"{_HERE}.sso_list", "List the accounts and roles that a portal offers."),
        "sync": (f"{_HERE}.sso_sync", "Write a profile for every account and role of a portal."),
        "logout": (f"{_HERE}.logout", "Sign out of a portal, and forget its token."),
    },
)
