"""`privy aws config`: explain, check and show ~/.aws/config."""

from typing import Final

from privyseal.cli.spec import Group

_HERE: Final = "privyseal.cli.aws"

GROUP: Final = Group(
    "Explain, check and show ~/.aws/config.",
    {
        "explain": (
            f"{_HERE}.config_explain",
            "Say where each value of a profile was set, and how its credentials come about.",
        ),
        "validate": (f"{_HERE}.config_validate", "Say what is wrong with the AWS configuration."),
        "show": (
            f"{_HERE}.config_show",
            "Print the values that hold for profiles, as a configuration.",
        ),
    },
)
