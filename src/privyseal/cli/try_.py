"""`privy try`: run everything on this session bus until Ctrl-C, then put everything back."""

import asyncio
import sys
from typing import Final

import click

from privyseal.cli.passphrase import passphrase
from privyseal.cli.reach import no_companion
from privyseal.cli.report import say
from privyseal.errors import UsageError
from privyseal.model.secret import Secret
from privyseal.runtime.paths import data_home

_HEADLESS: Final = "`privy try --headless`, in a clone `make try ARGS=--headless`"


@click.command(name="try")
@click.option(
    "--backend",
    type=click.Choice(["embedded", "gnome-keyring"]),
    default="embedded",
    show_default=True,
    help="Where secrets lie.",
)
@click.option("--headless", is_flag=True, help="No approval screen: decide with `privy approve`.")
@click.option("--keep", is_flag=True, help="Use your own store and keep what is stored in it.")
@click.option("--own-bus", is_flag=True, help="Start a session bus even where there is one.")
def command(*, backend: str, headless: bool, keep: bool, own_bus: bool) -> int:
    """Run Privyseal until Ctrl-C, then put everything back.

    Without --keep the store is a new one with a random passphrase, deleted at the end.
    """
    no_companion("nothing to try here")
    from privyseal.cli.trial import Wish, run  # noqa: PLC0415 - help need not load the bus

    if not headless and not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError("the approval screen needs a terminal", hint=_HEADLESS)
    wish = Wish(
        backend=backend,
        headless=headless,
        own_bus=own_bus,
        passphrase=_passphrase(backend) if keep else None,
    )
    asyncio.run(run(wish))
    return 0


def _passphrase(backend: str) -> Secret:
    if not sys.stdin.isatty():
        raise UsageError("--keep asks for the passphrase of your store, and needs a terminal")
    folder = data_home() / ("store" if backend == "embedded" else backend)
    new = not folder.exists()
    if new:
        say(f"there is no store in {str(folder)!r} yet: choose a passphrase for a new one")
    what = "New passphrase" if new else "Passphrase"
    return passphrase(what, None, option="a terminal", new=new)
