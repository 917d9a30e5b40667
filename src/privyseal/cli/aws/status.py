"""`privy aws status`: the session that this shell runs in."""

import os
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from privyseal.cli.aws.environment import EXPIRATION, stack
from privyseal.cli.report import AMBER, RED, print_json, span
from privyseal.cli.spec import JSON, Option, Spec, Values
from privyseal.runtime.clock import SystemClock
from privyseal.wire.sanitise import fit

PROMPT: Final = Option("--prompt", "Print one short text for a shell's prompt, nothing outside.")
SOON: Final = 10 * 60.0
_WIDE: Final = 120
_SERVER: Final = "AWS_CONTAINER_CREDENTIALS_FULL_URI"
_METADATA: Final = "AWS_EC2_METADATA_SERVICE_ENDPOINT"


def run(values: Values) -> int:
    """Print the session; return 1 when there is none, or it has ended."""
    found = session_of(os.environ, SystemClock().wall())
    if values["prompt"]:
        print(prompt(found), end="")
        return 0
    if values["json"]:
        print_json(found)
    elif not found["credentials"]:
        print("no session: start one with `privy aws exec PROFILE`")
    else:
        for name, text in _lines(found):
            print(f"{name:8}  {fit(text, _WIDE)}")
    return int(not found["credentials"] or found["left"] == 0)


def session_of(environment: Mapping[str, str], now: float) -> dict[str, Any]:
    """Return what the environment says of a session; `left` is seconds, None when not known.

    Temporary credentials that `export` printed are one of no known profile.
    """
    around = stack(environment)
    printed = all(environment.get(name) for name in ("AWS_ACCESS_KEY_ID", "AWS_SESSION_TOKEN"))
    inside = around or printed
    expires = _instant(environment.get(EXPIRATION, ""))
    return {
        "profile": around[-1] if around else "",
        "stack": around,
        "region": environment.get("AWS_REGION", "") if inside else "",
        "credentials": _way(environment) if inside else "",
        "expires": environment.get(EXPIRATION, "") if expires else "",
        "left": max(0, int(expires - now)) if expires else None,
    }


def prompt(found: Mapping[str, Any]) -> str:
    """Return what a prompt shows of a session: `dev 52m`, in colour towards its end."""
    if not found["profile"]:
        return ""
    text = fit(" > ".join(found["stack"]), _WIDE)
    left = found["left"]
    if left is None:
        return text
    if left == 0:
        return _painted(f"{text} ended", RED)
    said = f"{left // 3600}h{left % 3600 // 60:02}m" if left >= 3600 else f"{left // 60}m"  # noqa: PLR2004 - an hour
    return _painted(f"{text} {said}", AMBER) if left < SOON else f"{text} {said}"


def _painted(text: str, colour: str) -> str:
    # A prompt is no terminal's output to us: it is asked for in a command substitution.
    return text if os.environ.get("NO_COLOR") else f"\x1b[{colour}m{text}\x1b[0m"


def _lines(found: Mapping[str, Any]) -> list[tuple[str, str]]:
    inside = f" (inside {' > '.join(found['stack'][:-1])})" if len(found["stack"]) > 1 else ""
    lines = [("profile", (found["profile"] or "not known: printed, not started here") + inside)]
    if found["region"]:
        lines.append(("region", found["region"]))
    lines.append(("given", found["credentials"]))
    if found["left"] is not None:
        ended = "has ended: start a new session"
        lines.append(("lasts", f"another {span(found['left'])}" if found["left"] else ended))
    return lines


def _way(environment: Mapping[str, str]) -> str:
    if environment.get("AWS_ACCESS_KEY_ID"):
        return "in the environment"
    if environment.get(_SERVER):
        return "by a container credentials server"
    if environment.get(_METADATA):
        return "by an EC2 metadata server"
    return "by credential_process" if environment.get("AWS_PROFILE") else "not at all"


def _instant(text: str) -> float:
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        return 0.0


SPEC: Final = Spec(
    "Say which profile this shell has, and for how long.",
    run,
    (PROMPT, JSON),
    (),
    "Ends with status 1 outside a session. For bash: `PS1='$(privy aws status --prompt) '$PS1`.",
)
