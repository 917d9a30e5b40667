"""The machine itself is what the other checks take it for."""

from tests.vm.desk import Desk
from tests.vm.registry import check


@check("Debian 12 is up with an 80x25 text screen, and no unit failed", every_change=True)
def boot(desk: Desk) -> None:
    desk.booted()
    assert "12" in desk.vm.succeed("cat /etc/debian_version")
    assert desk.vm.shows(1, "login:")
    assert desk.vm.succeed("stty -F /dev/tty1 size") == "25 80"


@check("A person logs in by typing at a getty, and logs out again", every_change=True)
def getty(desk: Desk) -> None:
    desk.logged_in()
    desk.command("whoami > typed; tty >> typed")
    desk.vm.wait_for(
        lambda: desk.vm.run("cat /home/alice/typed").out == "alice\n/dev/tty1\n", "what she typed"
    )
    desk.vm.picture("getty")
    desk.logged_out()
    desk.vm.succeed("rm /home/alice/typed")
    desk.vm.shows(1, "login:")
