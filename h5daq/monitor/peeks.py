"""Whose newest row is to be asked for, since no signal tells it whole.

A job that rests tells nothing to who joins late, and large arrays are in no signal. Each job is
asked once; the arrays of one job, which somebody looks at, again and again.
"""

from __future__ import annotations

from collections.abc import Mapping

from h5daq.monitor.job import JobPicture

__all__ = ["Peeks"]

MOST_AT_ONCE = 50

LEAST_SECONDS = 0.5
"""The least time between two looks at the job that is watched."""


class Peeks:
    """Says which jobs are due.

    Attributes
    ----------
    watched : str or None
        The job whose large arrays are wanted as well.
    """

    def __init__(self) -> None:
        self.watched: str | None = None
        self._asked = float("-inf")

    def watch(self, name: str | None) -> None:
        """Want the large arrays of this job, and of no other."""
        self.watched, self._asked = name, float("-inf")

    def due(self, jobs: Mapping[str, JobPicture], now: float) -> list[str]:
        """The jobs to ask now; saying so counts as having asked."""
        due = [name for name, job in jobs.items() if job.rows and job.peeked < 0]
        watched = jobs.get(self.watched or "")
        if watched is not None and not 0.0 <= now - self._asked < LEAST_SECONDS:
            stale = watched.rows != watched.peeked
            if (stale and watched.shapes) or watched.arrays.keys() != watched.shapes.keys():
                self._asked = now
                due.insert(0, watched.name)
        return list(dict.fromkeys(due))[:MOST_AT_ONCE]
