"""What the units of a companion allow, as systemd itself judges them."""

import subprocess
from pathlib import Path

import pytest

UNITS = Path(__file__).parents[2] / "deploy" / "systemd" / "system"

# In tenths, as `systemd-analyze security` counts: 0 is nothing exposed, 100 is everything.
MOST = {
    "privyseal-bus@.service": 10,
    "privyseal-provider@.service": 10,
    "privyseal-keeper@.service": 10,
    "privyseal-console@.service": 10,
    "privyseal-agent@.service": 15,
    "privyseal-witness@.service": 40,
    "privyseal-aws@.service": 15,
    "privyseal-sleep.service": 20,
}
SERVICES = sorted(UNITS.glob("*.service"))
DAEMONS = sorted(UNITS.glob("*@.service"))
ON_DEMAND = "privyseal-aws@.service"


def _lines(unit: str) -> list[str]:
    lines = (UNITS / unit).read_text().splitlines()
    return [line for line in lines if line and not line.startswith("#")]


@pytest.mark.parametrize("unit", SERVICES, ids=lambda unit: unit.name)
def test_a_unit_exposes_no_more_than_its_bound(unit: Path) -> None:
    done = subprocess.run(
        [
            *("systemd-analyze", "security", "--offline=true", "--no-pager"),
            *(f"--threshold={MOST[unit.name]}", str(unit)),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout.splitlines()[-1:] + done.stderr.splitlines()


@pytest.mark.parametrize("unit", DAEMONS, ids=lambda unit: unit.name)
def test_a_unit_always_comes_back_and_leaves_no_memory_on_disk(unit: Path) -> None:
    # Not at once: one that cannot start would keep the machine busy with trying.
    back = ("Restart=no",) if unit.name == ON_DEMAND else ("Restart=always", "RestartSec=200ms")
    lines = _lines(unit.name)
    for wanted in (*back, "StartLimitIntervalSec=0", "LimitCORE=0", "MemorySwapMax=0"):
        assert wanted in lines


def test_what_has_the_network_has_neither_the_store_nor_a_way_to_decide() -> None:
    [hidden] = [line for line in _lines(ON_DEMAND) if line.startswith("InaccessiblePaths=")]
    assert hidden.partition("=")[2].split()[:2] == ["/run/privyseal", "/var/lib/privyseal"]
    for unit in DAEMONS:
        families = [line for line in _lines(unit.name) if line.startswith("RestrictAddress")]
        assert ("AF_INET" in families[0]) == (unit.name == ON_DEMAND), unit.name


def test_the_witness_keeps_the_mount_namespace_of_process_one() -> None:
    # systemd.exec(5): each of these gives a service a mount namespace of its own.
    mounting = (
        *("PrivateTmp=", "PrivateDevices=", "PrivateMounts=", "PrivateIPC=", "PrivateNetwork="),
        *(
            "ProtectSystem=",
            "ProtectHome=",
            "ProtectKernel",
            "ProtectControlGroups=",
            "MountFlags=",
        ),
        *("ProtectProc=", "ProcSubset=", "ReadWritePaths=", "ReadOnlyPaths=", "InaccessiblePaths="),
        *(
            "BindPaths=",
            "BindReadOnlyPaths=",
            "RootDirectory=",
            "TemporaryFileSystem=",
            "LogNamespace=",
        ),
    )
    assert [
        line for line in _lines("privyseal-witness@.service") if line.startswith(mounting)
    ] == []


@pytest.mark.parametrize("unit", ["keeper", "agent"])
def test_nothing_of_ours_is_in_one_transaction_with_the_user_manager(unit: str) -> None:
    lines = [*_lines(f"privyseal-{unit}@.service"), *_lines("privyseal-companion@.target")]
    tied = ("PartOf=", "Requisite=", "BindsTo=", "Requires=")
    assert [line for line in lines if line.startswith(tied) and "user@" in line] == []


def test_a_person_who_logged_out_is_not_logged_in_again() -> None:
    lines = _lines("privyseal-keeper@.service")
    assert "RestartPreventExitStatus=75" in lines
    for unit in ("bus", "provider"):
        assert "StopWhenUnneeded=yes" in _lines(f"privyseal-{unit}@.service")


def test_before_sleep_what_has_the_key_ends_first_and_nothing_is_waited_for_long() -> None:
    lines = _lines("privyseal-sleep.service")
    ended = [line.split()[-1] for line in lines if line.startswith("ExecStart=")]
    assert ended == ["privyseal-provider@*.service", "privyseal-keeper@*.service"]
    for unit in ("provider", "keeper"):  # twice that is less than sleep waits
        assert "TimeoutStopSec=3" in _lines(f"privyseal-{unit}@.service")
