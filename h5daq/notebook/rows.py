"""The rows of one job that are drawn: those in the files, and behind them what signals tell.

Files are read again only when a checkpoint has brought more into them, and only their last rows. In
between, the newest values come from the picture's histories, which are taken out of it at each
look, so that they stay as fine as they came.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any, TypeGuard

import numpy as np
from numpy.typing import NDArray

from h5daq.errors import H5daqError
from h5daq.monitor.archive import Archive
from h5daq.monitor.job import JobPicture
from h5daq.monitor.thin import Floats, envelope, joined, real

__all__ = ["JobRows", "Track"]

MOST_ROWS = 200_000
"""Rows that are read from the files at once."""


class Track:
    """A scalar column over the last `seconds`. Pure."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._past: tuple[Floats, Floats] = np.empty(0), np.empty(0)
        self._told: tuple[Floats, Floats] = np.empty(0), np.empty(0)

    def take_past(self, times: Floats, values: Floats) -> None:
        """The rows of the files, in place of those of before."""
        self._past = times, values

    def take_news(self, times: list[float], values: list[float]) -> None:
        """What signals have told since the last time."""
        then, before = self._told
        told = np.concatenate([then, times]), np.concatenate([before, values])
        self._told = self._recent(*told)

    def points(self) -> tuple[Floats, Floats]:
        """Times (UTC seconds) and values.

        Examples
        --------
        >>> track = Track(seconds=10.0)
        >>> track.take_past(np.array([1.0, 2.0]), np.array([0.1, 0.2]))
        >>> track.take_news([2.0, 3.0], [0.2, 0.3])
        >>> track.points()[1].tolist()
        [0.1, 0.2, 0.3]
        """
        times, values = self._told
        past, before = self._past
        if len(past):
            times, found = joined(past, {"": before}, times, {"": values})
            values = found[""]
        return self._recent(times, values)

    def _recent(self, times: Floats, values: Floats) -> tuple[Floats, Floats]:
        if not len(times):
            return times, values
        recent = times >= np.nanmax(times) - self._seconds
        return times[recent], values[recent]


class JobRows:
    """What there is to draw of a job.

    Parameters
    ----------
    name : str
        Its group.
    seconds : float
        How far back curves go.
    """

    def __init__(self, name: str, seconds: float) -> None:
        self.name, self._seconds = name, seconds
        self.units: dict[str, str] = {}
        self._tracks: dict[str, Track] = {}
        self._arrays: dict[str, NDArray[Any]] = {}
        self._heard: set[str] = set()
        self._in_file, self._last_time = -1, -np.inf

    def hear(self, job: JobPicture, labels: list[str]) -> None:
        """Take what the picture knows; quick, for who holds its lock."""
        time = -np.inf if job.last_time is None else job.last_time
        for label in labels:
            track = self._tracks.setdefault(label, Track(self._seconds))
            history, value = job.histories.pop(label, None), job.last.get(label)
            if history is not None:
                track.take_news(*history.points())
            elif label not in job.trends and time > self._last_time and _is_number(value):
                # One of so many columns that their histories are not kept.
                track.take_news([time], [float(value)])
            array = job.array(label)
            if array is not None:
                self._arrays[label] = np.asarray(array)
                self._heard.add(label)
        self._last_time = time

    def wants(self, in_file: int) -> bool:
        """Whether the files have other rows than at the last time."""
        return in_file != self._in_file

    def read(self, archive: Archive, in_file: int, labels: list[str]) -> None:
        """Read the files, in which there are so many rows; not under the lock."""
        # A file that is busy or being renamed is read at the next look.
        with suppress(H5daqError):
            columns, _ = archive.about(self.name)
            self.units = {column["label"]: column["unit"] for column in columns}
            arrays = {column["label"] for column in columns if column["shape"]}
            scalars = [label for label in labels if label not in arrays]
            self._take_past(archive.newest(self.name, scalars, MOST_ROWS, self._seconds))
            for label in arrays.intersection(labels).difference(self._heard):
                found = archive.newest(self.name, [label], 1)
                if len(found.get(label, ())):
                    self._arrays[label] = found[label][-1]
            self._in_file = in_file

    def _take_past(self, found: dict[str, NDArray[Any]]) -> None:
        for label in [label for label in found if label != "time"]:
            track = self._tracks.setdefault(label, Track(self._seconds))
            track.take_past(found["time"], real(found[label]))

    def curve(self, label: str, most: int) -> tuple[Floats, Floats]:
        """A scalar column over time, in at most about `most` points."""
        x, y = self._tracks[label].points() if label in self._tracks else (np.empty(0),) * 2
        thinned, ys = envelope(x, {"y": y}, most)
        return thinned, ys["y"]

    def array(self, label: str) -> Floats | None:
        """The newest row of an array column, if it is known."""
        found = self._arrays.get(label)
        return None if found is None else real(found)


def _is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float)
