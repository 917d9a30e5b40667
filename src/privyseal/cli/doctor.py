"""`privy doctor`: does everything work, and if not, what to do."""

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from privyseal.cli.reach import way_in
from privyseal.cli.report import AMBER, GREEN, RED, paint, print_json
from privyseal.cli.spec import JSON, Spec, Values
from privyseal.wire.sanitise import fit

if TYPE_CHECKING:
    from privyseal.cli.checkup import Finding, Machine

_COLOURS: Final = {"ok": GREEN, "warn": AMBER, "FAIL": RED}
_WIDE: Final = 300


def run(values: Values) -> int:
    """Print one line a check; return 1 when one failed."""
    return tell(_machine().findings(), as_json=values["json"])


def tell(findings: "Iterable[Finding]", *, as_json: bool) -> int:
    """Print each finding as it comes; return 1 when a check failed."""
    told = []
    for finding in findings:
        told.append(finding)
        if as_json:
            continue
        state = paint(f"{finding.state:4}", _COLOURS[finding.state], sys.stdout)
        print(f"{state}  {finding.check:13}  {fit(finding.text, _WIDE)}", flush=True)
        if finding.hint and finding.state != "ok":
            print(f"      {'':13}  try: {fit(finding.hint, _WIDE)}", flush=True)
    if as_json:
        print_json([finding._asdict() for finding in told])
    return int(any(finding.state == "FAIL" for finding in told))


def _machine() -> "Machine":
    # 60 ms that only this command needs, and only one of them.
    found = way_in()
    if found is None:
        from privyseal.cli.checkup import Machine  # noqa: PLC0415 - see above

        return Machine()
    from privyseal.cli.provisioned import ProvisionedMachine  # noqa: PLC0415 - see above

    return ProvisionedMachine(found)


SPEC: Final = Spec(
    "Check that everything works, and say what to do.",
    run,
    (JSON,),
    (),
    "Ends with status 1 when a check failed.",
)
