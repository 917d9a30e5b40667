"""Which control groups are the agent's own."""

import pytest

from privyseal.keeper.requesters import in_agent_unit

UNIT = "privyseal-agent@1000.service"


@pytest.mark.parametrize(
    "group",
    [f"/system.slice/{UNIT}", rf"/system.slice/system-privyseal\x2dagent.slice/{UNIT}"],
)
def test_the_agent_is_where_the_system_puts_it(group: str) -> None:
    assert in_agent_unit(group, 1000)


@pytest.mark.parametrize(
    "group",
    [
        "",
        "/",
        UNIT,
        f"/{UNIT}",
        f"/user.slice/user-1000.slice/user@1000.service/app.slice/{UNIT}",
        f"/user.slice/user-1000.slice/user@1000.service/system.slice/{UNIT}",
        f"/user.slice/system.slice/{UNIT}",
        f"/system.slice/docker.service/{UNIT}",
        f"/system.slice/system-other.slice/{UNIT}",
        f"/system.slice/{UNIT}/below",
        f"/system.slice/{UNIT}\n",
        "/system.slice/privyseal-agent@1001.service",
        "/system.slice/privyseal-agent@1000xservice",
    ],
)
def test_no_other_control_group_is_taken_for_the_agents(group: str) -> None:
    assert not in_agent_unit(group, 1000)
