"""The writer process: sockets in front, journal in the middle, HDF5 files behind.

The main thread reads the sockets (`Intake`, `Answers`), one thread syncs the journal and tells
the news (`Committer`), one thread owns the files (`Store`). A writer begins by finishing what the
last one left; it ends when it is told to stop, or when its parent is gone, after the workers have
said goodbye or ``drain_timeout`` is over.
"""

from __future__ import annotations

import json
import logging
import secrets
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from h5daq.flow.planner import Planner
from h5daq.flow.records import RunRecord
from h5daq.flow.rollover import Calendar
from h5daq.flow.wishes import Pause
from h5daq.jobs.wallclock import WallClock
from h5daq.logs import log_remote
from h5daq.storage.checkpoint import Builder
from h5daq.storage.recovery import Recovered
from h5daq.transports.base import Events, Frame
from h5daq.transports.private import keep_alive
from h5daq.transports.zmq import WriterPort
from h5daq.writer.alerting import Alerting
from h5daq.writer.answers import Answers
from h5daq.writer.clocks import ClockRows
from h5daq.writer.committer import Committer, Publisher
from h5daq.writer.deaths import Deaths
from h5daq.writer.desk import Desk
from h5daq.writer.ending import Ending
from h5daq.writer.guard import Guard
from h5daq.writer.intake import Intake
from h5daq.writer.notes import Notes
from h5daq.writer.opening import Opened
from h5daq.writer.ownrows import OwnRows
from h5daq.writer.recorded import Recorded
from h5daq.writer.replies import Replies
from h5daq.writer.settings import WriterSettings
from h5daq.writer.store import Store
from h5daq.writer.vaulting import VaultDesk

__all__ = ["Writer", "endpoints_file"]

log = logging.getLogger("h5daq.writer")

_TICK_SECONDS = 1.0
_MESSAGES_AT_ONCE, _BYTES_AT_ONCE = 512, 4 << 20
_MEMORY_BYTES, _MEMORY_CHECKPOINT_BYTES = 160 << 20, 32 << 20
"""Without a journal: what is kept in memory at most, and at which a checkpoint comes."""

_LAG_BYTES = 40 << 20
"""Committed entries that the files may be behind, of those that the journal keeps in memory."""

_REJOIN_SECONDS = 3.0
"""After subscribers were cut off: until workers have missed no goodbye for it."""

_SETTLE_SECONDS = 1.0
"""How long the last rows may take to be committed before the end of their run is."""

_QUIET_SECONDS = 0.05
"""Without rows for so long, the thread that takes requests syncs the vault's changes itself."""

_NEWS_SECONDS = 0.01
"""Between two times that news of the vault go to the committer, if that has nothing to commit."""

_CATCH_UP_SECONDS = 0.005
"""How long the sockets are left alone at a time while the files catch up."""


def endpoints_file(directory: Path) -> Path:
    """Where a running writer's endpoints stand."""
    return directory / ".h5daq" / "endpoints.json"


class Writer:
    """One run of one writer; `run` is its whole life.

    Parameters
    ----------
    settings : WriterSettings
        What to record where.
    parent_gone : callable
        Whether the process that started this one is gone; asked once a second.
    """

    def __init__(self, settings: WriterSettings, parent_gone: Callable[[], bool]) -> None:
        self.settings = settings
        self._parent_gone = parent_gone
        self.directory = Path(settings.directory)
        self.boot = secrets.token_hex(8)
        self.clock = time.time
        self._wall = WallClock(log, "writer")
        self.parent: int | None = None
        self.recovered = Recovered()
        self.stopped = False
        self._failure: BaseException | None = None
        self._stop_by: float | None = None
        self._stop_asked = False
        self._gone: set[str] = set()
        self._caught_up = threading.Event()
        in_memory = settings.durability == "none"
        self._limit_bytes = _MEMORY_BYTES if in_memory else settings.journal_bytes
        self._tick_at = self._rejoined_at = 0.0
        self._rows_at = self._told_at = 0.0
        self._pause = Pause()

    # -- beginning -----------------------------------------------------------------------------

    def open(self) -> None:
        """Lock the directory, recover, bind the sockets, begin (or go on with) the run."""
        self._opened = Opened(self.settings, _MEMORY_BYTES)
        self.recovered, self.journal = self._opened.recovered, self._opened.journal
        self._ledger = self._opened.ledger
        self._report_recovered()
        settings = self.settings
        self.guard = Guard(settings.keys, settings.trusted) if settings.keys else None
        locks = self.guard.locks if self.guard is not None else None
        # Where the sockets are private, their directory stays while this process lives.
        self._private = keep_alive(settings.data, settings.requests, settings.signals)
        self.port = WriterPort(settings.data, settings.requests, settings.signals, locks=locks)
        if settings.is_open:
            log.warning("insecure: anyone who reaches %s may command this run and send rows",
                        ", ".join(self.port.endpoints))  # fmt: skip
        self._assemble(self._opened.builder)
        self._begin_run()
        self._save_endpoints()

    def _report_recovered(self) -> None:
        """Say what the last writer left to do, if it did not end in order."""
        found = self.recovered
        if found.finished or found.run:
            log.warning(
                "went on where the last writer stopped: %d journal entries read again, "
                "unfinished changes settled in: %s; run sealed as interrupted: %s",
                found.entries,
                ", ".join(path.name for path in found.finished) or "no file",
                found.run or "none",
            )
        elif found.entries:
            log.info("read %d journal entries again; the files are whole", found.entries)

    def _assemble(self, builder: Builder) -> None:
        settings = self.settings
        self.builder = builder
        self._replayed_bytes = builder.bytes_read
        self.notes = Notes()
        planner = Planner(
            Calendar(settings.rollover),
            settings.file_format,
            settings.rollover_size,
            settings.rollover_grace,
            lambda: secrets.randbits(63) + 1,
        )
        self.planner = planner
        self.intake = Intake(
            self.journal, self._ledger, planner, settings.run_path, self.clock, self.guard
        )
        self.own = OwnRows(self.intake, self.clock, self.port.wake)
        self.publisher = Publisher(
            self.port,
            self.boot,
            settings.run_id,
            settings.run_path,
            settings.signal_rate,
            self._window,
        )
        self.store = self._make_store(builder)
        self.alerting = Alerting(settings, self.intake, self.publisher, self.own, self.clock)
        self.committer = Committer(
            self.notes, self.journal, self.publisher, self._committed, self._fail,
            self.alerting.look,
        )  # fmt: skip
        self.desk = Desk(
            settings,
            self.endpoints(),
            self.intake,
            self.journal,
            self.store,
            self.publisher,
            self.committer,
            builder,
        )
        self.ending = Ending(
            settings, self.desk, self.journal, builder, self.committer, self.store, self.publisher
        )
        self.desk.alarms = self.alerting.status
        self.desk.clocks = ClockRows(self._ledger, self.own)
        self.desk.deaths = Deaths(self._ledger, self.journal, self.intake.record)
        self.vault = self._make_vault()
        answers = Answers(self.desk, self.begin_stop, lambda: self.stopped)
        self.replies = Replies(
            self.port, answers, self.intake.refused, self.guard, vault=self.vault
        )

    def _make_vault(self) -> VaultDesk:
        settings, builder = self.settings, self.builder
        recorded = Recorded(
            settings.run_id,
            settings.run_path,
            self._ledger,
            self.intake.recent,
            self.journal,
            lambda: builder.checkpoint_lsn,
        )
        vault = VaultDesk(
            self.directory,
            self.journal,
            self.intake,
            self.port,
            self.boot,
            self.guard,
            period=self.settings.write_period,
            durable=self.settings.durability == "fsync",
            recorded=recorded,
        )
        self.desk.vault, self.builder.others_reach = vault, vault.reaches
        self.builder.passes_vault = True
        return vault

    def _make_store(self, builder: Builder) -> Store:
        settings = self.settings
        in_memory = settings.durability == "none"
        return Store(
            builder,
            write_period=settings.write_period,
            jitter=settings.write_period_jitter,
            stream_bytes=settings.stream_bytes,
            checkpoint_bytes=_MEMORY_CHECKPOINT_BYTES if in_memory else settings.checkpoint_bytes,
            checkpointed=self._checkpointed,
            failed=self._fail,
        )

    def _begin_run(self) -> None:
        settings, ledger = self.settings, self._ledger
        if ledger.ended or ledger.run is None:
            self.vault.check_run(settings.run_path)
            now = self.clock()
            options = settings.run_options()
            run = RunRecord(settings.run_id, settings.run_name, now, dict(settings.attrs), options)
            self.intake.record(run)
            self.intake.record(self.planner.first(now))
        self.intake.know_directories()
        self.publisher.know(ledger.jobs.values())
        self.notes.deliver(self.intake.collect())

    def _save_endpoints(self) -> None:
        path = endpoints_file(self.directory)
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_suffix(".new")
        # Who may read that directory finds his keys by it; others learn no more than its name.
        keys = {"keys": self.settings.keys} if self.guard else {}
        # And who starts this writer again if it dies, as long as it lives itself.
        where = {**self.endpoints(), **keys, "parent": self.parent}
        fresh.write_text(json.dumps(where, indent=1) + "\n")
        fresh.replace(path)

    def endpoints(self) -> dict[str, Any]:
        """The sockets' real addresses, and which writer has them."""
        real = self.port.endpoints
        return {
            "data": real.data,
            "requests": real.requests,
            "signals": real.signals,
            "boot": self.boot,
            "run": self.settings.run_id,
        }

    # -- the main loop ---------------------------------------------------------------------------

    def run(self) -> None:
        """Serve until stopped. Raises what ended a thread, if one ended."""
        self.committer.start()
        self.store.start()
        self.alerting.start()
        while not self.stopped:
            self._receive(self._poll())
            self._tick()
            if self._stop_asked:
                self.begin_stop(None, [])
            self._raise_failure()
            if self._stop_by is not None and self._drained():
                self._finish()
        self.replies.send_ready()

    def close(self) -> None:
        """Let go of sockets, lock and endpoints file."""
        self.port.close(linger=1.0)
        endpoints_file(self.directory).unlink(missing_ok=True)
        self._opened.lock.release()

    def _poll(self) -> Events:
        """Wait for messages; for those of workers not sooner than the pause is over."""
        wait, left = self._patience(), self._pause.left(time.monotonic())
        return self.port.poll(min(wait, left) if left else wait, data=not left)

    def _patience(self) -> float:
        due = self._tick_at
        if not self.intake.note.empty:
            due = min(due, self._told_at + _NEWS_SECONDS)
        return max(0.0, min(due - time.monotonic(), _TICK_SECONDS))

    def _receive(self, events: Events) -> None:
        if events.data and self._has_room():
            self._rows_at = time.monotonic()
            self._take(self.port.receive_data(_MESSAGES_AT_ONCE, _BYTES_AT_ONCE))
        self._remark()
        self.own.flush()
        self.vault.follow()
        if not self.intake.note.only_news:
            self._deliver()
        if events.requests:
            self._answer()
        self.replies.send_ready()
        self._deliver_held()

    def _answer(self) -> None:
        """Take requests. Where no rows come in, their commit needs no other thread."""
        self.replies.receive()
        now = time.monotonic()
        if now < self._rows_at + _QUIET_SECONDS or not self.vault.commit():
            self._deliver()
        elif not self.intake.note.only_news:
            self.replies.send_ready()
            self._deliver()

    def _deliver_held(self) -> None:
        """Pass on what is committed already and only to be told: soon, but not for each add."""
        if not self.intake.note.empty and time.monotonic() >= self._told_at + _NEWS_SECONDS:
            self._deliver()

    def _deliver(self) -> None:
        note = self.intake.collect()
        if not note.empty:
            self._told_at = time.monotonic()
            self.notes.deliver(note)

    def _committed(self, lsn: int, nbytes: int, urgent: bool) -> None:
        self.store.committed(lsn, nbytes, urgent)
        if self.vault.waiting:
            self.port.wake()

    def _take(self, frames: list[Frame]) -> None:
        nbytes = sum(len(frame.buffer) for frame in frames)
        self._pause.looked(self._rows_at, len(frames), nbytes, self.intake.wishes.pause)
        if self.guard is None:
            for frame in frames:
                self.intake.take(frame.buffer)
            return
        for frame in frames:
            self.intake.take(frame.buffer, self.port.user_of(frame))
        for job, name, why in self.guard.turned_away():
            self.publisher.send("refused", job, cause=why, key=name)

    def _has_room(self) -> bool:
        """Whether the files keep up. If they don't, the sockets fill up and the workers wait.

        A writer that can't store at all reads on and takes nothing, so as to stay in touch.
        """
        waiting = self.journal.waiting_bytes
        full = waiting > self._limit_bytes // 2 and waiting + 2 * _BYTES_AT_ONCE > self._limit_bytes
        if full or self.intake.stalled:
            # They might otherwise wait for their time, or for bytes that have no room to come.
            self.vault.checkpoint()
            self.store.flush(self.journal.last)
        if not (full or self._lagging()) or self.desk.trouble():
            return True
        self._caught_up.clear()
        self._caught_up.wait(_CATCH_UP_SECONDS)
        return False

    def _lagging(self) -> bool:
        """Whether the files are so far behind that entries would have to be read from disk."""
        unread = self.intake.journaled_bytes - (self.builder.bytes_read - self._replayed_bytes)
        return unread > _LAG_BYTES

    def _checkpointed(self) -> None:
        self._caught_up.set()
        self.port.wake()

    def _remark(self) -> None:
        remarks, self.intake.remarks = self.intake.remarks, []
        for kind, job, fields in remarks:
            if kind == "log":
                log_remote({**fields, "job": job})
            else:
                self.desk.order_done(job, int(fields.get("cmd") or 0))
            self.publisher.send(kind, job, **{**fields, "job": job})

    def _tick(self) -> None:
        if time.monotonic() < self._tick_at:
            return
        self._tick_at = time.monotonic() + _TICK_SECONDS
        self._wall.look()
        self.desk.order_release(self.clock())
        self.vault.tick()
        self.intake.tick(self.store.done_lsn, self.vault.kept)
        if self.guard is not None and self.guard.refresh():
            self.guard.cut = not self.port.cut_subscribers()
            self._rejoined_at = time.monotonic() + _REJOIN_SECONDS
        if not self.desk.stopping:
            self.alerting.tick(self.desk.seen, self.desk.trouble())
        self.publisher.heartbeat(self.clock(), self.desk.trouble())
        self.desk.repeat_orders()
        if self._stop_by is None and self._parent_gone():
            log.warning("the process that started this writer is gone: draining, then sealing")
            self.begin_stop(None, [])

    def _window(self) -> int:
        return max(
            256 << 10, min(32 << 20, self.settings.window_bytes // max(1, len(self._ledger.jobs)))
        )

    def _fail(self, error: BaseException) -> None:
        self._failure = error
        self.port.wake()

    # -- stopping ----------------------------------------------------------------------------

    def begin_stop(self, drain_timeout: float | None, gone: list[str]) -> None:
        """Ask all workers to stop, and wait for what they hold.

        Parameters
        ----------
        drain_timeout : float or None
            Seconds to wait; by default as in the settings.
        gone : list of str
            Jobs whose workers are dead, and hold nothing any more.
        """
        self._gone = set(gone)
        if self._stop_by is None:
            wait = self.settings.drain_timeout if drain_timeout is None else drain_timeout
            self._stop_by = time.monotonic() + wait
            self.desk.stopping = True
            self.desk.order_stop()

    def ask_stop(self) -> None:
        """Stop soon. Does next to nothing itself: it is called from a signal handler."""
        self._stop_asked = True

    def _drained(self) -> bool:
        waiting = set(self.desk.unfinished()) - self._gone
        done = not waiting and time.monotonic() >= self._rejoined_at
        return done or time.monotonic() >= (self._stop_by or 0.0)

    def _finish(self) -> None:
        """End the run: what is committed goes into the files, and the files get their last name."""
        self._look_at_last_rows()
        self.own.flush()
        if not self.intake.end() and not self.ending.gives_up():
            return
        self.vault.close()
        self.notes.deliver(self.intake.collect())
        self.notes.close()
        self._outlast(self.committer)
        self.store.close()
        self._outlast(self.store)
        self.ending.close_journal()
        self.ending.report()
        self.alerting.end()
        self.publisher.heartbeat(self.clock(), self.desk.trouble(), ended=True)
        self.stopped = True

    def _look_at_last_rows(self) -> None:
        """What the last rows raise is an event of the run as well."""
        if self.alerting.on:
            self.notes.deliver(self.intake.collect())
            self.notes.settle(_SETTLE_SECONDS)
            self.alerting.close()

    def _outlast(self, thread: threading.Thread) -> None:
        """Wait for a thread's end; requests are answered meanwhile."""
        while thread.is_alive() and self._failure is None:
            thread.join(0.1)
            if time.monotonic() >= self._tick_at:
                self._tick_at = time.monotonic() + _TICK_SECONDS
                self.publisher.heartbeat(self.clock(), self.desk.trouble())
            self.replies.receive()
            self.replies.send_ready()
            self.ending.gives_up()
        self._raise_failure()

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure
