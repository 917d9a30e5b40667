"""What every benchmark gives back: rows of a table, and how to write them down."""

import platform
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Figure:
    """One row: what was measured, ours, the peer's, and the goal for their ratio (0: none)."""

    what: str
    ours: float
    peer: float
    unit: str
    goal: float = 0.0

    @property
    def ratio(self) -> float:
        return self.ours / self.peer if self.peer else 0.0

    def row(self) -> str:
        peer = f"{self.peer:,.1f} {self.unit}" if self.peer else "-"
        ratio = f"{self.ratio:.2f}" if self.peer else "-"
        goal = f"≤ {self.goal:g}" if self.goal else "-"
        met = "" if not self.goal else "met" if self.ratio <= self.goal else "**missed**"
        return f"| {self.what} | {self.ours:,.1f} {self.unit} | {peer} | {ratio} | {goal} | {met} |"


@dataclass(frozen=True)
class Report:
    """One benchmark's page section."""

    title: str
    command: str
    method: str
    figures: Sequence[Figure]

    def markdown(self) -> str:
        lines = [
            f"## {self.title}",
            "",
            self.method,
            "",
            f"Made with `{self.command}`.",
            "",
            "| what | Privyseal | peer | ratio | goal | |",
            "|---|---|---|---|---|---|",
            *(figure.row() for figure in self.figures),
        ]
        return "\n".join(lines) + "\n"


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value below which `share` of the values lie."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def machine() -> str:
    """Say what the figures were taken on, without naming the machine."""
    model = "unknown processor"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.split(":", 1)[1].strip()
            break
    return f"{model}, Linux {platform.release().split('-')[0]}, Python {platform.python_version()}"
