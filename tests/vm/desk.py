"""What the checks of Privyseal have in common: people at the machine, their logins, the console."""

from typing import Final

from tests.vm.machine import UIDS, Machine

LOGIN_SECONDS: Final = 60


class Desk:
    """One machine, and what a person does at it."""

    def __init__(self, vm: Machine) -> None:
        self.vm = vm

    def booted(self) -> None:
        """Wait until the machine has started everything that it starts by itself."""
        state = self.vm.run("systemctl is-system-running --wait", seconds=240).out.strip()
        assert state == "running", self.vm.run("systemctl --failed --no-legend").text or state

    def logged_in(self, user: str = "alice", *, vt: int = 1) -> None:
        """Have a user logged in at a getty, by typing name and password there."""
        if self.session(user, vt):
            return
        self.vm.show(vt)
        self.vm.shows(vt, "login:", seconds=LOGIN_SECONDS)
        self.vm.type(f"{user}\n", vt=vt)
        self.vm.shows(vt, "Password:")
        self.vm.type(f"{user}\n", vt=vt)
        self.vm.shows(vt, f"{user}@vm:~$", seconds=LOGIN_SECONDS)
        assert self.session(user, vt), "logind knows nothing of the login"

    def session(self, user: str, vt: int) -> str:
        """Return the number of a user's session on a terminal, or nothing."""
        listed = self.vm.succeed("loginctl list-sessions --no-legend").splitlines()
        found = [line.split() for line in listed]
        return next((one[0] for one in found if one[2] == user and f"tty{vt}" in one), "")

    def logged_out(self, user: str = "alice") -> None:
        """End every session of a user; returns when logind has forgotten the user."""
        self.vm.run(f"loginctl terminate-user {user}")
        gone = f"! loginctl show-user {user} >/dev/null 2>&1 && ! pgrep -u {UIDS[user]} >/dev/null"
        self.vm.wait_until_succeeds(gone)

    def command(self, text: str, *, vt: int = 1) -> None:
        """Type a command at a shell's prompt; its end is not waited for."""
        self.vm.show(vt)
        self.vm.type(f"clear; {text}\n", vt=vt)
