"""The loop that a worker's main thread runs, and the single reading of a job at a prompt.

`Reader` waits for the next deadline or order, takes one reading, and sees to it that a failure
costs that reading and nothing else: it is counted by cause, told, and the loop goes on. Threads
that watch it may ask since when the getter has been running.
"""

from __future__ import annotations

import contextlib
import logging
import time
import traceback
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from h5daq.errors import ReadingError
from h5daq.flow.batch import Batch, ColumnData
from h5daq.jobs.collector import Collector
from h5daq.jobs.locks import HostLock
from h5daq.jobs.orders import Orders
from h5daq.jobs.pulse import Pulse
from h5daq.jobs.reading import Reading
from h5daq.jobs.schedule import Constant, OnTrigger, Pace, Schedule
from h5daq.jobs.tally import Failure, Tally

if TYPE_CHECKING:
    from h5daq.jobs.job import DAQJob

__all__ = ["Reader", "pace_of", "read_once"]

log = logging.getLogger("h5daq.jobs")

_LOCK_SLICE = 0.2
"""Seconds between two looks at the orders while waiting for the lock of a ``thread_id``."""


def pace_of(job: DAQJob, now: float, wall: float) -> Pace:
    """The pace that a job's read mode asks for."""
    if job.read_mode == "schedule":
        return Schedule(job.read_period, now, align=job.align, wall=wall, overrun=job.overrun)
    return Constant(job.constant_read_error_delay) if job.read_mode == "constant" else OnTrigger()


class Reader:
    """Reads a job until it is told to stop.

    Parameters
    ----------
    job : DAQJob
        What to read.
    reading : Reading
        How; built by the caller, who closes it.
    collector : Collector
        Where rows go.
    tally : Tally
        Where failures are counted.
    orders : Orders
        What it is told.
    pulse : Pulse, optional
        Where it is marked that a reading is under way.
    clock, wall : callable
        Monotonic seconds, and seconds since 1970-01-01 UTC.

    Attributes
    ----------
    resting : bool
        Whether it is paused, and the last row before the pause was shipped.
    """

    def __init__(
        self,
        job: DAQJob,
        reading: Reading,
        collector: Collector,
        tally: Tally,
        orders: Orders,
        *,
        pulse: Pulse | None = None,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.resting = False
        self._pulse = pulse or Pulse()
        self._job, self._reading = job, reading
        self._collector, self._tally, self._orders = collector, tally, orders
        self._clock, self._wall = clock, wall
        self.pace = pace_of(job, clock(), wall())
        self._lock = None if job.thread_id is None else HostLock(job.thread_id)
        self._read_alone = reading if self._lock is None else self._read_in_turn

    @property
    def busy_since(self) -> float | None:
        """When the reading under way began, in monotonic seconds."""
        return self._pulse.busy_since

    def run(self) -> None:
        """Until the orders say stop; then the last rows are shipped."""
        while not self._orders.stopped:
            self.step()
        # Whoever asks for a reading and then for the end gets both.
        while self._job.read_mode == "trigger" and self._orders.triggered():
            self._trigger()
        self._collector.flush(release=True)
        if self._lock is not None:
            self._lock.close()

    def step(self) -> None:
        """Wait for what is next, or do it."""
        if self._orders.fresh and self._obey():
            return
        now = self._clock()
        if (wait := self.pace.due - now) > 0:
            self._orders.wait(wait)
        else:
            self._keep_deadline(now)

    def _obey(self) -> bool:
        """Whether there was something to do."""
        orders = self._orders
        orders.fresh = False
        if orders.released():
            self._collector.flush(release=True)
        if orders.paused:
            self._rest()
        elif orders.triggered():
            orders.fresh = True
            self._trigger()
        else:
            return orders.stopped
        return True

    def _keep_deadline(self, begun: float) -> None:
        pace = self.pace
        pace.begin(begun)
        good = self._read(begun)
        now = self._clock()
        pace.done(now, good, self._wall())
        # The next look at the rows comes when the next reading is over.
        self._collector.settle(now, max(now, pace.due) + (now - begun))

    def _trigger(self) -> None:
        if self._job.read_mode == "constant":
            log.warning("job %s: a trigger has no effect in constant mode", self._job.group)
            return
        self._read(self._clock())
        self._collector.flush()

    def let_go(self) -> None:
        """In a child of the worker: hold nothing that others wait for."""
        if self._lock is not None:
            self._lock.let_go()

    def _rest(self) -> None:
        self._collector.flush(release=True)
        self._reading.pause()
        self.resting = True
        while self._orders.paused and not self._orders.stopped:
            self._orders.wait(3600.0)
        self.resting = False
        self.pace.restart(self._clock())

    # -- one reading -------------------------------------------------------------------------

    def _read(self, now: float) -> bool:
        """Whether the reading gave something."""
        collector, failure = self._collector, None
        taken, result = collector.taken, False
        self._pulse.begin(now)
        try:
            result = self._read_alone(collector)
        except ReadingError as error:
            failure = error
        except BaseException as error:  # noqa: BLE001 - the user's code may raise anything
            failure = ReadingError(_one_line(error), "getter")
        self._pulse.end()
        if failure is not None:
            self._tally.failed(failure)
            # Its traceback holds this frame, which must not hold it in turn.
            failure = None
        elif self._tally.streak and collector.taken > taken:
            self._tally.good()
        return result

    def _read_in_turn(self, collector: Collector) -> bool:
        assert self._lock is not None
        with self._turn(self._lock):
            return self._reading(collector)

    @contextlib.contextmanager
    def _turn(self, lock: HostLock) -> Iterator[None]:
        deadline = self._clock() + self._job.lock_timeout
        while not lock.acquire(min(_LOCK_SLICE, max(0.0, deadline - self._clock()))):
            if self._clock() >= deadline or self._orders.stopped:
                raise ReadingError(
                    f"another job with thread_id {self._job.thread_id!r} was being read for "
                    f"{self._job.lock_timeout:g} s",
                    "lock",
                )
            # Who waits for its turn does not hang.
            self._pulse.begin(self._clock())
        try:
            yield
        finally:
            lock.release()


def _one_line(error: BaseException) -> str:
    """An error of the user's code, and the line where it was raised."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f" ({frames[-1].filename}:{frames[-1].lineno})" if frames else ""
    said = f": {error}" if str(error) else ""
    return f"{type(error).__name__}{said}{where}"


# -- at a prompt ----------------------------------------------------------------------------------


def read_once(job: DAQJob, reading: Reading) -> dict[str, Any]:
    """One checked row of a job, or several in extend mode, by label; empty if skipped."""
    batches: list[Batch] = []
    failures: list[Failure] = []

    def keep(batch: Batch) -> bool:
        batches.append(batch)
        return True

    collector = Collector(job, 0, keep, Tally(1, failures.append))
    try:
        reading(collector)
    finally:
        reading.close()
    collector.flush(release=True)
    if failures:
        raise ReadingError(failures[0].text)
    many = job.extend_mode
    return {} if not batches else {
        column.label: _values([batch.columns[k] for batch in batches], many)
        for k, column in enumerate(job.schema.columns)
    }  # fmt: skip


def _values(parts: list[ColumnData], many: bool) -> Any:
    if isinstance(parts[0], list):
        texts = [text for part in parts for text in part]
        return texts if many else texts[-1]
    values = np.concatenate(parts)
    if many:
        return values
    last = values[-1]
    return last.item() if isinstance(last, np.generic) else last
