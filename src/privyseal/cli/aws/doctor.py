"""`privy aws doctor`: does everything work that credentials need, and if not, what to do."""

from typing import Final

from privyseal.cli.aws.options import STORE
from privyseal.cli.doctor import tell
from privyseal.cli.spec import JSON, Option, Spec, Values

OFFLINE: Final = Option("--offline", "Ask nobody on the network what time it is.")


def run(values: Values) -> int:
    """Print one line a check; return 1 when one failed."""
    from privyseal.cli.aws.checks import Checks  # noqa: PLC0415 - `privy aws --help` needs none of it

    return tell(Checks(values).findings(), as_json=values["json"])


SPEC: Final = Spec(
    "Check store, clock and files, and say what to do.",
    run,
    (OFFLINE, JSON, *STORE),
    (),
    "Ends with status 1 when a check failed.",
)
