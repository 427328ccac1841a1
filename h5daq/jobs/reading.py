"""One reading of a job: the getter is called, and what it gives goes to the collector.

There are three kinds, chosen by the job: one row (`SingleReading`), many rows at once
(`ExtendReading`), and as many rows as come in one batch interval (`FillReading`, for getters that
are read without pause). `h5daq.jobs.extern` has a fourth, the lines of a command.

The time of a row is taken just before the getter is called, unless the getter gives it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from h5daq.flow.schema import Schema
from h5daq.jobs.collector import Collector, is_nothing
from h5daq.jobs.getter import Getter

if TYPE_CHECKING:
    from h5daq.jobs.job import DAQJob

__all__ = ["ExtendReading", "FillReading", "Reading", "SingleReading", "clock_of", "reading_of"]

Clock = Callable[[], float]
"""Time in the unit of a job's ``time`` column, since 1970-01-01 UTC."""


class Reading(Protocol):
    """What a worker does again and again."""

    def __call__(self, collector: Collector) -> bool:
        """Read once; False if there was nothing to take."""
        ...

    def pause(self) -> None:
        """No reading will be taken for some time."""
        ...

    def interrupt(self) -> None:
        """Make a reading that is under way return soon; from any thread."""
        ...

    def close(self) -> None:
        """No reading will be taken any more."""
        ...


def clock_of(schema: Schema) -> Clock:
    """The clock for a job's ``time``: seconds as float, or whole nanoseconds."""
    return time.time_ns if schema.columns[0].dtype.kind == "i" else time.time


class _GetterReading:
    """What readings that call a getter have in common."""

    def __init__(self, job: DAQJob) -> None:
        self._getter = Getter(job.group, job.getter, job.getter_args)
        self._clock = clock_of(job.schema)
        self._timed = job.provide_time

    def pause(self) -> None:
        """A getter that isn't called is paused."""

    def interrupt(self) -> None:
        """Ask the getter, if it knows how."""
        self._getter.interrupt()

    def close(self) -> None:
        """Close what was built."""
        self._getter.close()


class SingleReading(_GetterReading):
    """One row."""

    def __call__(self, collector: Collector) -> bool:
        """Call the getter once."""
        t = None if self._timed else self._clock()
        return collector.row(t, self._getter.call())


class ExtendReading(_GetterReading):
    """A list of arrays with a common first length, time first."""

    def __call__(self, collector: Collector) -> bool:
        """Call the getter once."""
        columns = self._getter.call()
        return not is_nothing(columns) and collector.rows(columns) > 0


class FillReading(_GetterReading):
    """All rows of one batch interval."""

    def __call__(self, collector: Collector) -> bool:
        """Call the getter until the batch is full or old enough."""
        now = self._clock()
        interval = collector.interval if isinstance(now, float) else round(collector.interval * 1e9)
        return collector.fill(self._getter.call, self._clock, now + interval, self._timed)


def reading_of(job: DAQJob, *, once: bool = False) -> Reading:
    """The kind of reading that a job asks for; with `once` never more than one row."""
    if job.extend_mode:
        return ExtendReading(job)
    if job.read_mode == "constant" and not job.compress and not once:
        return FillReading(job)
    return SingleReading(job)
