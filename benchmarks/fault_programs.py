"""Faults that are done to a writer of their own, and not to the living system of the campaign.

Each of these goes through hundreds of states while the system is started once. A program takes a
directory, a seed and a number of seconds; it counts what it did, and says in words what was wrong.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

from benchmarks import fault_points, fault_power, fault_vault
from benchmarks.common import show

__all__ = ["PROGRAMS", "Program", "run_programs"]

Program: TypeAlias = Callable[[Path, int, float], tuple[Counter[str], list[str]]]

PROGRAMS: dict[str, Program] = {
    "killed at a point": fault_points.campaign,
    "calls that failed": fault_points.failures,
    "power lost": fault_power.campaign,
    "vault killed and cut off": fault_vault.campaign,
}
"""By name; those that a `--only` fits are run."""


def run_programs(only: str, seed: int, seconds: float) -> list[str]:
    """Run them one after the other, report what each did, and return what was wrong."""
    chosen = {name: program for name, program in PROGRAMS.items() if only in name}
    wrong: list[str] = []
    for name, program in chosen.items():
        with tempfile.TemporaryDirectory(dir=_memory()) as folder:
            counts, flaws = program(Path(folder), seed, seconds / len(chosen))
        rows = [(point, str(n)) for point, n in sorted(counts.items())]
        show(f"{name}: {counts.total()} times, {len(counts)} kinds, {len(flaws)} wrong", rows)
        wrong += [f"{name}: {flaw}" for flaw in flaws]
    return wrong


def _memory() -> str | None:
    """Where files cost nothing: a kill leaves what was written there, synced or not."""
    return "/dev/shm" if Path("/dev/shm").is_dir() else None
