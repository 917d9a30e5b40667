"""What the witness read, in a person's words and with honest grades."""

import msgspec
import pytest

from privyseal.keeper.evidence import difference
from privyseal.keeper.testimony import Relative, Script, Statement, as_reported, evidence
from privyseal.model.evidence import Evidence, Fact, ProcessRef

SHELL = Relative(
    pid=50, start=10, comm="bash", path="/usr/bin/bash", genuine=True, uid=1000, session=50
)
MANAGER = Relative(
    pid=40, start=5, comm="systemd", path="/usr/lib/systemd/systemd", genuine=True, uid=1000,
    session=40,
)  # fmt: skip
PLAIN = Statement(
    id=1, state="alive", pid=100, start=77, image="aa", exe=(1, 2), mounts=3,
    uids=(1000, 1000, 1000, 1000), comm="secret-tool", arguments=("secret-tool", "lookup", "a b"),
    cwd="/home/a", parents=(SHELL,), session=SHELL, tty=34816, cgroup="/user.slice/user-1000.slice",
    taints=(), path="/usr/bin/secret-tool", ours=True, here=True, mode=0o755, writers=("", None),
)  # fmt: skip
NODE = msgspec.structs.replace(
    PLAIN, path="/usr/bin/node", arguments=("node", "agent.js"), interpreter="node", code="file",
    word="agent.js", script=Script(path="/home/a/agent.js", sha256="ab", modified=0, writers=None),
)  # fmt: skip


def told(seen: Statement, **changes: object) -> Evidence:
    return evidence(msgspec.structs.replace(seen, **changes))


def graded(found: Evidence, name: str) -> list[tuple[str, str]]:
    return [(fact.grade, fact.value) for fact in found.facts if fact.name == name]


def test_a_plain_program_of_this_system_is_verified_and_trusted() -> None:
    found = evidence(PLAIN)

    assert found.summary == "secret-tool lookup"
    assert found.trusted
    assert found.process == ProcessRef(pid=100, start_ticks=77)
    assert found.program is not None
    assert (found.program.exe_device, found.program.exe_inode) == (1, 2)
    assert found.program.anchor == ProcessRef(pid=50, start_ticks=10)
    assert graded(found, "program") == [("verified", "/usr/bin/secret-tool")]
    assert graded(found, "command") == [("reported", "secret-tool lookup 'a b'")]
    assert graded(found, "started in") == [("verified", "the terminal session of bash on pts/0")]
    assert graded(found, "user") == [("verified", "uid 1000")]


def test_who_logged_in_stands_beside_the_user_that_the_process_runs_as() -> None:
    found = told(PLAIN, login=1001, audit_session=3)
    assert graded(found, "user") == [("verified", "uid 1000; login uid 1001, session 3")]


def test_a_script_is_reported_because_its_process_may_rewrite_its_command_line() -> None:
    found = evidence(NODE)

    assert found.summary == "node agent.js"
    assert found.trusted
    assert found.program is not None
    assert found.program.script_sha256 == "ab"
    (fact,) = graded(found, "script")
    assert fact == ("reported", "/home/a/agent.js, changed 1970-01-01 00:00 UTC, sha256 ab")


@pytest.mark.parametrize(
    ("changes", "name", "words"),
    [
        ({"path": None}, "program", "cannot be read"),
        ({"ours": False, "here": False}, "program", "is NOT the file of that name here"),
        ({"ours": False}, "program", "sees other files than this system"),
        ({"here": False}, "program", "is not the file that"),
        ({"deleted": True}, "program", "deleted or replaced"),
        ({"deleted": True, "memory": True}, "program", "runs from memory"),
        ({"writers": ("others", "/opt")}, "program file", "other users can change it"),
        ({"writers": ("user", "/home/a")}, "program file", "its own user can change it"),
        ({"tracer": SHELL}, "traced", "bash can read and change its memory"),
        ({"taints": ("LD_PRELOAD",)}, "environment", "LD_PRELOAD"),
        ({"taints": None}, "environment", "cannot be read"),
        ({"environment_cut": True}, "environment", "too large"),
        ({"uids": (1000, 0, 0, 0)}, "user", "changed rights"),
        ({"state": "unsteady"}, "changing", "kept executing"),
        ({"interpreter": "other", "code": "unknown"}, "script", "not known"),
        ({"interpreter": "sh", "code": "code", "word": "-c"}, "script", "on the command line (-c)"),
        ({"interpreter": "sh", "code": "file", "word": "gone.sh"}, "script", "cannot be read"),
        ({"comm": "claude"}, "coding agent", "claude"),
    ],
)
def test_whatever_may_deceive_is_a_warning_and_ends_trust(
    changes: dict[str, object], name: str, words: str
) -> None:
    found = told(PLAIN, **changes)

    assert not found.trusted
    assert [value for grade, value in graded(found, name) if grade == "warning" and words in value]


@pytest.mark.parametrize("changes", [{"here": False}, {"ours": False}, {"deleted": True}])
def test_a_program_that_is_not_what_its_path_says_is_not_called_by_that_name(
    changes: dict[str, object],
) -> None:
    found = told(PLAIN, **changes)

    assert found.summary == "unknown program (calls itself secret-tool)"
    assert not [f for f in found.facts if f.grade == "verified" and "secret-tool" in f.value]


def test_a_variable_of_another_interpreter_does_not_matter() -> None:
    assert told(PLAIN, taints=("PYTHONPATH", "NODE_OPTIONS", "BASH_ENV")).trusted
    assert not told(NODE, taints=("NODE_OPTIONS",)).trusted


@pytest.mark.parametrize(
    ("parent", "hint"),
    [
        (msgspec.structs.replace(SHELL, comm="codex"), "codex (process 50 above it)"),
        (
            msgspec.structs.replace(
                SHELL,
                path="/usr/bin/node",
                arguments=("node", "/x/node_modules/@anthropic-ai/claude-code/cli.js"),
            ),
            "claude-code (process 50 above it)",
        ),
        (msgspec.structs.replace(SHELL, path="/usr/bin/vim", arguments=("vim", "codex")), ""),
    ],
)
def test_a_coding_agent_above_is_pointed_out(parent: Relative, hint: str) -> None:
    found = told(NODE, word="x.js", script=None, parents=(parent,))

    assert [value for _, value in graded(found, "coding agent")] == ([hint] if hint else [])


def test_a_session_of_its_own_under_the_first_process_is_a_broken_chain_in_a_login() -> None:
    first = Relative(pid=1, start=1, comm="systemd", uid=0, session=1)
    alone = Relative(pid=100, start=77, comm="secret-tool", uid=1000, session=100)
    login = "/user.slice/user-1000.slice/session-3.scope"
    orphan = told(PLAIN, parents=(first,), session=alone, cgroup=login)

    assert graded(orphan, "broken chain") == [
        ("verified", "the program that started it has exited")
    ]
    service = "/user.slice/user-1000.slice/user@1000.service/app.slice/x.service"
    assert not graded(told(PLAIN, parents=(first,), session=alone, cgroup=service), "broken chain")
    getty = Relative(pid=50, start=10, comm="login", uid=0, session=50)
    typed = told(PLAIN, parents=(SHELL, getty, first), cgroup=login)
    assert not graded(typed, "broken chain")


def test_an_adopted_process_shows_that_its_chain_is_broken() -> None:
    orphan = told(PLAIN, parents=(MANAGER,), session=Relative(pid=60, start=0))

    assert graded(orphan, "parents") == [("verified", "<adopted by< systemd")]
    assert graded(orphan, "broken chain") == [
        ("verified", "the program that started it has exited")
    ]
    assert not graded(evidence(PLAIN), "broken chain")


def test_a_name_cannot_forge_a_link_of_the_chain() -> None:
    forger = msgspec.structs.replace(SHELL, comm="a < systemd", genuine=False)

    assert graded(told(PLAIN, parents=(forger,)), "parents") == [
        ("verified", "'a < systemd' (unverified)")
    ]


def test_a_chain_too_long_to_follow_is_a_warning() -> None:
    found = told(PLAIN, parents=(SHELL,) * 16)

    assert not found.trusted
    assert "warning" in [grade for grade, _ in graded(found, "parents")]


@pytest.mark.parametrize("modified", [-(2**62), -1, 2**40, 2**62])
def test_any_time_of_change_can_be_told(modified: int) -> None:
    file = Script(path="/a.js", sha256="ab", modified=modified, writers=None)

    assert graded(told(NODE, script=file), "script")


def test_other_users_and_sessions_are_marked_in_the_chain() -> None:
    above = msgspec.structs.replace(MANAGER, uid=0)

    assert graded(told(PLAIN, parents=(SHELL, above)), "parents") == [
        ("verified", "bash <new session< systemd (uid 0)")
    ]


@pytest.mark.parametrize(
    ("uid", "said"),
    [
        (0, "systemd (uid 0)"),
        (1000, "systemd (unverified)"),
        (1001, "systemd (unverified) (uid 1001)"),
    ],
)
def test_only_a_process_of_root_is_taken_at_its_name(uid: int, said: str) -> None:
    above = Relative(pid=1, start=1, comm="systemd", uid=uid, session=50)

    assert graded(told(PLAIN, parents=(above,)), "parents") == [("verified", said)]


@pytest.mark.parametrize(
    ("group", "name", "fact"),
    [
        ("/system.slice/cron.service", "unit", ("verified", "cron.service")),
        (
            "/user.slice/user@1000.service/app.slice/app-x.scope",
            "unit",
            ("reported", "app-x.scope"),
        ),
        ("/system.slice/docker-ab12.scope", "container", ("verified", "docker ab12.scope")),
        ("/docker/ab12", "container", ("verified", "docker ab12")),
        ("/lxc.payload.web/x", "container", ("verified", "lxc.payload web")),
        (
            "/user@1000.service/app.slice/app-flatpak-org.a.B-12.scope",
            "Flatpak",
            ("reported", "org.a.B"),
        ),
    ],
)
def test_a_control_group_is_reported_where_the_user_can_choose_it(
    group: str, name: str, fact: tuple[str, str]
) -> None:
    assert graded(told(PLAIN, cgroup=group), name) == [fact]


def test_sandboxes_name_themselves() -> None:
    found = told(PLAIN, flatpak="[Application]\nname=org.x.Y\n", label="snap.code.code (enforce)")

    assert graded(found, "Flatpak") == [("reported", "org.x.Y")]
    assert graded(found, "Snap") == [("reported", "code.code")]


def test_a_claim_of_a_face_never_becomes_more_than_reported() -> None:
    claim = Fact(grade="verified", name="says it wants to", value="x" * 9000)

    mine = as_reported([claim] * 50)

    assert {fact.grade for fact in mine} == {"reported"}
    assert len(mine) == 16
    assert max(len(fact.value) for fact in mine) == 2000


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({}, ""),
        ({"state": "gone"}, "exited"),
        ({"state": "refused"}, "cannot be looked at"),
        ({"start": 78}, "another process"),
        ({"pid": 101}, "another process"),
        ({"exe": (1, 9)}, "executed another program"),
        ({"image": "bb"}, "executed another program"),
        ({"exe": None}, "exiting, or hides"),
        ({"mounts": 9}, "another mount namespace"),
    ],
)
def test_every_difference_since_the_request_has_its_words(
    changes: dict[str, object], reason: str
) -> None:
    said = difference(msgspec.structs.replace(PLAIN, **changes), evidence(PLAIN))

    assert reason in said
    assert bool(said) == bool(reason)
