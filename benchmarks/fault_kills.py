"""Kills and stops: any process, at any time, and at the moments at which most is under way."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.fault_kinds import Fault

if TYPE_CHECKING:
    from benchmarks.faults import Campaign

__all__ = ["ENDS", "KINDS"]


def _one(role: str) -> Callable[[Campaign], None]:
    return lambda campaign: campaign.prey.kill(role, one=campaign.random)


def _all(*roles: str) -> Callable[[Campaign], None]:
    return lambda campaign: campaign.prey.kill(*roles)


def _twice(role: str) -> Callable[[Campaign], None]:
    """Once, and again right in what it does when it is started again."""

    def act(campaign: Campaign) -> None:
        campaign.prey.kill(role, one=campaign.random)
        campaign.prey.await_new(role, 10.0)
        time.sleep(campaign.random.uniform(0.0, 0.6))
        campaign.prey.kill(role, one=campaign.random)

    return act


def _in_a_checkpoint(role: str) -> Callable[[Campaign], None]:
    def act(campaign: Campaign) -> None:
        _await_change(campaign, lambda: _stamps(campaign.data, ".*.redo"))
        campaign.prey.kill(role)

    return act


def _at_a_rollover(campaign: Campaign) -> None:
    _await_change(campaign, lambda: _names(campaign.data))
    campaign.prey.kill("writer")


def _await_change(campaign: Campaign, look: Callable[[], Any]) -> None:
    before, deadline = look(), time.monotonic() + 5.0
    while look() == before and time.monotonic() < deadline:
        continue
    time.sleep(campaign.random.choice((0.0, 0.0, 0.0005, 0.002, 0.01, 0.05)))


def _stamps(directory: Path, pattern: str) -> list[tuple[str, int]]:
    found = []
    for path in directory.glob(pattern):
        try:
            found.append((path.name, path.stat().st_mtime_ns))
        except FileNotFoundError:
            continue
    return sorted(found)


def _names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.glob("*.hdf5"))


KINDS = [
    Fault("writer", _one("writer")),
    Fault("worker", _one("worker")),
    Fault("nursery", _one("nursery")),
    Fault("writer and worker", _all("writer", "worker")),
    Fault("writer twice", _twice("writer")),
    Fault("writer in a checkpoint", _in_a_checkpoint("writer")),
    Fault("writer at a rollover", _at_a_rollover),
    Fault("writer stopped", lambda campaign: campaign.prey.halt("writer", 1.0)),
    Fault("worker at once", _twice("worker")),
]
"""Faults after which the run goes on."""

ENDS = [
    Fault("daemon", _all("daemon")),
    Fault("all", _all("daemon", "writer", "nursery", "worker")),
    Fault("daemon and writer", _all("daemon", "writer")),
    Fault("daemon in a checkpoint", _in_a_checkpoint("daemon")),
]
"""Faults that end a run."""
