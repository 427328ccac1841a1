"""Where the rows of a job come from that a page wants to see: files, requests, signals.

Signals have the newest small values, a ``peek`` request the newest row with arrays of up to 8,192
elements, the files (where they are on this machine) everything up to the last checkpoint. What one
page asked for a moment ago is not asked for again for another.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any, Protocol

from numpy.typing import NDArray

from h5daq.errors import H5daqError
from h5daq.monitor.web.connection import Connection
from h5daq.monitor.web.feed import Feed

__all__ = ["Archive", "Sources"]

PEEK_SECONDS = 3.0


class Archive(Protocol):
    """The run's files, as `h5daq.files.recent.Recent` reads them."""

    def attrs(self) -> dict[str, Any]:
        """Attributes of the run."""
        ...

    def about(self, job: str) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        """Columns and attributes of a job."""
        ...

    def newest(
        self, job: str, labels: list[str], rows: int, seconds: float | None = None
    ) -> dict[str, NDArray[Any]]:
        """The last rows of some columns, with ``time``."""
        ...


class Sources:
    """The rows of jobs.

    Parameters
    ----------
    feed : Feed
        The model of the system.
    connection : Connection
        For peeks.
    archive : Archive or None
        The files, where they can be read.
    """

    def __init__(self, feed: Feed, connection: Connection, archive: Archive | None) -> None:
        self.feed, self.archive = feed, archive
        self._connection = connection
        self._lock = threading.Lock()
        self._peeked: dict[str, tuple[int, Mapping[str, Any]]] = {}

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

    def newest(self, job: str, label: str) -> tuple[float, Any] | None:
        """Time and value of a column in the newest row that can be had, or None."""
        with self.feed.lock:
            known = self.feed.picture.jobs.get(job)
            if known is not None and known.last_time is not None and label in known.last:
                return known.last_time, known.last[label]
        row = self.peek(job)
        if label in row:
            return float(row.get("time") or 0.0), row[label]
        last = self.last(job, [label], 1)
        return (float(last["time"][-1]), last[label][-1]) if label in last else None

    def peek(self, job: str) -> Mapping[str, Any]:
        """The newest row without its largest arrays; empty if there is none."""
        rows = self.rows(job)
        with self._lock:
            known = self._peeked.get(job)
            if known is None or known[0] != rows:
                row = self._connection.look.request("peek", timeout=PEEK_SECONDS, job=job) or {}
                known = self._peeked[job] = (rows, row)
        return known[1]

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
