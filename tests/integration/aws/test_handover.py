"""A link that is a secret reaches the browser, and no command line."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.fakes import FakeClock
from tests.fakes_aws import browser
from tests.fakes_aws.aws import fake_aws
from tests.integration.aws.credential_servers import FETCH, STRANGER
from tests.waiting import PATIENCE, until

from privyseal.aws.handover import open_secretly
from privyseal.errors import UnreachableError
from privyseal.runtime.clock import SystemClock


def test_the_browser_is_sent_on_and_sees_the_link_in_no_argument(tmp_path: Path) -> None:
    told = tmp_path / "told"
    script = tmp_path / "browser"
    script.write_text(
        f'#!/bin/sh\necho "$@" > {told}\nexec {sys.executable} {browser.__file__} "$@"\n'
    )
    script.chmod(0o700)
    with fake_aws(FakeClock()) as aws:
        link = f"{aws.url}/federation?Action=logout&redirect_uri=x-secret"
        open_secretly(link, {"BROWSER": str(script)}, SystemClock())
        until(lambda: aws.calls["logout"] == 1)
    assert told.read_text().startswith("http://127.0.0.1:")
    assert "secret" not in told.read_text()


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to be another user")
def test_another_user_who_read_the_command_line_is_not_sent_on(tmp_path: Path) -> None:
    told = tmp_path / "told"
    script = tmp_path / "browser"
    script.write_text(f'#!/bin/sh\necho "$1" > {told}.new\nmv {told}.new {told}\n')
    script.chmod(0o700)
    with fake_aws(FakeClock()) as aws, ThreadPoolExecutor(1) as pool:
        link = f"{aws.url}/federation?Action=logout&redirect_uri=x-secret"
        opening = pool.submit(
            open_secretly, link, {"BROWSER": str(script), "PATH": "/bin"}, SystemClock()
        )
        until(told.exists)
        url = told.read_text().strip()
        stolen = subprocess.run(
            [sys.executable, "-I", "-c", FETCH, str(STRANGER), url],
            check=False,
            capture_output=True,
            text=True,
        )
        assert "HTTP Error 403" in stolen.stderr
        assert aws.calls["logout"] == 0
        browser.visit(url)
        opening.result(PATIENCE)
        assert aws.calls["logout"] == 1


def test_without_a_browser_nothing_waits() -> None:
    with pytest.raises(UnreachableError, match="no browser"):
        open_secretly("https://x.example/", {}, SystemClock())
