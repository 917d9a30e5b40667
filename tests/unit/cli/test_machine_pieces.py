"""The pieces of a companion, judged by what they say and do."""

import json
from collections.abc import Callable

from tests.unit.cli.graded import ALICE

from privyseal.cli.machine_host import Finding
from privyseal.cli.machine_pieces import (
    judge_agent_group,
    judge_asking,
    judge_refusals,
    judge_stranger,
    judge_units,
    parse_units,
)
from privyseal.cli.units import unit_names


def _units(**changed: str) -> Callable[[str, str], str]:
    def show_one(unit: str, when: str) -> str:
        values = {
            "Id": unit,
            "LoadState": "loaded",
            "ActiveState": "active",
            "WantedBy": "a.target",
        }
        return "\n".join(f"{k}={v}" for k, v in {**values, **(changed if when else {})}.items())

    return show_one


def _judged(user: str, **changed: str) -> list[Finding]:
    one = _units(**changed)
    blocks = [one(unit, when) for unit, when in unit_names(ALICE.uid).items()]
    blocks.append(f"Id=user@47110.service\nActiveState={user}")
    units = parse_units("\n\n".join(blocks))
    return [f for f in judge_units(units, ALICE) if f.state != "ok"]


def test_units_are_judged_by_when_they_are_to_run() -> None:
    assert _judged("active") == []
    assert {f.state for f in _judged("active", LoadState="not-found")} == {"broken"}
    assert len(_judged("active", ActiveState="failed")) == len(unit_names(ALICE.uid))
    gone = _judged("inactive", ActiveState="inactive")
    assert [f.check for f in gone if f.state == "broken"] == [
        "privyseal-console@47110.service",
        "privyseal-witness@47110.socket",
        "privyseal-aws@47110.socket",
    ]
    assert len([f for f in _judged("inactive") if f.state == "broken"]) == 5


def test_a_companion_that_is_logged_out_rests_and_its_agent_does_not() -> None:
    out = _judged("active", ActiveState="inactive", ExecMainStatus="75")
    assert [f.check for f in out] == [
        "privyseal-console@47110.service",
        "privyseal-witness@47110.socket",
        "privyseal-aws@47110.socket",
        "privyseal-agent@47110.service",
        "session",
    ]
    out = _judged("active", ActiveState="failed", ExecMainStatus="75")
    assert {f.check for f in out} == {*unit_names(ALICE.uid), "session"}


def test_what_the_user_can_do_and_must_not_voids_the_machine() -> None:
    refused = dict.fromkeys(("own", "private bus", "witness", "broker", "home"), ("refused", ""))
    refused |= dict.fromkeys(("read terminal", "write terminal"), ("refused", ""))
    assert {f.state for f in judge_refusals(refused, ALICE)} == {"ok"}
    opened = {**refused, "home": ("done", "3")}
    assert [f.check for f in judge_refusals(opened, ALICE) if f.state == "void"] == ["home"]
    assert {f.state for f in judge_refusals({}, ALICE)} == {"broken"}


def test_the_keepers_answer_is_judged() -> None:
    def states(how: str, text: str) -> list[tuple[str, str]]:
        return [(f.check, f.state) for f in judge_asking({"ask": (how, text)}, ALICE)]

    assert states("failed", "x") == [("ask as alice", "broken")]
    assert states("done", "[]") == [("ask as alice", "broken")]
    old = json.dumps({"version": "0.0", "mode": "companion", "witness": False, "troubles": ["T"]})
    assert states("done", old) == [
        ("ask as alice", "ok"),
        ("versions", "broken"),
        ("evidence", "broken"),
        ("trouble", "broken"),
    ]


def test_whoever_else_asks_must_be_refused() -> None:
    assert judge_stranger({"ask": ("refused", "")}, "root").state == "ok"
    assert judge_stranger({"ask": ("done", "{}")}, "root").state == "void"
    assert judge_stranger({}, "root").state == "broken"


def test_the_agent_is_known_by_its_control_group_only() -> None:
    slice_ = b"0::/system.slice/system-privyseal\\x2dagent.slice/privyseal-agent@47110.service"
    assert judge_agent_group(slice_, "9", ALICE).state == "ok"
    feigned = b"0::/user.slice/user-47110.slice/user@47110.service/privyseal-agent@47110.service"
    assert judge_agent_group(feigned, "9", ALICE).state == "broken"
    assert judge_agent_group(b"", "9", ALICE).state == "broken"
