"""The times of a job: in order, and within the stretch that its file is of.

Rows that came after the file of their time was sealed are in a later file, before its start, and
the run counts them as late; so as many may go back as were counted. A clock that is set back in
mid-file makes times go back as well, and no file can tell that from rows that were swapped: it is
a warning, not an error.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from h5daq.files.times import as_seconds, iso
from h5daq.files.verify.report import WARNING
from h5daq.files.verify.telling import Limited

__all__ = ["Span", "TimeCheck"]

_CLOCK = "look whether a clock was set, or times come from the instrument; else rows are misplaced"


@dataclass(frozen=True, slots=True)
class Span:
    """The stretch of time that a file is of.

    Attributes
    ----------
    start, end : float or None
        UTC seconds; None where that isn't known, or is no limit: a file that is being recorded,
        and the last of a run, just end when they end.
    late : int
        Rows before `start` that the run knows of.
    """

    start: float | None
    end: float | None
    late: int


class TimeCheck:
    """Takes the times of one job block by block.

    Parameters
    ----------
    path : str
        The dataset.
    span : Span
        What its file is of.
    limited : Limited
        Told what is wrong.
    """

    def __init__(self, path: str, span: Span, limited: Limited) -> None:
        self._path, self._span, self._limited = path, span, limited
        self._row = 0
        self._last: float | None = None
        self._early = self._after = self._back = self._nan = 0
        self._worst = self._furthest = 0.0

    def take(self, values: NDArray[Any]) -> None:
        """Take the next rows."""
        times = as_seconds(values)
        good = np.isfinite(times)
        self._nan += int(np.count_nonzero(~good))
        early = np.zeros(len(times), bool)
        if self._span.start is not None:
            early = good & (times < self._span.start)
        self._early += int(np.count_nonzero(early))
        self._take_end(times[good])
        # Rows that are known to be late may stand anywhere; the others must be in order.
        ordered = good & ~early if self._span.late else good
        self._take_order(times[ordered], np.flatnonzero(ordered) + self._row)
        self._row += len(times)

    def _take_end(self, times: NDArray[np.float64]) -> None:
        end = self._span.end
        if end is None or not len(times):
            return
        self._after += int(np.count_nonzero(times >= end))
        self._furthest = max(self._furthest, float(times.max() - end))

    def _take_order(self, times: NDArray[np.float64], rows: NDArray[np.int64]) -> None:
        if not len(times):
            return
        before = times[0] if self._last is None else self._last
        steps = np.diff(times, prepend=before)
        for at in np.flatnonzero(steps < 0):
            self._back += 1
            self._worst = min(self._worst, float(steps[at]))
            if self._back == 1:
                self._first_back = int(rows[at]), float(times[at])
        self._last = float(times[-1])

    def finish(self) -> None:
        """Tell what is wrong with all of them."""
        if self._back:
            row, time = self._first_back
            text = (
                f"times go back {_times(self._back)}, by up to {-self._worst:g} s; "
                f"first at row {row:,} ({iso(time)})"
            )
            self._add("order", text)
        if self._early > self._span.late:
            text = f"{self._early:,} rows are older than the file's start ({iso(self._span.start)})"
            self._add("early", f"{text}, and {self._span.late:,} were counted as late")
        if self._after:
            text = f"{self._after:,} rows are not before the file's end ({iso(self._span.end)})"
            self._add("after", f"{text}, by up to {self._furthest:.6g} s")
        if self._nan:
            self._add("nan", f"{self._nan:,} rows have no time (NaN or infinite)")

    def _add(self, kind: str, text: str) -> None:
        self._limited.add(WARNING, f"time-{kind}", text, self._path, _CLOCK)


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count:,} times"
