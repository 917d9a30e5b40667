"""The texts of /proc/PID: what hostile content turns into."""

import json

import pytest
from hypothesis import example, given, strategies as st

from privyseal.wire.procfs import (
    GRAMMARS,
    MAX_ARGUMENTS,
    find_script,
    interpreter,
    parse_arguments,
    parse_cgroup,
    parse_lines,
    parse_numbers,
    parse_stat,
    parse_taints,
    text,
)

NUMBERS = b"1 2 3 34816 5 6 7 8 9 10 11 12 13 14 15 16 17 0 4242 19 20 21 140000 23 770000 25"


@given(raw=st.binary(max_size=400))
@example(raw=b"1 (x) S " + NUMBERS)
@example(raw=b"0::\n0::/\n:::::\n")
@example(raw=b"Pid:\nPid: 1\n:\n")
@example(raw=b"9" * 400)
def test_no_content_makes_a_parser_raise(raw: bytes) -> None:
    parse_stat(raw)
    parse_lines(raw)
    parse_numbers(raw)
    parse_cgroup(raw)
    parse_taints(raw)
    interpreter(raw)
    for family in (*GRAMMARS, "other"):
        find_script(family, parse_arguments(raw))


@given(raw=st.binary(max_size=400), limit=st.integers(1, 50))
def test_any_bytes_become_bounded_text_that_json_carries(raw: bytes, limit: int) -> None:
    shown = text(raw, limit)

    assert shown is not None
    assert len(shown) <= 4 * limit + 1
    assert json.loads(json.dumps(shown).encode("utf-8")) == shown
    shown.encode("utf-8")


@given(name=st.binary(max_size=15).filter(lambda name: b"\0" not in name))
@example(name=b") R 1 1 1")
@example(name=b"a\nb (c) d")
def test_a_process_name_never_shifts_the_fields_of_stat(name: bytes) -> None:
    parsed = parse_stat(b"77 (" + name + b") S " + NUMBERS)

    assert parsed is not None
    assert (parsed.comm, parsed.ppid, parsed.session, parsed.tty) == (name, 1, 3, 34816)
    assert parsed.start == 4242


def test_the_image_is_empty_when_the_kernel_hides_addresses() -> None:
    hidden = NUMBERS.replace(b"140000", b"1").replace(b"770000", b"0")

    shown, unknown = parse_stat(b"7 (x) S " + NUMBERS), parse_stat(b"7 (x) S " + hidden)

    assert shown is not None
    assert len(shown.image) == 16
    assert unknown is not None
    assert not unknown.image


def test_the_first_line_of_a_key_counts() -> None:
    assert parse_lines(b"Pid:\t7\nPid:\t8\n") == {b"Pid": b"7"}
    assert parse_lines(b"Name:\ta\rUid:\t0\nUid:\t7\n")[b"Uid"] == b"7"


@pytest.mark.parametrize(
    ("raw", "group"),
    [
        (b"0::/user.slice/a.scope\n", b"/user.slice/a.scope"),
        (b"1:name=systemd:/a.service\n0::/\n", b"/a.service"),
        (b"1:name=systemd:/a.service\n", b"/a.service"),
        (b"1:name=systemd:/a\n0::/b:c\n", b"/b:c"),
        (b"4:memory:/x\n", None),
        (b"0::/user@1.service/x\r0::/a.service\n", b"/user@1.service/x\r0::/a.service"),
        (b"", None),
    ],
)
def test_the_unified_control_group_is_preferred(raw: bytes, group: bytes | None) -> None:
    assert parse_cgroup(raw) == group


def test_arguments_keep_empty_words_and_are_bounded() -> None:
    assert parse_arguments(b"a\0\0b\0") == [b"a", b"", b"b"]
    assert parse_arguments(b"") == []
    assert len(parse_arguments(b"x\0" * 1000)) == MAX_ARGUMENTS


def test_taints_are_names_of_variables_that_are_set() -> None:
    environment = b"LD_PRELOAD=/tmp/e.so\0PATH=/bin\0LD_AUDIT=\0NODE_OPTIONS=-r x\0PYTHONPATHX=1\0"

    assert parse_taints(environment) == ["LD_PRELOAD", "NODE_OPTIONS"]


@pytest.mark.parametrize(
    ("path", "family"),
    [
        (b"/usr/bin/python3.11", "python"),
        (b"/usr/bin/node", "node"),
        (b"/usr/bin/bash", "sh"),
        (b"/usr/bin/perl", "perl"),
        (b"/usr/bin/ruby3.1", "ruby"),
        (b"/opt/deno", "other"),
        (b"/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2", "other"),
        (b"/usr/bin/qemu-arm-static", "other"),
        (b"/usr/bin/secret-tool", ""),
        (b"/usr/bin/bashful", ""),
        (b"/usr/bin/python3.11\n", ""),
    ],
)
def test_interpreters_are_known_by_the_name_of_their_file(path: bytes, family: str) -> None:
    assert interpreter(path) == family


@pytest.mark.parametrize(
    ("family", "line", "found"),
    [
        ("python", "a.py -c x", ("file", b"a.py")),
        ("python", "-u -W ignore -Xdev a.py", ("file", b"a.py")),
        ("python", "--check-hash-based-pycs always a.py", ("file", b"a.py")),
        ("python", "-Ic pass", ("code", b"-Ic")),
        ("python", "-m http.server", ("code", b"-m http.server")),
        ("python", "-Werror::c a.py", ("file", b"a.py")),
        ("python", "- a.py", ("none", b"")),
        ("python", "", ("none", b"")),
        ("python", "-- a.py", ("file", b"a.py")),
        ("node", "-r ./hook.js --require b --import=c agent.js", ("file", b"agent.js")),
        ("node", "-pe 1", ("code", b"-pe")),
        ("node", "--eval=1", ("code", b"--eval=1")),
        ("sh", "-euo pipefail run.sh", ("file", b"run.sh")),
        ("sh", "--rcfile x -i", ("none", b"")),
        ("sh", "-lc ls", ("code", b"-lc")),
        ("sh", "+e run.sh", ("file", b"run.sh")),
        ("perl", "-Mstrict -w -I lib x.pl", ("file", b"x.pl")),
        ("perl", "-ne print", ("code", b"-ne")),
        ("perl", "-i.bake x.pl", ("file", b"x.pl")),
        ("ruby", "-rjson -I lib x.rb", ("file", b"x.rb")),
        ("ruby", "-e 1", ("code", b"-e")),
        ("other", "run x.ts", ("unknown", b"")),
    ],
)
def test_the_script_is_found_behind_the_options(
    family: str, line: str, found: tuple[str, bytes]
) -> None:
    assert find_script(family, [word.encode() for word in line.split()]) == found
