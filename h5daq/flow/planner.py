"""When a file ends and which comes next: the decisions that need a clock and fresh ids.

`Planner` looks at a ledger and at `now` (seconds since 1970-01-01 UTC) and answers with records.
The writer journals each record before it acts on it; from then on the record alone counts.

A new file begins when a row asks for it, never by the clock alone, so that a period without rows
leaves no file and the chain of ids has no gaps. The clock seals: once a file's end is past by
``grace`` seconds, jobs that have not crossed by themselves are moved on. A clock that is set back
opens no file: rows stay in the newest one, as late, until the clock is there again or it is full.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from h5daq.flow.ledger import Ledger
from h5daq.flow.names import is_own
from h5daq.flow.records import FileRecord, SealRecord
from h5daq.flow.rollover import Calendar, file_name
from h5daq.flow.states import FileState

__all__ = ["Planner"]

_AHEAD = 5.0
"""A host's clock may be this many seconds ahead of the writer's and still open a new file."""

_LEAST = 0.001
"""Seconds between the starts of two files at least, as their names have milliseconds."""

_MANY_PERIODS = 10_000
"""A gap of more periods than this (a clock that was set) isn't counted through one by one."""


@dataclass(frozen=True, slots=True)
class Planner:
    """The rules of a run's rollover.

    Parameters
    ----------
    calendar : Calendar
        Where files end by time.
    file_format : str
        Name of a file, with ``{date_from}`` and ``{date_to}``.
    size : int
        Payload bytes after which a file ends (0: no limit).
    grace : float
        Seconds after a file's end until the jobs that still write to it are moved on.
    new_id : callable
        Gives a fresh random 64-bit id.
    """

    calendar: Calendar
    file_format: str
    size: int
    grace: float
    new_id: Callable[[], int]

    def first(self, start: float) -> FileRecord:
        """The file that opens a run."""
        return self._file(self.new_id(), 0, start, self.calendar.first_end(start), "start")

    def before_rows(self, ledger: Ledger, newest: float, now: float) -> FileRecord | None:
        """The file that must begin before rows up to time `newest` are taken, if any."""
        if not ledger.files:
            return self._after_gap(ledger, newest, now)
        last = ledger.files[-1]
        if newest >= last.end and now >= last.end - _AHEAD:
            start, end = self._period(last.end, min(newest, now + _AHEAD))
            return self._next(last, start, end, "calendar")
        return self._when_full(last, now) if self.size and last.bytes >= self.size else None

    def _when_full(self, last: FileState, now: float) -> FileRecord | None:
        if last.start < now < last.end:
            return self._next(last, now, last.end, "size")
        if now >= last.end or last.start + _LEAST >= last.end:
            # Older rows are still coming in; the next one of now begins a file anyway.
            return None
        # The clock was set back, perhaps by years: no row would cross by its time.
        return self._next(last, last.start + _LEAST, last.end, "size", cross_all=True)

    def on_schema_change(self, ledger: Ledger, now: float) -> FileRecord | None:
        """The file that all jobs cross to at once, as one of them has other columns from now on."""
        if not any(file.rows for file in ledger.files):
            return None
        last = ledger.files[-1]
        start = max(now, last.start + _LEAST)
        start, end = (start, last.end) if start < last.end else self._period(last.end, start)
        return self._next(last, start, end, "schema", cross_all=True)

    def to_seal(self, ledger: Ledger, now: float) -> SealRecord | None:
        """The seal of the oldest file, when nobody needs it any more."""
        if not ledger.files or not ledger.files[0].begun:
            return None
        oldest, *later = ledger.files
        end = later[0].start if later else oldest.end
        following = later[0].id if later else oldest.following
        # What the writer records itself is rare, and moves on with its next row.
        jobs = [job for job in ledger.jobs.values() if not is_own(job.job)]
        crossed = bool(later) and all(job.file != oldest.id for job in jobs)
        if crossed or now >= end + self.grace:
            return SealRecord(oldest.id, end, following)
        return None

    def _after_gap(self, ledger: Ledger, newest: float, now: float) -> FileRecord | None:
        if ledger.ended:
            return None
        start, end = self._period(ledger.last_end, max(ledger.last_end, min(newest, now)))
        file_id = ledger.last_following or self.new_id()
        return self._file(file_id, ledger.last_file, start, end, "calendar")

    def _period(self, end: float, time: float) -> tuple[float, float]:
        """The period of the calendar, counted on from `end`, that `time` falls in."""
        start, end = end, self.calendar.next_end(end)
        if time - start > _MANY_PERIODS * (end - start):
            return time, self.calendar.first_end(time)
        while time >= end:
            start, end = end, self.calendar.next_end(end)
        return start, end

    def _next(
        self, last: FileState, start: float, end: float, reason: str, *, cross_all: bool = False
    ) -> FileRecord:
        if last.begun:
            return self._file(last.following, last.id, start, end, reason, cross_all=cross_all)
        return self._file(last.id, last.previous, start, end, reason, cross_all=cross_all)

    def _file(
        self,
        file_id: int,
        previous: int,
        start: float,
        end: float,
        reason: str,
        *,
        cross_all: bool = False,
    ) -> FileRecord:
        name = file_name(self.file_format, start, end)
        following = self.new_id()
        return FileRecord(file_id, previous, following, start, end, name, reason, cross_all)
