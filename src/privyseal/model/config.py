"""The configuration as the programs obey it: every key with its type and default.

The shape of `Config` is the shape of the file, so that this module is the list of keys.
"""

from typing import Annotated, Literal

import msgspec

from privyseal.model.policy import AwsRules, Limits, Policy, Timing, Verdicts
from privyseal.model.value import Value

Folder = Annotated[
    str, msgspec.Meta(max_length=4096, pattern=r"^(~?/[^\0]*)?$", description="an absolute path")
]
"""A folder; below the home folder with `~/`, empty for the usual one."""


class StoreSettings(Value, frozen=True, rename="kebab"):
    """Where the embedded store lies; empty is `store` in the data folder."""

    path: Folder = ""


class AuditSettings(Value, frozen=True, rename="kebab"):
    """Where the audit log lies; empty is `audit` in the state folder."""

    path: Folder = ""


class NotificationSettings(Value, frozen=True, rename="kebab"):
    """Whether the desktop is told of requests, and whether it may answer them.

    In companion mode it never may; there `names` lets notifications say what is asked for.
    """

    enabled: bool = True
    buttons: bool = True
    names: bool = False


class Config(Value, frozen=True, rename="kebab"):
    """Everything a person may set. `policy` is what the keeper obeys of it."""

    backend: Literal["embedded", "gnome-keyring"] = "embedded"
    provider: Literal["embedded", "pass", "gopass"] = "embedded"
    store: StoreSettings = StoreSettings()
    audit: AuditSettings = AuditSettings()
    notifications: NotificationSettings = NotificationSettings()
    verdicts: Verdicts = Verdicts()
    timing: Timing = Timing()
    limits: Limits = Limits()
    aws: AwsRules = AwsRules()
    answer_chromium_probe: bool = True

    @property
    def policy(self) -> Policy:
        """The part of it that the keeper's pipeline obeys."""
        return Policy(
            verdicts=self.verdicts,
            timing=self.timing,
            limits=self.limits,
            aws=self.aws,
            answer_chromium_probe=self.answer_chromium_probe,
        )
