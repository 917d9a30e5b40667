"""What the checks of Privyseal have in common: people at the machine, their logins, the console."""

import re
import time
from typing import Final

from tests.vm.machine import UIDS, LateError, Machine, Process

LOGIN_SECONDS: Final = 60
PASSPHRASE: Final = "correct horse"
PAIR_SECONDS: Final = 30
POLL_SECONDS: Final = 0.3
DWELL_SECONDS: Final = 1.5
"""How long a person looks before typing; less than 0.7 s would not count."""

_QUESTION: Final = re.compile(r"To [^\n]* type  ([a-z]) ([a-z])\b")
_LEFT: Final = "This screen was left"
_PAIR: Final = re.compile(r"Allow[^\n]*type  ([a-z]) ([a-z])\b")


class Desk:
    """One machine, and what a person does at it."""

    def __init__(self, vm: Machine) -> None:
        self.vm = vm

    def booted(self) -> None:
        """Wait until the machine has started everything that it starts by itself."""
        state = self.vm.run("systemctl is-system-running --wait", seconds=240).out.strip()
        assert state == "running", self.vm.run("systemctl --failed --no-legend").text or state

    def cleared(self) -> None:
        """End what a check that failed has left behind: sessions, requests, an open page."""
        for user in [user for user, uid in UIDS.items() if uid]:
            self.vm.run(f"pkill -9 -u {user}; loginctl terminate-user {user}; pkill -9 -u {user}")
        self.vm.run("systemctl reset-failed; systemctl restart 'privyseal-console@*.service'")
        self.vm.show(1)

    def logged_in(self, user: str = "alice", *, vt: int = 1) -> None:
        """Have a user logged in at a getty, by typing name and password there."""
        if self.session(user, vt):
            return
        self.vm.show(vt)
        self._prompted(vt, "login:")
        self.vm.type(f"{user}\n", vt=vt)
        self._prompted(vt, "Password:")
        self.vm.type(f"{user}\n", vt=vt)
        self._prompted(vt, f"{user}@vm:~$")
        assert self.session(user, vt), "logind knows nothing of the login"

    def _prompted(self, vt: int, prompt: str) -> None:
        """Wait until a prompt is the last that stands on a terminal; older ones stay above."""
        self.vm.wait_for(
            lambda: self.vm.screen(vt).rstrip().endswith(prompt),
            f"{prompt!r} on VT {vt}",
            seconds=LOGIN_SECONDS,
        )

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

    # The companion

    def provisioned(self, user: str = "alice", *, vt: int = 8) -> None:
        """Give a user a companion whose console is on `vt`."""
        uid = UIDS[user]
        if not self.vm.run(f"test -e /etc/privyseal/companions/{uid}.json").status:
            return
        self.vm.succeed(f"privy provision --user {user} --vt {vt}", seconds=120)
        self.vm.shows(vt, "PRIVYSEAL", seconds=60)

    def companion(self, user: str = "alice", *, login: int = 1, vt: int = 8) -> None:
        """Have a user provisioned and logged in on terminal `login`, and the keeper answering."""
        self.provisioned(user, vt=vt)
        self.logged_in(user, vt=login)
        self.vm.wait_for(
            lambda: "locked" in self.head(vt) or "no store" in self.head(vt),
            f"the keeper of {user} on the console",
            seconds=120,
        )

    def unlocked(self, user: str = "alice", *, login: int = 1, vt: int = 8) -> None:
        """Have the store open; a new one gets the passphrase PASSPHRASE."""
        self.companion(user, login=login, vt=vt)
        if "unlocked" in self.head(vt):
            return
        new = "no store" in self.head(vt)
        self.sit_at(vt)
        self.vm.type("u", vt=vt)
        self.vm.shows(vt, "Open until")
        self.vm.type(f"{PASSPHRASE}\n", vt=vt)
        if new:
            self.vm.shows(vt, "The same once more")
            self.vm.type(f"{PASSPHRASE}\n", vt=vt)
        self.vm.wait_for(lambda: self._opened(vt), "the store unlocked", seconds=60)

    def _opened(self, vt: int) -> bool:
        # What is typed on the page for the passphrase, until it goes, belongs to that.
        seen = self.vm.screen(vt)
        return "unlocked" in seen.partition("\n")[0] and "Open until" not in seen

    def sit_at(self, vt: int = 8) -> None:
        """Go to a console and wait until it is drawn; what is typed before that does not count."""
        self.vm.show(vt)
        self.vm.wait_for(lambda: _LEFT not in self.vm.screen(vt), f"the console drawn on VT {vt}")

    def head(self, vt: int = 8) -> str:
        """Return the first line of a console."""
        return self.vm.screen(vt).partition("\n")[0]

    def stored(
        self, value: str, *, service: str, user: str = "alice", label: str = "", vt: int = 8
    ) -> None:
        """Have a secret in the store, put there by secret-tool and allowed on the console."""
        command = (
            f"printf %s {value} | secret-tool store --label='{label or service}' service {service}"
        )
        storing = self.vm.start(command, user=user)
        self.asked("Store a new secret", label or service, vt=vt)
        self.allow(vt=vt)
        done = storing.finish()
        assert done.status == 0, done.text

    def lookup(self, service: str, *, user: str = "alice") -> Process:
        """Ask for a secret with secret-tool."""
        return self.vm.start(f"secret-tool lookup service {service}", user=user)

    def asked(self, *texts: str, vt: int = 8) -> str:
        """Wait until the console draws a request with these texts, leaving one that has ended."""
        self.vm.show(vt)  # a console that was left shows nothing
        deadline = time.monotonic() + LOGIN_SECONDS
        while not all(text in (seen := self.vm.screen(vt)) for text in (" left ─", *texts)):
            if time.monotonic() > deadline:
                raise LateError(f"{texts} are not asked on VT {vt}:\n{seen}")
            if "enter shows the next" in seen:
                self.vm.type("\n", vt=vt)
            time.sleep(POLL_SECONDS)
        return seen

    def pair(self, *, vt: int = 8) -> str:
        """Page to the end of what is asked, and return the two letters that allow it."""
        self.vm.show(vt)
        self.vm.shows(vt, " left ─")
        deadline = time.monotonic() + PAIR_SECONDS
        while not (found := _PAIR.search(seen := self.vm.screen(vt))):
            if time.monotonic() > deadline:
                raise LateError(f"no pair to type:\n{seen}")
            if "more lines: space" in seen:
                self.vm.type(" ", vt=vt)
            time.sleep(POLL_SECONDS)
        return found[1] + found[2]

    def allow(self, *, vt: int = 8) -> None:
        """Allow what is on the console, as a person does: read on, wait, type the letters."""
        letters = self.pair(vt=vt)
        time.sleep(DWELL_SECONDS)
        self.vm.type(letters, vt=vt)
        self.vm.wait_for(lambda: not _PAIR.search(self.vm.screen(vt)), "the decision taken")

    def confirm(self, *, vt: int = 8) -> None:
        """Type the letters that a question of the console itself wants."""
        seen = self.vm.shows(vt, "type  ")
        while not (found := _QUESTION.search(seen)):
            time.sleep(POLL_SECONDS)
            seen = self.vm.screen(vt)
        time.sleep(DWELL_SECONDS)
        self.vm.type(found[1] + found[2], vt=vt)

    def deny(self, *, vt: int = 8) -> None:
        """Deny what is on the console."""
        self.vm.show(vt)
        self.vm.shows(vt, "Deny: type  n")
        time.sleep(DWELL_SECONDS)
        self.vm.type("n", vt=vt)
        self.vm.wait_for(lambda: "Deny: type  n" not in self.vm.screen(vt), "the decision taken")

    def granted(self, service: str, value: str, *, user: str = "alice", vt: int = 8) -> None:
        """Show that an honest request still works: asked, drawn, allowed, released."""
        asked = self.lookup(service, user=user)
        self.asked("Read a secret", vt=vt)
        self.allow(vt=vt)
        done = asked.finish()
        assert (done.status, done.out) == (0, value), done.text
