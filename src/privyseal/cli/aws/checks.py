"""The checks of `privy aws doctor`. None changes anything, and none prints a secret."""

import http.client
import os
import ssl
import stat
from collections.abc import Iterator, Mapping, Sequence
from email.utils import parsedate_to_datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from privyseal.aws.calls import trusted
from privyseal.aws.choice import StoreOptions
from privyseal.cli.aws.door import TO_A_KEEPER, Asked, open_door
from privyseal.cli.aws.environment import CREDENTIAL_INPUTS, OUR_SECRETS, SESSION, outside
from privyseal.cli.aws.extra import INSTALL, PACKAGES
from privyseal.cli.aws.files import config_file, credentials_file, leaks, load_profiles
from privyseal.cli.aws.keeperdoor import NoKeeperError, keeper_link
from privyseal.cli.aws.lines import count, some
from privyseal.cli.aws.options import KEEPER, backend
from privyseal.cli.checkup import Finding
from privyseal.cli.reach import way_in
from privyseal.cli.spec import Values
from privyseal.errors import PrivysealError
from privyseal.runtime.clock import SystemClock
from privyseal.wire.aws.checking import regionless

SKEW_WARNED: Final = 20.0
SKEW_REFUSED: Final = 300.0
"""Seconds that this clock may differ from that of AWS: for MFA codes, and for signatures."""

_OTHERS_READ: Final = 0o044
_OTHERS_WRITE: Final = 0o022
_SECONDS: Final = 5.0


class Checks:
    """What is looked at: libraries, files, the store, the clock."""

    def __init__(self, values: Values) -> None:
        self._values = values

    def findings(self) -> Iterator[Finding]:
        """Run every check; one that cannot run says so as its finding."""
        for name, check in (
            ("libraries", self._libraries),
            ("configuration", self._configuration),
            ("regions", self._regions),
            ("permissions", self._permissions),
            ("plain keys", self._plaintext),
            ("environment", self._environment),
            ("keeper", self._keeper),
            ("store", self._store),
            ("clock", self._clock),
        ):
            try:
                yield check(name)
            except PrivysealError as error:
                yield Finding(name, "FAIL", str(error), error.hint)
            except OSError as error:
                yield Finding(name, "FAIL", f"cannot be checked: {error.strerror}")

    def _libraries(self, name: str) -> Finding:
        missing = [package for package in PACKAGES if find_spec(package) is None]
        if missing:
            return Finding(name, "FAIL", f"not installed: {', '.join(missing)}", INSTALL)
        return Finding(name, "ok", f"{len(PACKAGES)} packages for AWS are installed")

    def _configuration(self, name: str) -> Finding:
        path = config_file(os.environ)
        profiles = load_profiles(os.environ)
        remarks = profiles.warnings()
        found = f"{count(len(profiles.names()), 'profile')} in {path}"
        if not Path(path).exists():
            return Finding(name, "warn", f"there is no {path}", "keep a key: privy aws add NAME")
        if remarks:
            text = f"{found}, and {count(len(remarks), 'thing')} to look at: {remarks[0]}"
            return Finding(name, "warn", text, "see all of them: privy aws config validate")
        return Finding(name, "ok", found)

    def _regions(self, name: str) -> Finding:
        try:
            profiles = load_profiles(os.environ)
            without = list(regionless(profiles, outside(os.environ)))
        except PrivysealError:
            return Finding(name, "warn", "not known: the configuration cannot be read")
        if without:
            text = f"no region for {some(without)}: commands get none"
            return Finding(name, "warn", text, "set `region` there, or the variable AWS_REGION")
        if not profiles.names():
            return Finding(name, "ok", "there is no profile yet that could lack one")
        return Finding(name, "ok", "every profile has one")

    def _permissions(self, name: str) -> Finding:
        wrong = [*_open_files(os.environ, self._key_files())]
        if wrong:
            path, text = wrong[0]
            more = f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""
            return Finding(name, "FAIL", f"{text}: {path}{more}", f"chmod go-rwx {path}")
        return Finding(name, "ok", "nobody else can read keys or change profiles")

    def _key_files(self) -> list[Path]:
        """Return the folder of the store `file` and what lies in it, used just now or not."""
        options = StoreOptions(file_dir=str(self._values.get("file_dir") or ""))
        folder = Path(options.completed(os.environ).file_dir).expanduser()
        return [folder, *sorted(folder.glob("*"))] if folder.is_dir() else []

    def _plaintext(self, name: str) -> Finding:
        found = leaks(os.environ)
        if found:
            others = len({leak.path for leak in found}) - 1
            more = f", and {count(others, 'more file')}" if others else ""
            text = f"{found[0].what} lies as plain text in {found[0].path}{more}"
            return Finding(name, "warn", text, "see all, and what to do: privy aws migrate")
        return Finding(name, "ok", "no keys or tokens lie as plain text beside the configuration")

    def _environment(self, name: str) -> Finding:
        if os.environ.get(SESSION):
            return Finding(name, "ok", f"a session of profile {os.environ[SESSION]!r}")
        found = sorted((CREDENTIAL_INPUTS | OUR_SECRETS) & {*os.environ} - {"AWS_PROFILE"})
        if found:
            text = f"every program that you start gets {some(found)}"
            return Finding(
                name, "warn", text, "look in the files that your shell reads at its start"
            )
        return Finding(name, "ok", "no credentials in it")

    def _keeper(self, name: str) -> Finding:
        wanted = backend(self._values, os.environ)
        if wanted not in {"", KEEPER}:
            return Finding(name, "ok", f"not asked: you chose the store {wanted!r}")
        try:
            with keeper_link(Asked(self._values), wake=False):
                pass
        except NoKeeperError as error:
            hint = error.hint if way_in() else TO_A_KEEPER
            return Finding(name, "warn", f"none answers here: {error}", hint)
        return Finding(name, "ok", "it answers")

    def _store(self, name: str) -> Finding:
        with open_door(self._values, wake=False) as door:
            known = door.known()
            found = f"{count(len(known.keys), 'key')} with {door.description}"
        if known.journals:
            text = f"{found}; unfinished rotations: {some(known.journals)}"
            return Finding(name, "warn", text, f"finish it: privy aws rotate {known.journals[0]}")
        return Finding(name, "ok", found)

    def _clock(self, name: str) -> Finding:
        if self._values["offline"]:
            return Finding(name, "ok", "not compared: --offline")
        url = _endpoint(outside(os.environ))
        try:
            skew = _skew(url, trusted(os.environ.get("AWS_CA_BUNDLE", "")))
        except ssl.SSLCertVerificationError:
            text = f"cannot be compared: it is not known who answers at {url}"
            return Finding(name, "warn", text, "see whose word counts here: AWS_CA_BUNDLE")
        except (OSError, http.client.HTTPException, ValueError):
            return Finding(name, "warn", f"cannot be compared: {url} does not answer")
        text = f"{abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} {url}"
        if abs(skew) >= SKEW_REFUSED:
            return Finding(name, "FAIL", f"{text}: AWS refuses signatures", "set the clock")
        if abs(skew) >= SKEW_WARNED:
            return Finding(name, "warn", f"{text}: codes of MFA devices may fail", "set the clock")
        return Finding(name, "ok", f"agrees with {url}")


def _open_files(environment: Mapping[str, str], keys: Sequence[Path]) -> Iterator[tuple[Path, str]]:
    """Yield what others may read or write and should not, and why."""
    config, credentials = Path(config_file(environment)), Path(credentials_file(environment))
    secret = {credentials, *keys[1:]}
    for path in (config.parent, config, credentials, *keys):
        try:
            found = path.stat()
        except FileNotFoundError:
            continue
        sticky = stat.S_ISDIR(found.st_mode) and found.st_mode & stat.S_ISVTX
        if found.st_mode & _OTHERS_WRITE and not sticky:
            yield path, "others can change it, and with it what runs as you"
        elif path in secret and found.st_mode & _OTHERS_READ:
            yield path, "others can read the keys in it"
        elif found.st_uid not in {os.getuid(), 0}:
            yield path, "it belongs to another user"


def _endpoint(environment: Mapping[str, str]) -> str:
    region = environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION") or "us-east-1"
    return environment.get("AWS_ENDPOINT_URL") or f"https://sts.{region}.amazonaws.com"


def _skew(url: str, authorities: str | bool) -> float:  # noqa: FBT001 - as `trusted` returns it
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port
    if parts.scheme == "http":
        connection = http.client.HTTPConnection(host, port, timeout=_SECONDS)
    else:
        context = ssl.create_default_context(
            cafile=str(authorities) if authorities is not True else None
        )
        connection = http.client.HTTPSConnection(host, port, timeout=_SECONDS, context=context)
    try:
        connection.request("HEAD", "/")
        date = connection.getresponse().getheader("Date", "")
    finally:
        connection.close()
    return SystemClock().wall() - parsedate_to_datetime(date).timestamp()
