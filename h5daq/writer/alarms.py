"""The thread that watches: committed values, and once a second jobs and the disk.

It stands beside the run and never in its way. The committer hands over batches of watched columns
and goes on; when too many wait, some are passed over, counted and said. Each change of level is
published, recorded as an event, and handed to those who want to be told (`h5daq.writer.tellers`).
Should the thread fail, the run goes on without it, and says so.
"""

from __future__ import annotations

import logging
import math
import shutil
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from h5daq.flow.alarm_options import AlarmOptions
from h5daq.flow.alarms import Alarms
from h5daq.flow.batch import Batch
from h5daq.flow.limits import greatest, least
from h5daq.flow.schema import Schema
from h5daq.flow.watched import Change, Disk, Key, Seen
from h5daq.writer.events import EventLog, plain_text

__all__ = ["AlarmWatch", "Teller"]

log = logging.getLogger("h5daq.writer")

MOST_WAITING_BYTES = 64 << 20
"""Batches that wait to be looked at; beyond it, looks are passed over."""

_REAL_KINDS = "biuf"

Told = dict[str, Any]
"""An alarm as it is published; see PROTOCOL.md."""


class Teller(Protocol):
    """Someone who is told of alarms and does something about it."""

    def tell(self, alarm: Told) -> None:
        """Take an alarm, without waiting for anything."""
        ...


@dataclass(frozen=True, slots=True)
class _Watched:
    """A column with limits: where it stands in a batch, and which extremes are of interest."""

    index: int
    label: str
    unit: str
    low: bool
    high: bool


class AlarmWatch(threading.Thread):
    """Watches one run.

    Parameters
    ----------
    options : AlarmOptions
        What is watched.
    directory : str
        Where the files are.
    publish : callable
        Publishes a message, by kind, path and fields.
    events : EventLog
        Records each change.
    lost : mapping of str to int
        Rows that jobs had lost before this writer began.
    tellers : sequence of Teller
        Who else is told.
    clock : callable
        UTC seconds since 1970-01-01.
    raised : sequence of mapping
        Events of an earlier writer of the run: alarms that it raised and did not take back.

    Attributes
    ----------
    jobs : frozenset of str
        Whose batches are to be handed over.
    newest : int
        Id of the newest alarm that was told.
    skipped : int
        Batches that were passed over.
    trouble : str
        Why nothing is watched any more; empty while all is well.
    """

    def __init__(
        self,
        options: AlarmOptions,
        directory: str,
        publish: Callable[..., None],
        events: EventLog,
        lost: Mapping[str, int],
        tellers: Sequence[Teller] = (),
        clock: Callable[[], float] = time.time,
        raised: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        super().__init__(name="h5daq-alarms", daemon=True)
        self._options, self._directory, self._clock = options, directory, clock
        self._publish, self._events, self._tellers = publish, events, tellers
        before = {_key(event): {**event, **_numbers(event)} for event in raised}
        self._machine = Alarms(
            options.limits, options.rules, time.monotonic(), lost, map(_change, before.values())
        )
        self._plans: dict[str, tuple[Schema, list[_Watched]]] = {}
        self._changed = threading.Condition()
        self._waiting: list[tuple[Batch, Schema]] = []
        self._waiting_bytes = 0
        self._seen: tuple[dict[str, Seen], str] | None = None
        self._closing = False
        self._raised: dict[Any, Told] = before
        self.jobs = frozenset(options.limits)
        self.newest = int(clock() * 1e6)
        self.skipped = 0
        self.trouble = ""

    # -- for other threads -------------------------------------------------------------------

    def look(self, watched: Sequence[tuple[Batch, Schema]]) -> None:
        """Take batches that are committed; they are looked at soon."""
        size = sum(batch.n * schema.row_bytes for batch, schema in watched)
        if self.trouble:
            return
        with self._changed:
            if self._waiting and self._waiting_bytes + size > MOST_WAITING_BYTES:
                self._skip(len(watched))
                return
            self._waiting += watched
            self._waiting_bytes += size
            self._changed.notify()

    def _skip(self, batches: int) -> None:
        if not self.skipped:
            log.warning("alarms: the limits of some batches are not looked at; too many rows come")
        self.skipped += batches

    def see(self, jobs: dict[str, Seen], trouble: str) -> None:
        """Take the state of the jobs, and what keeps rows from the disk."""
        with self._changed:
            self._seen = jobs, trouble
            self._changed.notify()

    def raised(self) -> tuple[int, list[Told]]:
        """Id of the newest alarm that was told, and those that are raised."""
        # In this order: the list may know more than the id says, and never less.
        newest = self.newest
        return newest, list(self._raised.values())

    def close(self, seconds: float = 10.0) -> None:
        """Look at what waits, then end."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        if self.is_alive():
            self.join(seconds)

    # -- the thread ------------------------------------------------------------------------

    def run(self) -> None:
        """Watch until closed."""
        try:
            while self._step():
                pass
        except BaseException as error:
            self.trouble = f"alarms are not watched any more: {type(error).__name__}: {error}"
            log.critical("%s. The run goes on.", self.trouble)
            raise

    def _step(self) -> bool:
        with self._changed:
            if not (self._waiting or self._seen or self._closing):
                self._changed.wait()
            watched, self._waiting, self._waiting_bytes = self._waiting, [], 0
            seen, self._seen = self._seen, None
            closing = self._closing
        for batch, schema in watched:
            self._look_at(batch, schema)
        if seen is not None:
            disk = Disk(_free_bytes(self._directory), seen[1])
            self._tell(self._machine.tick(time.monotonic(), seen[0], disk))
        return not closing

    def _look_at(self, batch: Batch, schema: Schema) -> None:
        now = time.monotonic()
        for column in self._plan(batch.job, schema):
            values = np.asarray(batch.columns[column.index])
            low = least(values) if column.low else None
            high = greatest(values) if column.high else None
            self._tell(self._machine.look(batch.job, column.label, low, high, now, column.unit))

    def _plan(self, job: str, schema: Schema) -> list[_Watched]:
        known = self._plans.get(job)
        if known is None or known[0] is not schema:
            known = self._plans[job] = schema, self._watched(job, schema)
        return known[1]

    def _watched(self, job: str, schema: Schema) -> list[_Watched]:
        limits, found = self._machine.limits.get(job, {}), []
        for index, column in enumerate(schema.columns):
            if column.label in limits and column.dtype.kind in _REAL_KINDS:
                kinds = limits[column.label].bounds
                high = "high" in kinds or not kinds
                found.append(_Watched(index, column.label, column.unit, "low" in kinds, high))
        missing = limits.keys() - {column.label for column in found}
        if missing:
            log.warning("job %s: limits of columns that it has not, or that are no numbers: %s",
                        job, ", ".join(sorted(missing)))  # fmt: skip
        return found

    # -- telling -----------------------------------------------------------------------------

    def _tell(self, changes: Sequence[Change]) -> None:
        for change in changes:
            told = self._told(change)
            self._raise(change, told)
            self.newest = told["id"]
            self._publish("alarm", f"{change.job}/{change.column}", **told)
            self._events.put(told)
            for teller in self._tellers:
                teller.tell(told)

    def _told(self, change: Change) -> Told:
        now = self._clock()
        told = change.told(max(self.newest + 1, int(now * 1e6)), now)
        return {**told, "text": plain_text(change.text)}

    def _raise(self, change: Change, told: Told) -> None:
        # Replaced as a whole: other threads look at it.
        others = {key: other for key, other in self._raised.items() if key != change.key}
        self._raised = others if change.level == "ok" else {**others, change.key: told}


def _key(event: Mapping[str, Any]) -> Key:
    return event["job"], event["column"], event["kind"]


def _numbers(event: Mapping[str, Any]) -> dict[str, float | None]:
    return {name: _finite(event[name]) for name in ("value", "limit")}


def _change(event: Mapping[str, Any]) -> Change:
    return Change(*_key(event), event["level"], event["value"], event["limit"], event["text"])


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _free_bytes(directory: str) -> int | None:
    try:
        return shutil.disk_usage(directory).free
    except OSError:
        return None
