"""Rows in, a `Batch` out: when enough rows are there, or the oldest is old enough.

A `RowBuffer` is filled by one thread, row by row (`append`), in a tight loop (`fill`, constant
mode) or with many rows at once (`extend`). A row that does not fit raises a `ReadingError` and
leaves no trace: there is never half a row. Rows leave as batches with `take`.

A worker's loop::

    buffer.append(time(), getter())
    if buffer.full or buffer.due(monotonic()):
        while (batch := buffer.take(job, inc, first)) is not None:
            send(encode_rows(batch, schema))
            first = batch.end
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from h5daq.flow.batch import Batch
from h5daq.flow.block import Block
from h5daq.flow.rows import MAX_TEXT_BYTES, check_columns, text_bytes
from h5daq.flow.schema import Schema
from h5daq.flow.store import Store
from h5daq.flow.toll import Count

__all__ = ["MAX_BATCH_BYTES", "RowBuffer", "usual_rows"]

MAX_BATCH_BYTES = 16 * 1024 * 1024
"""A batch of more than one row has at most this many bytes of numbers."""

_USUAL_BYTES, _ROWS_TOGETHER, _LARGE_BYTES = 1 << 20, 4, 5 << 20

_BULK_BYTES = 16 << 10
"""Values of so many bytes are stored into new memory as fast as into that which was just used."""


def usual_rows(row_bytes: int) -> int:
    """Rows of a full batch: 1 MiB, and of large rows up to four in 5 MiB.

    A message for each large row costs worker and writer more than it costs the row to wait for
    three others, which it does only where they come at once.

    >>> usual_rows(64), usual_rows(1 << 20), usual_rows(4 << 20)
    (16384, 4, 1)
    """
    together = min(_ROWS_TOGETHER, _LARGE_BYTES // row_bytes)
    return max(1, _USUAL_BYTES // row_bytes, together)


class RowBuffer:
    """Holds the rows of one job until they leave as a batch.

    Parameters
    ----------
    schema : Schema
        Of the job.
    rows : int, optional
        Rows at which it is full; by default as many as `max_bytes` holds.
    max_age : float
        Seconds that the oldest row may wait.
    max_bytes : int
        Bytes at which it is full.
    """

    def __init__(
        self,
        schema: Schema,
        *,
        rows: int | None = None,
        max_age: float = 0.02,
        max_bytes: int = 1 << 20,
    ) -> None:
        fitting = max(1, max_bytes // schema.row_bytes)
        self.schema = schema
        self.rows = fitting if rows is None else max(1, rows)
        self.max_age = max_age
        self._max_bytes = max_bytes
        self._most = max(1, MAX_BATCH_BYTES // schema.row_bytes)
        # What comes value by value is better copied to where its message is than put there.
        self._in_bulk = schema.row_bytes >= _BULK_BYTES * len(schema.columns)
        self._seen: float | None = None
        self._store = Store(schema, max_bytes)

    # -- state -----------------------------------------------------------------------------

    @property
    def n(self) -> int:
        """Rows held."""
        return self._store.end - self._store.start

    @property
    def full(self) -> bool:
        """Whether the rows should leave now, whatever their age."""
        return self.n >= self.rows or self._store.text_size >= self._max_bytes

    def due(self, now: float) -> bool:
        """Whether the rows have waited for `max_age`.

        `now` is monotonic seconds. The wait begins with the first call that finds rows, so call
        it after each append.
        """
        if not self.n:
            return False
        if self._seen is None:
            self._seen = now
        return now - self._seen >= self.max_age

    def ripe(self, now: float, limit: float) -> bool:
        """Whether the rows should leave now: full, or too old at `limit`, the next chance."""
        store = self._store
        n = store.end - store.start
        if not n:
            return False
        if self._seen is None:
            self._seen = now
        old = limit - self._seen >= self.max_age or now - self._seen >= self.max_age
        return old or n >= self.rows or store.text_size >= self._max_bytes

    def next_due(self) -> float | None:
        """When `due` becomes true, in monotonic seconds; None while no rows are known to wait."""
        return None if self._seen is None else self._seen + self.max_age

    # -- rows in ---------------------------------------------------------------------------

    def append(self, t: float | None, result: Any) -> bool:
        """Take one row. A full buffer takes it too, by growing.

        Parameters
        ----------
        t : float or int or None
            Its time in the unit of the ``time`` column: seconds, or whole nanoseconds. None when
            the first entry of `result` is the time.
        result : sequence
            What the getter returned: one entry per label; with one label the bare value will do.

        Returns
        -------
        bool
            False when there was nothing to take: None or an empty list.

        Raises
        ------
        ReadingError
            With the cause ``"count"``, ``"shape"``, ``"value"``, ``"time"`` or ``"size"``; the
            buffer is as it was.
        """
        if self._store.end == self._store.capacity:
            self._make_room(1)
        return self._store.put(t, result)

    def fill(
        self,
        getter: Callable[[], Any],
        clock: Callable[[], float],
        until: float,
        *,
        timed: bool = False,
        count: Count | None = None,
    ) -> bool:
        """Call `getter` again and again until the buffer is full or `until` has come.

        Parameters
        ----------
        getter : callable
            Returns what `append` takes.
        clock : callable
            Gives the time of each row, just before the getter is called.
        until : float or int
            When to end, in the clock's unit. A clock that is set back ends it too.
        timed : bool
            The getter's first entry is the time; the clock then only says when to end.
        count : Count, optional
            Counts each row as soon as it is held.

        Returns
        -------
        bool
            False if it ended because the getter had nothing to say (None or an empty list).

        Raises
        ------
        ReadingError
            As `append`. Whatever is raised, also by the getter, the rows before it are held.
        """
        self._make_room(self.rows - self.n)
        loop = self._store.fill_timed if timed else self._store.fill
        # More may be there than it takes to be full.
        stop = self._store.start + max(self.n, self.rows)
        return loop(stop, getter, clock, clock(), until, count or Count())

    def extend(self, columns: Sequence[Any]) -> int:
        """Take many rows at once.

        Parameters
        ----------
        columns : sequence of array_like
            ``time`` first, then one per label, all with the same first length.

        Returns
        -------
        int
            Rows taken.

        Raises
        ------
        ReadingError
            As `append`; then none of the rows is taken.
        """
        checked, n = check_columns(self.schema, columns)
        if not n:
            return 0
        self._in_bulk = True
        self._make_room(n)
        start, end = self._store.end, self._store.end + n
        for column, values in zip(self._store.columns, checked, strict=True):
            column[start:end] = values
        self._store.end = end
        self._store.text_size += sum(
            text_bytes(text) for values in checked if isinstance(values, list) for text in values
        )
        return n

    def _make_room(self, n: int) -> None:
        if self._store.end + n > self._store.capacity:
            self._store.allocate(max(self.n + n, 2 * self.n, self.rows))

    # -- rows out --------------------------------------------------------------------------

    def take(self, job: str, inc: int, first: int, *, copy: bool = True) -> Batch | None:
        """The oldest rows as one batch; None when none are held.

        That is all of them, unless more came at once than a batch may hold (`MAX_BATCH_BYTES`):
        so call it until it gives None.

        Parameters
        ----------
        job : str
            Group of the job.
        inc : int
            Incarnation of the worker.
        first : int
            Number of the first row.
        copy : bool
            With False the columns are views of the buffer, good until its next row. Columns that
            are full of large values are copied in no case: the batch gets their block, and the
            next row another one.
        """
        store = self._store
        n = store.end - store.start
        if n > self._most or store.text_size > MAX_TEXT_BYTES:
            n = min(n, self._most_rows())
        if not n:
            return None
        columns, block = store.held(n), store.whole(n) if self._in_bulk else None
        if copy and block is None:
            columns = tuple(column.copy() for column in columns)
        self._leave(n, block)
        return Batch(job, inc, first, n, columns, block)

    def _most_rows(self) -> int:
        if self._store.text_size <= MAX_TEXT_BYTES:
            return self._most
        texts = [column for column in self._store.held() if isinstance(column, list)]
        sizes = np.cumsum([sum(map(text_bytes, row)) for row in zip(*texts, strict=True)])
        return max(1, min(self._most, int(np.searchsorted(sizes, MAX_TEXT_BYTES, "right"))))

    def _leave(self, n: int, block: Block | None) -> None:
        self._store.drop(n)
        if self.n:
            return
        self._seen = None
        # A block is the batch's now; and what more rows at once have needed isn't kept.
        if block is not None or self._store.capacity > self.rows:
            self._store.release()
