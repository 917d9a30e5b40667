"""The PAM hook never fails a login, whatever the stack tells it."""

import subprocess
from pathlib import Path

import pytest
from tests.waiting import PATIENCE

HOOK = Path(__file__).parents[2] / "deploy" / "pam" / "login.sh"


@pytest.mark.parametrize("service", ["login", "sshd", "su-l", "cron", "sudo", "", "*"])
@pytest.mark.parametrize(
    "user", ["root", "nobody-of-this-name", "", "-u", "a b", "$(exit 3)", "../../etc/passwd"]
)
def test_it_ends_well_and_says_nothing(service: str, user: str) -> None:
    told = {"PAM_TYPE": "open_session", "PAM_SERVICE": service, "PAM_USER": user}
    done = subprocess.run(
        ["/bin/sh", HOOK], env=told, capture_output=True, text=True, check=False, timeout=PATIENCE
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("told", [{}, {"PAM_TYPE": "close_session", "PAM_USER": "root"}])
def test_it_does_nothing_outside_the_opening_of_a_session(told: dict[str, str]) -> None:
    done = subprocess.run(
        ["/bin/sh", "-x", HOOK], env=told, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0
    assert "systemctl" not in done.stderr
    assert "id -u" not in done.stderr
