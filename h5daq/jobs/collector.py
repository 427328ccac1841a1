"""Where readings go: rows are folded, collected into a batch, numbered and shipped.

A batch is shipped when it is full, or when its oldest row would be older than the batch interval
at the next chance to look: so a slow job's row leaves at once, and a fast one's by the dozen.

A lock guards the rows, for the I/O thread takes what has grown old while a getter hangs. It is
not held while a getter runs, except by `fill`, which returns within a batch interval.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from h5daq.errors import ReadingError
from h5daq.flow.batch import Batch
from h5daq.flow.buffer import RowBuffer, usual_rows
from h5daq.flow.fold import Fold
from h5daq.flow.toll import Count
from h5daq.jobs.tally import Tally

if TYPE_CHECKING:
    from h5daq.jobs.job import DAQJob

__all__ = ["Collector", "Ship", "is_nothing"]

Ship = Callable[[Batch], bool]
"""Takes a batch; False if its rows were refused, so that their numbers are free again."""


class Collector:
    """The rows of one incarnation of a job, on their way to the sender.

    Parameters
    ----------
    job : DAQJob
        Which columns, whether to fold.
    inc : int
        Incarnation of the worker.
    ship : callable
        Takes each batch.
    tally : Tally
        Counts the readings that failed beside others that were kept.
    batch_interval : float, optional
        Seconds that a row may wait for others; by default the job's.
    copy : bool, optional
        With False the columns of a batch are good until `ship` returns, and no longer.
    count : Count, optional
        Counts each row as soon as it is held.

    Attributes
    ----------
    taken : int
        Rows taken so far, folded ones included.
    """

    def __init__(
        self,
        job: DAQJob,
        inc: int,
        ship: Ship,
        tally: Tally,
        batch_interval: float | None = None,
        *,
        copy: bool = True,
        count: Count | None = None,
    ) -> None:
        self._copy = copy
        self.taken = 0
        self._count = count or Count()
        self.interval = job.batch_interval if batch_interval is None else batch_interval
        self._job, self._inc, self._next = job.group, inc, 0
        rows = job.initial_buffer_length or usual_rows(job.schema.row_bytes)
        self._buffer = RowBuffer(job.schema, rows=rows, max_age=self.interval)
        self._fold = Fold(job.schema) if job.compress else None
        self._ship, self._tally = ship, tally
        self._lock = threading.Lock()

    def row(self, t: float | None, result: Any) -> bool:
        """Take what a getter returned; False if there was nothing to take.

        Raises
        ------
        ReadingError
            If it is no row of this job; nothing of it is kept.
        """
        with self._lock:
            if self._fold is not None:
                took = self._folded(t, result)
            elif took := self._buffer.append(t, result):
                self._count.add(1)
        self.taken += took
        return took

    def rows(self, columns: Sequence[Any]) -> int:
        """Take many rows at once, time first; their number."""
        with self._lock:
            n = self._buffer.extend(columns)
            self._count.add(n)
        self.taken += n
        return n

    def fill(self, getter: Callable[[], Any], clock: Callable[[], Any], until: Any,
             timed: bool) -> bool:  # fmt: skip
        """Call a fast getter until the batch is full or `until` has come.

        Returns False if it ended because the getter had nothing to say.
        """
        with self._lock:
            before = self._buffer.n
            try:
                return self._buffer.fill(getter, clock, until, timed=timed, count=self._count)
            finally:
                self.taken += self._buffer.n - before

    def failed(self, error: ReadingError) -> None:
        """One row of a reading was bad; the others are kept."""
        self._tally.failed(error)

    def settle(self, now: float, next_chance: float) -> None:
        """Ship if the rows can't wait for `next_chance`, the next time that this is called."""
        # Rather a little early than a whole round late.
        limit = next_chance + self.interval / 8
        with self._lock:
            if self._buffer.ripe(now, limit):
                self._ship_all()

    def patience(self, now: float) -> float | None:
        """Seconds for which rows may wait, once `settle` has seen them; None without rows."""
        due = self._buffer.next_due()
        return None if due is None else max(0.0, due - now)

    def expire(self, now: float) -> None:
        """Ship rows that have waited too long; also from another thread, while a getter hangs."""
        if self._lock.acquire(blocking=False):
            try:
                if self._buffer.due(now):
                    self._ship_all()
            finally:
                self._lock.release()

    def flush(self, *, release: bool = False, wait: bool = True) -> None:
        """Ship all rows; with `release` also the one that is held back for folding.

        Without `wait` nothing is done while a getter that hangs is filling a batch.
        """
        if not self._lock.acquire(blocking=wait):
            return
        try:
            if release and self._fold is not None:
                self._append_all(self._fold.release())
            self._ship_all()
        finally:
            self._lock.release()

    def _folded(self, t: float | None, result: Any) -> bool:
        assert self._fold is not None
        self._append_all(self._fold.offer(t, result))
        return not is_nothing(result)

    def _append_all(self, rows: Sequence[tuple[Any, Any]]) -> None:
        for t, entries in rows:
            self._append(t, entries)

    def _append(self, t: float | None, result: Any) -> bool:
        took = self._buffer.append(t, result)
        if took:
            self._count.add(1)
        return took

    def _ship_all(self) -> None:
        take = self._buffer.take
        while (batch := take(self._job, self._inc, self._next, copy=self._copy)) is not None:
            if self._ship(batch):
                self._next = batch.end
            if not self._buffer.n:
                break


def is_nothing(result: Any) -> bool:
    """Whether a getter had nothing to say: None, or an empty list, tuple or array."""
    if isinstance(result, np.ndarray):
        return result.ndim > 0 and len(result) == 0
    return result is None or (isinstance(result, list | tuple) and not result)
