"""Where the rows of a job come from that a page wants to see: files, requests, signals.

Signals have the newest small values, a ``peek`` request the newest row with arrays of up to 8,192
elements, a ``glimpse`` one larger array, the files (where they are on this machine) everything up
to the last checkpoint. What one page asked for a moment ago is not asked for again for another.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any, NamedTuple

from numpy.typing import NDArray

from h5daq.errors import H5daqError, RequestError
from h5daq.flow.glimpse import read_glimpse
from h5daq.monitor.archive import Archive
from h5daq.monitor.feed import Feed
from h5daq.monitor.web.traces import Tracks

__all__ = ["Newest", "Sources"]

PEEK_SECONDS = 3.0

MOST_GLIMPSES = 32
"""Large arrays that are kept for other pages, of up to 2 MiB each."""


class Newest(NamedTuple):
    """The newest value of a column: its time (UTC seconds), and of an array also how it is shaped
    in the file, since of a large one elements may be left out here."""

    time: float
    value: Any
    whole: tuple[int, ...] | None = None


class Sources:
    """The rows of jobs.

    Parameters
    ----------
    feed : Feed
        The model of the system.
    tracks : Tracks
        The newest points of each job; under the feed's lock.
    archive : Archive or None
        The files, where they can be read.
    """

    def __init__(self, feed: Feed, tracks: Tracks, archive: Archive | None) -> None:
        self.feed, self.tracks, self.archive = feed, tracks, archive
        self._lock = threading.Lock()
        self._peeked: dict[str, tuple[int, Mapping[str, Any]]] = {}
        self._glimpsed: dict[tuple[str, str], tuple[int, Newest | None]] = {}

    def rows(self, job: str) -> int:
        """Committed rows of a job."""
        with self.feed.lock:
            known = self.feed.picture.jobs.get(job)
            return 0 if known is None else known.rows

    def in_file(self, job: str) -> int:
        """Its rows in the files."""
        with self.feed.lock:
            known = self.feed.picture.jobs.get(job)
            return 0 if known is None else known.in_file

    def newest(self, job: str, label: str) -> Newest | None:
        """A column in the newest row that can be had, or None."""
        with self.feed.lock:
            known = self.feed.picture.jobs.get(job)
            if known is not None and known.last_time is not None and label in known.last:
                return Newest(known.last_time, known.last[label])
        row = self.peek(job)
        if label in row:
            return Newest(float(row.get("time") or 0.0), row[label])
        if (seen := self.glimpse(job, label)) is not None:
            return seen
        last = self.last(job, [label], 1)
        return Newest(float(last["time"][-1]), last[label][-1]) if label in last else None

    def peek(self, job: str) -> Mapping[str, Any]:
        """The newest row without its largest arrays; empty if there is none."""
        rows = self.rows(job)
        with self._lock:
            known = self._peeked.get(job)
            if known is None or known[0] != rows:
                row = self.feed.connection.look.request("peek", timeout=PEEK_SECONDS, job=job) or {}
                known = self._peeked[job] = (rows, row)
        return known[1]

    def glimpse(self, job: str, label: str) -> Newest | None:
        """The newest value of a column of any size; of a very large one elements are left out."""
        rows = self.rows(job)
        with self._lock:
            known = self._glimpsed.pop((job, label), None)
            if known is None or known[0] != rows:
                known = rows, self._ask_glimpse(job, label)
            self._glimpsed[job, label] = known
            if len(self._glimpsed) > MOST_GLIMPSES:
                del self._glimpsed[next(iter(self._glimpsed))]
        return known[1]

    def _ask_glimpse(self, job: str, label: str) -> Newest | None:
        client = self.feed.connection.look
        try:
            told = client.request("glimpse", timeout=PEEK_SECONDS, job=job, column=label)
        except RequestError:
            return None  # a writer that knows nothing of glimpses
        return None if told is None else Newest(*read_glimpse(told))

    def last(
        self, job: str, labels: list[str], rows: int, seconds: float | None = None
    ) -> dict[str, NDArray[Any]]:
        """The last rows in the files; none where there are none, or they can't be read now."""
        if self.archive is None:
            return {}
        try:
            found = self.archive.newest(job, labels, rows, seconds)
        except H5daqError:
            return {}
        return found if found and len(found["time"]) else {}
