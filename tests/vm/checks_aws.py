"""Cloud credentials: the keys stay with the companion, whatever alice's programs do."""

import base64
import io
import json
import shlex
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackagePath, distribution
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from tests.moto_server import ALL_OF_IAM, REGION, moto_server
from tests.vm.desk import Desk
from tests.vm.machine import Process
from tests.vm.registry import check

from privyseal.model.aws import AccessKey

PYTHON: Final = "/opt/privyseal/bin/python"
_CLI: Final = ("awscli", "colorama", "docutils", "pyasn1", "PyYAML", "rsa", "s3transfer")
"""What the AWS CLI consists of besides botocore, which Privyseal has."""

_DATA: Final = "import botocore as b; print(b.__path__[0] + '/data')"
_PAGE: Final = "A question of your companion"
_PIECE: Final = 256 * 1024
"""What one message to the machine may carry, in base64: a multiple of four."""

_PROFILES: Final = """
[profile base]
region = {region}
endpoint_url = {url}

[profile prod]
region = {region}
endpoint_url = {url}
source_profile = base
role_arn = {role}
"""

_SEARCH: Final = """
import json, os, pathlib, re, sys
needle, marker, user, stop = (line.rstrip("\\n") for line in sys.stdin)
sweeps, found, looked = 0, {}, set()
def private(pid):
    for line in pathlib.Path(f"/proc/{pid}/maps").read_text(errors="replace").splitlines():
        span, rights, _, _, inode, *_ = line.split()
        if rights[0] == "r" and (inode == "0" or "w" in rights) and "[v" not in line:
            yield [int(end, 16) for end in span.split("-")]
def holds(pid, text):
    tail = b""
    with open(f"/proc/{pid}/mem", "rb", 0) as memory:
        for start, end in private(pid):
            try:
                memory.seek(start)
                for at in range(start, end, 1 << 20):
                    piece = tail + memory.read(min(1 << 20, end - at))
                    if text in piece:
                        return True
                    tail = piece[-len(text):]
            except (OSError, OverflowError):
                continue
    return False
while True:
    last = os.path.exists(stop)
    sweeps += 1
    for entry in pathlib.Path("/proc").iterdir():
        try:
            if not entry.name.isdecimal() or entry.stat().st_uid != int(user):
                continue
            looked.add(entry.joinpath("cmdline").read_bytes().replace(b"\\0", b" ").decode())
            for name, text in (("key", needle), ("marker", marker)):
                if holds(entry.name, text.encode()):
                    what = entry.joinpath("cmdline").read_bytes().replace(b"\\0", b" ").decode()
                    found.setdefault(name, set()).add(what.strip())
        except OSError:
            continue
    if last:
        break
print(json.dumps({"sweeps": sweeps, "looked": sorted(looked),
                  **{name: sorted(where) for name, where in found.items()}}))
"""


@contextmanager
def _moto(desk: Desk) -> Iterator[tuple[str, AccessKey, str]]:
    """Run moto on the host, checking signatures and policies.

    Yields:
        Its address as the machine reaches it, a user's key, and the ARN of a role.
    """
    with TemporaryDirectory() as folder, moto_server(Path(folder)) as moto:
        moto.reset()
        key, role = moto.add_user("alice"), moto.add_role(ALL_OF_IAM)
        moto.enforce()
        with desk.vm.network() as host:
            yield moto.url.replace("127.0.0.1", host), key, role


def _aws_cli(desk: Desk) -> None:
    """Have the AWS CLI in the machine, from what this checkout is developed with."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for name in _CLI:
            package = distribution(name)
            for file in filter(_needed, package.files or []):
                tar.add(str(package.locate_file(file)), str(file))
    desk.vm.succeed("rm -rf /opt/aws-cli /opt/aws-cli.tgz; mkdir /opt/aws-cli")
    text = base64.b64encode(packed.getvalue()).decode()
    for start in range(0, len(text), _PIECE):
        piece = text[start : start + _PIECE]
        desk.vm.succeed("base64 -d >>/opt/aws-cli.tgz", stdin=piece)
    desk.vm.succeed("tar -C /opt/aws-cli -xzf /opt/aws-cli.tgz")
    # Its own copy of what every service looks like would be a hundred megabytes more.
    start_it = (
        f'#!/bin/sh\nexport PYTHONPATH=/opt/aws-cli AWS_DATA_PATH="$({PYTHON} -c "{_DATA}")"\n'
        f'exec {PYTHON} -m awscli "$@"\n'
    )
    desk.vm.write("/usr/local/bin/aws", start_it, mode=0o755)


def _needed(file: PackagePath) -> bool:
    if file.parts[0] == ".." or "examples" in file.parts or file.suffix in {".pyc", ".so"}:
        return False
    return "data" not in file.parts or file.parts.index("data") == len(file.parts) - 2


def _allowed(desk: Desk, url: str) -> None:
    desk.vm.write("/etc/privyseal/config.yaml", f"aws:\n  endpoints: ['{url}']\n")
    desk.vm.succeed("systemctl kill --kill-whom=main -s HUP privyseal-keeper@1000")


def _typed_in(desk: Desk, key: AccessKey) -> None:
    """Keep the key, as a person does it: allow it, then type it on the console."""
    adding = desk.vm.start("privy aws add --replace base", user="alice")
    desk.asked("Keep a long-lived AWS key", "base")
    desk.allow()
    typed = {"access key id": key.access_key_id, "secret access key": key.secret_access_key}
    for what, text in typed.items():
        desk.vm.shows(8, "AWS asks a key: u")
        desk.vm.type("u", vt=8)
        desk.vm.shows(8, what)
        desk.vm.type(f"{text}\n", vt=8)
        desk.vm.wait_for(lambda: _PAGE not in desk.vm.screen(8), "the answer taken")
    done = adding.finish(seconds=120)
    assert done.status == 0, done.text


def _search(desk: Desk, needle: str, marker: str) -> Process:
    """Search the memory of every process of alice again and again, until /tmp/searched is there."""
    desk.vm.run("rm -f /tmp/searched")
    desk.vm.write("/opt/search/search.py", _SEARCH, mode=0o600)
    told = f"{needle}\n{marker}\n1000\n/tmp/searched\n"
    desk.vm.write("/opt/search/needles", told, mode=0o600)
    return desk.vm.start("exec python3 /opt/search/search.py </opt/search/needles")


@check(
    "aws: alice uses her role, and no process of hers ever holds the long-lived key", seconds=900
)
def aws_key_stays_away(desk: Desk) -> None:
    desk.unlocked()
    _aws_cli(desk)
    marker = "held-by-" + "alice"
    hold = f"x='{marker}'; import time; time.sleep(900)"
    holder = desk.vm.start(f"exec python3 -c {shlex.quote(hold)}", user="alice")
    try:
        with _moto(desk) as (url, key, role):
            _allowed(desk, url)
            profiles = _PROFILES.format(region=REGION, url=url, role=role)
            desk.vm.write("/home/alice/.aws/config", profiles, owner="alice")
            search = _search(desk, key.secret_access_key, marker)
            _typed_in(desk, key)
            using = desk.vm.start(
                f"privy aws exec prod -- aws --endpoint-url {url} sts get-caller-identity",
                user="alice",
            )
            desk.asked("Hand over AWS credentials", "prod")
            desk.vm.picture("console-aws")
            desk.allow()
            used = using.finish(seconds=180)
            assert used.status == 0, used.text
            assert json.loads(used.out)["Arn"].find(":assumed-role/reader/") > 0, used.out
            desk.vm.succeed("touch /tmp/searched")
            told = json.loads(search.finish(seconds=120).out)
    finally:
        desk.vm.run("touch /tmp/searched; rm -f /opt/search/needles; pkill -f held-by-")
        holder.finish()
        desk.vm.run("rm -rf /home/alice/.aws /etc/privyseal/config.yaml /usr/local/bin/aws")
    for program in ("privy aws add", "privy aws exec", "awscli"):
        assert any(program in words for words in told["looked"]), f"no {program} in {told}"
    assert any("time.sleep" in where for where in told["marker"]), f"the search is blind: {told}"
    assert "key" not in told, told
    files = "find /home/alice /run/user/1000 /tmp /var/tmp /dev/shm -user alice -type f"
    secret = shlex.quote(key.secret_access_key)
    written = desk.vm.run(f"{files} -exec grep -Fls -e {secret} {{}} + 2>/dev/null").out
    assert not written, f"the key is in {written}"


@check(
    "aws: the broker has neither store nor buses, and a lock ends it with what it knew", seconds=300
)
def aws_broker_confined(desk: Desk) -> None:
    desk.unlocked()
    listed = desk.vm.run("privy aws list", user="alice", seconds=120)
    assert listed.status == 0, listed.text
    pid = desk.vm.succeed("systemctl show -p MainPID --value privyseal-aws@1000")
    assert pid != "0", "the broker does not run"
    inside = f"nsenter --target {pid} --mount setpriv --reuid privyseal-1000 --clear-groups"
    outside = "setpriv --reuid privyseal-1000 --clear-groups"
    for place in ("/var/lib/privyseal/1000/store", "/run/privyseal/1000"):
        assert desk.vm.run(f"{outside} ls {place}").status == 0, "the companion sees it elsewhere"
        assert desk.vm.run(f"{inside} ls {place}").status != 0, f"the broker sees {place}"
    desk.vm.succeed("privy lock", user="alice")
    desk.vm.wait_until_succeeds(f"! test -e /proc/{pid}")
    desk.unlocked()
