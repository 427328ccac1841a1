"""What a page sees of a job's columns: curves over time, or the newest row as curves, as the newest
line of a waterfall, as an image.

A view says once what there is (`first`), then only what is new (`more`); how often is up to who
asks. Times are UTC seconds; what is drawn has been thinned to what a screen can show.
"""

from __future__ import annotations

import math
import time
from abc import ABC, abstractmethod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from h5daq.monitor.thin import as_image, as_lines, averaged, envelope, joined, real
from h5daq.monitor.web.packed import doubles, singles
from h5daq.monitor.web.sources import Sources
from h5daq.monitor.web.traces import Floats, Track

__all__ = ["ArrayView", "Message", "TraceView", "View"]

Message = dict[str, Any]

CURVE_POINTS = 1500
LINE_POINTS = 2000
BAND_ROWS, BAND_POINTS = 150, 256
IMAGE_POINTS = 400
HISTORY_ROWS = 200_000

LEAST_SECONDS = 0.5
"""Between two rows of an array: more is not seen, and would be asked of the writer."""


class View(ABC):
    """Something that a page looks at."""

    @abstractmethod
    def due(self) -> bool:
        """Whether there may be something new."""

    @abstractmethod
    def first(self) -> Message | None:
        """What there is; may wait for files and for the writer."""

    @abstractmethod
    def more(self) -> Message | None:
        """What is new since."""


class TraceView(View):
    """Scalar columns of a job over time.

    Parameters
    ----------
    sources : Sources
        Of the rows.
    job : str
        Its group.
    labels : list of str
        Columns.
    seconds : float
        How far back.
    """

    def __init__(self, sources: Sources, job: str, labels: list[str], seconds: float) -> None:
        self._sources, self._job = sources, job
        self._labels, self._seconds = labels, seconds
        self._track: Track | None = None
        self._at = 0

    def due(self) -> bool:
        """Whether signals have told of rows."""
        track = self._sources.tracks[self._job]
        return track is not None and (track is not self._track or track.count > self._at)

    def first(self) -> Message | None:
        """The history from the files, and what signals have told since."""
        found = self._sources.last(self._job, self._labels, HISTORY_ROWS, self._seconds)
        times, columns = self._told(0)
        if found:
            past = {label: real(found[label]) for label in self._labels if label in found}
            times, columns = joined(found["time"], past, times, columns)
        recent = times >= (times[-1] if len(times) else 0.0) - self._seconds
        columns = {label: column[recent] for label, column in columns.items()}
        return _points(*envelope(times[recent], columns, CURVE_POINTS), reset=True)

    def more(self) -> Message | None:
        """The rows that came since, or all again when the job's columns have changed."""
        if self._sources.tracks[self._job] is not self._track and self._track is not None:
            return self.first()
        times, columns = self._told(self._at)
        return _points(times, columns) if len(times) else None

    def _told(self, first: int) -> tuple[Floats, dict[str, Floats]]:
        with self._sources.feed.lock:
            track = self._sources.tracks[self._job]
            if track is None:
                return np.empty(0), {label: np.empty(0) for label in self._labels}
            self._track, self._at = track, track.count
            times, columns = track.since(first)
        missing = np.full(len(times), np.nan)
        return times, {label: columns.get(label, missing) for label in self._labels}


def _points(times: Floats, columns: dict[str, Floats], *, reset: bool = False) -> Message:
    packed = {label: doubles(column) for label, column in columns.items()}
    return {"k": "points", "reset": reset, "x": doubles(times), "y": packed}


class ArrayView(View):
    """An array column of a job: its newest row, or as many as a waterfall has lines.

    Parameters
    ----------
    sources : Sources
        Of the rows.
    job, label : str
        Which column.
    mode : str
        ``lines``, ``waterfall`` or ``image``.
    """

    def __init__(self, sources: Sources, job: str, label: str, mode: str) -> None:
        self._sources, self._job, self._label, self._mode = sources, job, label, mode
        self._rows, self._in_file, self._time, self._asked = -1, -1, -np.inf, -np.inf

    def due(self) -> bool:
        """Whether there are rows, and the last look was long enough ago."""
        if time.monotonic() - self._asked < LEAST_SECONDS:
            return False
        return self._state() != self._rows

    def _state(self) -> int:
        # Either tells of something new; which one has the array is not known beforehand.
        return self._sources.rows(self._job) + self._sources.in_file(self._job)

    def first(self) -> Message | None:
        """For a waterfall the last rows in the files, else the newest row."""
        return (self._mode == "waterfall" and self._past()) or self._newest()

    def more(self) -> Message | None:
        """The newest row, if it was not told yet; after a checkpoint a waterfall has all again."""
        if self._mode == "waterfall" and self._sources.in_file(self._job) != self._in_file:
            return self._past() or self._newest()
        return self._newest()

    def _past(self) -> Message | None:
        self._in_file = self._sources.in_file(self._job)
        found = self._sources.last(self._job, [self._label], BAND_ROWS)
        if self._label not in found:
            return None
        self._time = float(found["time"][-1])
        return band(found["time"], found[self._label], reset=True)

    def _newest(self) -> Message | None:
        self._rows, self._asked = self._state(), time.monotonic()
        found = self._sources.newest(self._job, self._label)
        if found is None or found.time <= self._time:
            return None
        self._time = found.time
        return shown(self._mode, found.time, np.asarray(found.value), found.whole)


def shown(
    mode: str, when: float, row: NDArray[Any], whole: tuple[int, ...] | None = None
) -> Message:
    """One row in one of the three modes; `whole` is its shape, where elements were left out."""
    values, shape = real(row), row.shape if whole is None else whole
    if mode == "waterfall":
        return band(np.array([when]), values[np.newaxis], size=math.prod(shape))
    if mode == "image":
        picture = as_image(values, IMAGE_POINTS)
        size = list(shape) if row.ndim == 2 else list(picture.shape)
        return {"k": "image", "time": when, "shape": list(picture.shape), "size": size,
                "values": singles(picture)}  # fmt: skip
    x, lines = as_lines(values, LINE_POINTS)
    x = x * (shape[-1] / row.shape[-1]) if row.ndim else x
    return {"k": "lines", "time": when, "x": doubles(x), "ys": [doubles(line) for line in lines]}


def band(
    times: Floats, rows: NDArray[Any], *, reset: bool = False, size: int | None = None
) -> Message:
    """Rows as lines of a waterfall, of arrays with `size` elements in all."""
    flat = real(rows).reshape(len(rows), -1)
    thinned = averaged(flat, BAND_POINTS, 1)
    return {"k": "band", "reset": reset, "x": doubles(times), "width": thinned.shape[1],
            "size": size or flat.shape[1], "values": singles(thinned)}  # fmt: skip
