"""Commit, then tell: one sync of the journal for all that came meanwhile, then the news of it.

Positions let workers forget the rows; signals tell everybody else. Both are published only here,
after the sync, so nobody hears of a row that a power cut could still take away. Signals of one
dataset are coalesced: the first at once, then as many as ``signal_rate`` allows, the last always.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any, Protocol

from h5daq.errors import H5daqError, StorageError
from h5daq.flow import wire
from h5daq.flow.batch import Batch
from h5daq.flow.breadth import Breadth
from h5daq.flow.coalesce import Coalescer
from h5daq.flow.deferred import Deferred
from h5daq.flow.names import is_own
from h5daq.flow.schema import Schema
from h5daq.flow.states import JobState
from h5daq.flow.topics import topic
from h5daq.writer.notes import Change, Note, Notes, more_news

__all__ = ["Committer", "Publisher"]

log = logging.getLogger("h5daq.writer")

_RETRY_SECONDS = 0.5


class Syncer(Protocol):
    """The part of a journal that a committer needs."""

    @property
    def failed(self) -> bool:
        """Whether a sync failed in a way after which nothing can be taken any more."""
        ...

    def sync(self) -> int:
        """Make everything appended durable; returns the lsn that this reaches to."""
        ...


class Port(Protocol):
    """The part of the writer's sockets that news go out by."""

    def publish(self, topic: bytes, payload: bytes) -> None:
        """Send to all subscribers, without ever waiting."""
        ...

    def is_heard(self, kind: str) -> bool:
        """Whether anybody may be listening to signals of a kind."""
        ...


class Publisher:
    """Turns notes into messages on the PUB socket.

    Parameters
    ----------
    port : Port
        Where messages go.
    boot, run : str
        This writer process and the run, named in each position.
    run_path : str
        The run's directory in the vault.
    signal_rate : float
        Most data-available signals per second and dataset.
    window : callable
        Bytes that one worker may have in flight.
    """

    def __init__(
        self,
        port: Port,
        boot: str,
        run: str,
        run_path: str,
        signal_rate: float,
        window: Callable[[], int],
    ) -> None:
        self._port = port
        self._boot, self._run, self._run_path = boot, run, run_path
        self._window, self._breadth = window, Breadth()
        self.newest: dict[str, Change] = {}
        self.positions: dict[str, tuple[int, int]] = {}
        self.totals: dict[str, int] = {}
        self._news: Coalescer[Change] = Coalescer(signal_rate, merge=_newer)
        self._vault: Coalescer[dict[str, Any]] = Coalescer(signal_rate, merge=more_news)
        self._deferred = Deferred()
        self._beaten: dict[str, tuple[int, int]] = {}

    def know(self, jobs: Iterable[JobState]) -> None:
        """Begin with jobs whose rows an earlier writer has committed."""
        for job in jobs:
            if not is_own(job.job):
                self.positions[job.job] = (job.speaker, job.next[job.speaker])
            self.totals[job.job] = job.rows

    def synced(self, seconds: float) -> None:
        """A sync took so long; windows follow."""
        self._breadth.synced(seconds)

    def tell(self, note: Note, now: float) -> None:
        """Publish what a commit has made true; `now` is monotonic seconds."""
        self._tell_workers(note, now)
        for kind, path, payload in note.signals:
            self.send(kind, path, **payload)
        self.newest.update(note.changes)
        for job, change in note.changes.items():
            self.totals[job] = change.total
        # Who is not there when something happens is not told of it later.
        if (note.changes or note.news) and self._port.is_heard("data-available"):
            self._tell_listeners(note, now)

    def _tell_listeners(self, note: Note, now: float) -> None:
        for path, fields in note.news.items():
            if (told := self._vault.offer(path, fields, now)) is not None:
                self.send("data-available", path, **told)
        for job, change in note.changes.items():
            ready = self._news.offer(f"{self._run_path}/{job}", change, now)
            if ready is not None:
                self._available(f"{self._run_path}/{job}", ready)

    def _tell_workers(self, note: Note, now: float) -> None:
        window = self._breadth.of(self._window())
        for (job, inc), position in note.positions.items():
            self.positions[job] = (inc, position)
            key = job, inc
            wait = None if key in note.prompt else note.waits.get(key)
            if wait is None or not self._deferred.holds(key, position, wait, now):
                self._deferred.forget(key)
                self.position(job, inc, position, window, bye=key in note.byes)
        for job, inc in note.strangers:
            self.position(job, inc, 0, window, need="hello")
        for job, cause in note.refused.items():
            self.send("refused", job, cause=cause)

    def tell_due(self, now: float) -> None:
        """Publish the signals and positions that were held back and are due."""
        self._tell_deferred(now)
        for path, change in self._news.due(now):
            self._available(path, change)
        for path, fields in self._vault.due(now):
            self.send("data-available", path, **fields)

    def tell_rest(self, now: float) -> None:
        """Publish every signal that is held back: the last one is never left out."""
        for path, change in self._news.flush(now):
            self._available(path, change)
        for path, fields in self._vault.flush(now):
            self.send("data-available", path, **fields)

    def next_deadline(self) -> float | None:
        """When `tell_due` has something to do, in monotonic seconds."""
        held = self._news, self._vault, self._deferred
        deadlines = [signals.next_deadline() for signals in held]
        return min((time for time in deadlines if time is not None), default=None)

    def _tell_deferred(self, now: float) -> None:
        beaten, self._beaten = self._beaten, {}
        if beaten:
            self._deferred.told(beaten, now)
        waited = self._deferred.due(now)
        if waited:
            window = self._breadth.of(self._window())
            for (job, inc), position in waited.items():
                self.position(job, inc, position, window)

    def heartbeat(self, now: float, stalled: str, *, ended: bool = False) -> None:
        """Tell all positions, and that this writer lives or has ended; from any thread.

        `now` is UTC seconds.
        """
        # What is committed, not what has come: workers forget their rows by it.
        positions = dict(self.positions)
        self.send(
            "heartbeat", "", boot=self._boot, run=self._run, time=now, positions=positions,
            stalled=stalled, **({"ended": True} if ended else {}),
        )  # fmt: skip
        self._beaten = positions

    def position(self, job: str, inc: int, position: int, window: int, /, **more: Any) -> None:
        """The answer of the delivery to one incarnation of a job."""
        fields = {key: value for key, value in more.items() if value}
        self.send(
            "position", job, boot=self._boot, run=self._run, inc=inc, next=position,
            window=window, **fields,
        )  # fmt: skip

    def send(self, kind: str, path: str, /, **fields: Any) -> None:
        """Publish one map under its topic, if anybody may hear it."""
        if self._port.is_heard(kind):
            self._port.publish(topic(kind, path), wire.encode(kind, **fields))

    def _available(self, path: str, change: Change) -> None:
        self.send(
            "data-available",
            path,
            path=path,
            rows=change.rows,
            total=change.total,
            last_time=change.last_time,
            last=change.batch.last_row(change.schema),
        )


def _newer(old: Change, new: Change) -> Change:
    return Change(old.rows + new.rows, new.total, new.last_time, new.batch, new.schema)


class Committer(threading.Thread):
    """The thread that syncs.

    A full disk makes it wait and try again. When the sync itself fails it stops the writer, since
    what is safe is unknown then, until the journal is read anew.

    Parameters
    ----------
    notes : Notes
        Where notes come from.
    journal : Syncer
        What is synced.
    publisher : Publisher
        Where news go.
    committed : callable
        Told the lsn and the bytes of each commit, and whether the files should follow soon.
    failed : callable
        Told the error that ended the thread.
    watch : callable, optional
        Given the committed batches that somebody watches.
    """

    def __init__(
        self,
        notes: Notes,
        journal: Syncer,
        publisher: Publisher,
        committed: Callable[[int, int, bool], None],
        failed: Callable[[BaseException], None],
        watch: Callable[[list[tuple[Batch, Schema]]], None] = lambda _: None,
    ) -> None:
        super().__init__(name="h5daq-committer", daemon=True)
        self._notes = notes
        self._journal = journal
        self._publisher = publisher
        self._committed = committed
        self._failed, self._watch = failed, watch
        self._abandoned = threading.Event()
        self.trouble = ""

    def abandon(self) -> None:
        """End soon, without what can't be committed; nobody is told of that."""
        self._abandoned.set()
        self._notes.close()

    def run(self) -> None:
        """Commit notes until the notes are closed and empty, or it is abandoned."""
        try:
            while not (self._notes.closed or self._abandoned.is_set()):
                self._step()
            self._publisher.tell_rest(time.monotonic())
        except BaseException as error:
            log.critical("commit failed: %s", error)
            self._failed(error)
            if not isinstance(error, H5daqError):
                raise

    def _step(self) -> None:
        note = self._notes.take(self._patience())
        if not note.empty:
            began = time.monotonic()
            lsn = self._sync()
            if lsn is None:
                return
            self._publisher.synced(time.monotonic() - began)
            self._publisher.tell(note, time.monotonic())
            self._committed(lsn, note.bytes, note.urgent)
            if note.watched:
                self._watch(note.watched)
        self._publisher.tell_due(time.monotonic())

    def _sync(self) -> int | None:
        while not self._abandoned.is_set():
            try:
                lsn = self._journal.sync()
            except StorageError as error:
                self._endure(error)
            else:
                self.trouble = ""
                return lsn
        return None

    def _endure(self, error: StorageError) -> None:
        if self._journal.failed:
            raise error
        if not self.trouble:
            log.error("no more commits for now: %s. Workers hold their rows meanwhile.", error)
        self.trouble = str(error)
        self._abandoned.wait(_RETRY_SECONDS)

    def _patience(self) -> float | None:
        deadline = self._publisher.next_deadline()
        return None if deadline is None else max(0.0, deadline - time.monotonic())
