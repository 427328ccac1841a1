"""The machines of a run as a monitor sees them: what their jobs tell, added up.

A host has no voice of its own: it is as well as the jobs on it. One of which nothing is heard shows
first as a host all of whose jobs are silent.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from h5daq.monitor.job import JobPicture

__all__ = ["HostPicture", "hosts_of"]


@dataclass(slots=True)
class HostPicture:
    """What is known of a host; `memory` is that of its workers, in bytes."""

    name: str
    jobs: int = 0
    rows: int = 0
    rate: float = 0.0
    held: int = 0
    lost: int = 0
    restarts: int = 0
    memory: int = 0
    silent: list[str] = field(default_factory=list)

    @property
    def state(self) -> str:
        """``running``; ``silent`` when nothing is heard of any of its jobs."""
        return "silent" if self.jobs and len(self.silent) == self.jobs else "running"

    def take(self, job: JobPicture, now: float) -> None:
        """Add one of its jobs."""
        self.jobs += 1
        self.rate += job.rate(now) or 0.0
        self.rows, self.held = self.rows + job.rows, self.held + job.held
        self.lost, self.restarts = self.lost + job.lost_rows, self.restarts + job.restarts
        self.memory += job.rss
        if job.silent(now) or job.state == "silent":
            self.silent.append(job.name)


def hosts_of(jobs: Iterable[JobPicture], now: float) -> list[HostPicture]:
    """The hosts of jobs, by name. A job that has not said where it is counts for none."""
    found: dict[str, HostPicture] = {}
    for job in jobs:
        if job.host:
            found.setdefault(job.host, HostPicture(job.host)).take(job, now)
    return [found[name] for name in sorted(found)]
