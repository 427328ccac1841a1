"""Rows that the writer records itself: events, offsets of clocks.

They go the way of all rows (numbered, journaled, committed, into the files, announced), but come
from no worker: they stand below ``h5daq/``, where no job may be, and are no jobs in a status. Their
numbers go on from writer to writer, so that a restarted one needs to remember nothing.

``put`` is for any thread; ``flush``, for the thread that reads the sockets, has the rows journaled.
Those that the journal can't take wait here, and are counted as lost when they are too many.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from h5daq.errors import JobValueError
from h5daq.flow.batch import Batch
from h5daq.flow.buffer import RowBuffer
from h5daq.flow.names import OWN_GROUP, is_own
from h5daq.flow.schema import Column, Schema, check_group
from h5daq.flow.wire import encode, encode_rows
from h5daq.writer.intake import Intake

__all__ = ["OWN_INC", "OwnRows", "Series"]

log = logging.getLogger("h5daq.writer")

OWN_INC = 0
"""The incarnation under which the writer's own rows are numbered, whichever process it is."""

MOST_WAITING = 10_000
"""Rows of a series that wait for the journal at most."""


class Series:
    """The rows of one group. Made by `OwnRows.series`; its methods are for any thread.

    Parameters
    ----------
    group : str
        Below ``h5daq/``.
    schema : Schema
        Its columns.
    attrs : mapping
        Attributes of the group in the files.
    clock : callable
        Seconds since 1970-01-01 UTC.
    wake : callable
        Tells the thread that flushes that there is something.

    Attributes
    ----------
    lost : int
        Rows that could not be kept, since too many waited, and are not counted in the file yet.
    """

    def __init__(
        self,
        group: str,
        schema: Schema,
        attrs: Mapping[str, Any],
        clock: Callable[[], float],
        wake: Callable[[], None],
    ) -> None:
        self.group, self.schema, self.attrs = group, schema, dict(attrs)
        self.lost = 0
        self._clock, self._wake = clock, wake
        self._lock = threading.Lock()
        self._buffer = RowBuffer(schema, rows=16)
        self._ready: Batch | None = None

    def put(self, *values: Any, time: float | None = None) -> None:
        """Record a row, soon: it waits for nothing.

        Parameters
        ----------
        *values : object
            One per column, without the time.
        time : float, optional
            UTC seconds since 1970-01-01; by default now.

        Raises
        ------
        ReadingError
            If they are no row of these columns.
        """
        with self._lock:
            if self._buffer.n >= MOST_WAITING:
                self._lose()
                return
            self._buffer.append(self._clock() if time is None else time, list(values))
        self._wake()

    def _lose(self) -> None:
        if not self.lost:
            log.error("rows of %s are lost: the journal takes none, and too many wait", self.group)
        self.lost += 1

    def waiting(self) -> Batch | None:
        """The oldest rows, until `taken` says that they need wait no more."""
        # Asked for at each look at the sockets: who puts a row wakes that thread afterwards.
        if self._ready is None and not self._buffer.n:
            return None
        with self._lock:
            if self._ready is None:
                self._ready = self._buffer.take(self.group, OWN_INC, 0)
            return self._ready

    def taken(self) -> None:
        """The rows that `waiting` gave are journaled."""
        self._ready = None


class OwnRows:
    """All that a writer records itself.

    Parameters
    ----------
    intake : Intake
        Journals the rows.
    clock : callable
        Seconds since 1970-01-01 UTC.
    wake : callable
        Wakes the thread that flushes.

    Examples
    --------
    A series is declared once; its group appears in the file with its first row::

        offsets = own.series("h5daq/clocks/pi1", [Column("offset", np.dtype("f8"), unit="s")])
        offsets.put(0.0012)
    """

    def __init__(
        self, intake: Intake, clock: Callable[[], float], wake: Callable[[], None] = lambda: None
    ) -> None:
        self._intake, self._clock, self._wake = intake, clock, wake
        self._series: dict[str, Series] = {}

    def series(
        self, group: str, columns: Sequence[Column], attrs: Mapping[str, Any] | None = None
    ) -> Series:
        """The rows of a group; the same object when it is asked for again.

        Parameters
        ----------
        group : str
            Such as ``"h5daq/events"``.
        columns : sequence of Column
            Without ``time``, which is added.
        attrs : mapping, optional
            Attributes of the group.

        Raises
        ------
        JobValueError
            If the group is not below ``h5daq/``, or the columns can't be stored.
        """
        path = check_group(group)
        if not is_own(path) or path == OWN_GROUP:
            raise JobValueError(f"group {group!r}: the writer's own rows stand below {OWN_GROUP}/")
        if path not in self._series:
            schema = Schema.of(list(columns))
            self._series[path] = Series(path, schema, attrs or {}, self._clock, self._wake)
        return self._series[path]

    def flush(self) -> None:
        """Have what waits journaled, as far as the journal can take it and the run goes on."""
        for series in list(self._series.values()):
            while not self._intake.ledger.ended and (batch := series.waiting()) is not None:
                if not self._journal(series, batch):
                    return

    def _journal(self, series: Series, batch: Batch) -> bool:
        hello = encode(
            "hello", job=series.group, inc=OWN_INC, schema=series.schema.to_wire(),
            attrs=series.attrs, mode="trigger",
        )  # fmt: skip
        if not self._intake.take_own(hello):
            return False
        first = self._intake.ledger.jobs[series.group].next[OWN_INC]
        if not self._intake.take_own(encode_rows(replace(batch, first=first), series.schema)):
            return False
        series.taken()
        return self._say_lost(series)

    def _say_lost(self, series: Series) -> bool:
        """Have the lost rows counted, on top of what earlier writers have lost."""
        job = self._intake.ledger.jobs[series.group]
        lost = job.counts.get(OWN_INC, {}).get("overflow", 0) + series.lost
        counted = encode("status", job=series.group, inc=OWN_INC, counts={"overflow": lost})
        if series.lost and not self._intake.take_own(counted):
            return False
        series.lost = 0
        return True
