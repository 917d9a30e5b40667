"""`privy version`."""

from typing import Final

from privyseal.cli.report import print_json
from privyseal.cli.spec import JSON, Spec, Values


def run(values: Values) -> int:
    """Print the version of the installed program."""
    from importlib.metadata import version  # noqa: PLC0415 - loads the email parser

    number = version("privyseal")
    if values["json"]:
        print_json({"version": number})
    else:
        print(f"privy {number}")
    return 0


SPEC: Final = Spec("Print the version.", run, (JSON,))
