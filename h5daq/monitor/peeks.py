"""Whose newest row is to be asked for, since no signal tells it whole.

A job that rests tells nothing to who joins late, and large arrays are in no signal. Each job is
asked once; the arrays of one job, which somebody looks at, again and again: those of up to
`PEEKED_ELEMENTS` in one row, larger ones column by column, and not more than a few.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from h5daq.monitor.job import JobPicture

__all__ = ["PEEKED_ELEMENTS", "Peeks"]

MOST_AT_ONCE = 50

MOST_GLIMPSES = 4
"""Columns of one job that are looked at one by one."""

PEEKED_ELEMENTS = 8192
"""Elements of the largest array that a peek tells."""

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
        self._asked = self._glimpsed = float("-inf")

    def watch(self, name: str | None) -> None:
        """Want the large arrays of this job, and of no other."""
        self.watched, self._asked, self._glimpsed = name, float("-inf"), float("-inf")

    def due(self, jobs: Mapping[str, JobPicture], now: float) -> list[str]:
        """The jobs to ask now; saying so counts as having asked."""
        due = [name for name, job in jobs.items() if job.rows and job.peeked < 0]
        watched = jobs.get(self.watched or "")
        if watched is not None and not 0.0 <= now - self._asked < LEAST_SECONDS:
            stale, peeked = watched.rows != watched.peeked, _peeked(watched)
            if (stale and peeked) or not peeked <= watched.arrays.keys():
                self._asked = now
                due.insert(0, watched.name)
        return list(dict.fromkeys(due))[:MOST_AT_ONCE]

    def glimpses(self, jobs: Mapping[str, JobPicture], now: float) -> list[tuple[str, str]]:
        """Jobs and columns to ask a glimpse of now; saying so counts as having asked."""
        watched = jobs.get(self.watched or "")
        if watched is None or 0.0 <= now - self._glimpsed < LEAST_SECONDS:
            return []
        large = [label for label in watched.shapes if label not in _peeked(watched)]
        if not large or watched.rows == watched.glimpsed:
            return []
        self._glimpsed = now
        return [(watched.name, label) for label in large[:MOST_GLIMPSES]]


def _peeked(job: JobPicture) -> set[str]:
    """The large arrays of a job that a peek tells."""
    return {label for label, shape in job.shapes.items() if math.prod(shape) <= PEEKED_ELEMENTS}
