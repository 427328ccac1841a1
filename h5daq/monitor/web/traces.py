"""The newest points of scalar columns, for pages that join at any time. Pure.

A `Track` keeps the last rows of one job, as its signals tell them, in a ring of numbers; each row
has a number, so a page says which it has and gets those since. What signals leave out, as they tell
at most some 20 rows per second and dataset, is in the files.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from h5daq.monitor.thin import Floats

__all__ = ["Floats", "Track", "Tracks", "as_number"]

POINTS = 1200
"""Rows of a job that are kept: a minute at the most that signals tell."""

MOST_COLUMNS = 4000
"""Columns of all jobs together of which rows are kept; 40 MB."""


def as_number(value: Any) -> float | None:
    """A real number (true is 1), or None.

    Examples
    --------
    >>> as_number(2), as_number(True), as_number("2"), as_number([2.0])
    (2.0, 1.0, None, None)
    """
    return float(value) if isinstance(value, int | float) else None


class Track:
    """The last rows of one job.

    Parameters
    ----------
    labels : tuple of str
        Its scalar columns.
    points : int
        Rows that are kept.

    Attributes
    ----------
    count : int
        Number of the next row.
    """

    def __init__(self, labels: tuple[str, ...], points: int = POINTS) -> None:
        self.labels, self.count = labels, 0
        self._rows = np.full((points, 1 + len(labels)), np.nan)

    def add(self, time: float, row: Mapping[str, Any]) -> None:
        """Take in a row at its time (UTC seconds)."""
        values = (as_number(row.get(label)) for label in self.labels)
        numbers = [np.nan if value is None else value for value in values]
        self._rows[self.count % len(self._rows)] = [time, *numbers]
        self.count += 1

    def since(self, first: int) -> tuple[Floats, dict[str, Floats]]:
        """Times and columns of the rows from number `first` on, as far as they are kept."""
        first = min(max(first, self.count - len(self._rows)), self.count)
        rows = self._rows[np.arange(first, self.count) % len(self._rows)]
        return rows[:, 0], {label: rows[:, 1 + i] for i, label in enumerate(self.labels)}


class Tracks:
    """The tracks of all jobs, fed by their signals."""

    def __init__(self, points: int = POINTS, columns: int = MOST_COLUMNS) -> None:
        self._points, self._columns = points, columns
        self._of: dict[str, Track] = {}

    def take(self, job: str, time: float | None, row: Mapping[str, Any]) -> None:
        """A row of a job: its newest, by label."""
        if time is None:
            return
        track = self._of.get(job)
        if track is None or not self._fits(track, row):
            track = self._begin(job, row)
        if track is not None:
            track.add(time, row)

    def __getitem__(self, job: str) -> Track | None:
        return self._of.get(job)

    def keep(self, jobs: Mapping[str, Any]) -> None:
        """Forget the others: they are of another run."""
        self._of = {job: track for job, track in self._of.items() if job in jobs}

    @staticmethod
    def _fits(track: Track, row: Mapping[str, Any]) -> bool:
        return all(label in row for label in track.labels)

    def _begin(self, job: str, row: Mapping[str, Any]) -> Track | None:
        self._of.pop(job, None)
        labels = tuple(k for k, v in row.items() if k != "time" and as_number(v) is not None)
        taken = sum(len(track.labels) for track in self._of.values())
        if not labels or taken + len(labels) > self._columns:
            return None
        track = self._of[job] = Track(labels, self._points)
        return track
