"""`privy review`: bring the console of the companion to the front."""

from typing import Final

from privyseal.cli.reach import way_in
from privyseal.cli.spec import Spec, Values
from privyseal.errors import UnsupportedError
from privyseal.runtime.companionkeeper import CompanionKeeper


def run(values: Values) -> int:
    """Ask the console to show itself."""
    del values
    found = way_in()
    if found is None:
        raise UnsupportedError(
            "there is no console to bring to the front: this is own-session mode",
            hint="open the approval screen with `privy watch`",
        )
    with CompanionKeeper.reach(found, wake=False) as keeper:
        keeper.review()
    return 0


SPEC: Final = Spec("Bring the companion's console to the front.", run)
