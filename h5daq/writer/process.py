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

from h5daq.errors import RequestError, WireError
from h5daq.flow import requests
from h5daq.flow.ledger import Ledger
from h5daq.flow.planner import Planner
from h5daq.flow.records import EndRecord, RunRecord
from h5daq.flow.rollover import Calendar
from h5daq.logs import log_remote
from h5daq.storage.checkpoint import Builder, BuilderOptions
from h5daq.storage.journal import Journal, MemoryJournal
from h5daq.storage.lock import DirectoryLock
from h5daq.storage.recovery import Recovered, end_interrupted, journal_directory, replay
from h5daq.storage.transaction import recover_directory
from h5daq.transports.zmq import WriterPort
from h5daq.writer.answers import Answers, Later
from h5daq.writer.committer import Committer, Publisher
from h5daq.writer.desk import Desk
from h5daq.writer.intake import Intake
from h5daq.writer.notes import Notes
from h5daq.writer.settings import WriterSettings
from h5daq.writer.store import Store

__all__ = ["Writer", "endpoints_file"]

log = logging.getLogger("h5daq.writer")

_TICK_SECONDS = 1.0
_MESSAGES_AT_ONCE, _BYTES_AT_ONCE = 512, 16 << 20
_MEMORY_BYTES, _MEMORY_CHECKPOINT_BYTES = 160 << 20, 32 << 20
"""Without a journal: what is kept in memory at most, and at which a checkpoint comes."""

_CATCH_UP_SECONDS = 0.05
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
        self.recovered = Recovered()
        self.stopped = False
        self._failure: BaseException | None = None
        self._stop_by: float | None = None
        self._stop_asked = False
        self._caught_up = threading.Event()
        in_memory = settings.durability == "none"
        self._limit_bytes = _MEMORY_BYTES if in_memory else settings.journal_bytes
        self._later: list[tuple[Any, requests.Request, Later]] = []
        self._tick_at = 0.0

    # -- beginning -----------------------------------------------------------------------------

    def open(self) -> None:
        """Lock the directory, recover, bind the sockets, begin (or go on with) the run."""
        self.directory.mkdir(parents=True, exist_ok=True)
        self._lock = DirectoryLock(self.directory)
        self._lock.acquire()
        finished = [found.path for found in recover_directory(self.directory)]
        options = BuilderOptions(
            self.directory, self.settings.durability == "fsync", self.settings.overlay_bytes
        )
        self._ledger = Ledger()
        builder = self._recover(options)
        self.recovered.finished = finished
        self.port = WriterPort(self.settings.data, self.settings.requests, self.settings.signals)
        self._assemble(builder)
        self._begin_run()
        self._save_endpoints()

    def _recover(self, options: BuilderOptions) -> Builder:
        """Replay the journal on disk; end the run in it unless it is ours."""
        path = journal_directory(self.directory)
        in_memory = self.settings.durability == "none"
        if in_memory and not path.is_dir():
            return self._forget_journal(options)
        journal = self._open_journal(path)
        self.recovered.entries = max(0, journal.last - journal.oldest + 1)
        builder = replay(journal, options)
        self._ledger = builder.ledger
        if builder.ledger.run is None or builder.ledger.run.id != self.settings.run_id:
            entries = self.recovered.entries
            self.recovered = end_interrupted(journal, builder)
            self.recovered.entries = entries
        if in_memory:
            builder.close()
            journal.close()
            return self._forget_journal(options)
        self.journal: Journal | MemoryJournal = journal
        self._ledger = Ledger.restore(builder.ledger.snapshot())
        return builder

    def _open_journal(self, path: Path) -> Journal:
        return Journal.open(
            path,
            durability="os" if self.settings.durability == "os" else "fsync",
            segment_bytes=self.settings.segment_bytes,
            limit_bytes=self.settings.journal_bytes,
            snapshot=lambda: self._ledger.snapshot(),
        )

    def _forget_journal(self, options: BuilderOptions) -> Builder:
        """No journal: commits live in memory until the next checkpoint."""
        self.journal = MemoryJournal(limit_bytes=_MEMORY_BYTES)
        self._ledger = Ledger()
        return Builder(self.journal, None, self.journal.oldest - 1, options)

    def _assemble(self, builder: Builder) -> None:
        settings = self.settings
        self.builder = builder
        self.notes = Notes()
        planner = Planner(
            Calendar(settings.rollover),
            settings.file_format,
            settings.rollover_size,
            settings.rollover_grace,
            lambda: secrets.randbits(63) + 1,
        )
        self.planner = planner
        self.intake = Intake(self.journal, self._ledger, planner, settings.run_path, self.clock)
        self.publisher = Publisher(
            self.port,
            self.boot,
            settings.run_id,
            settings.run_path,
            settings.signal_rate,
            self._window,
        )
        self.store = self._make_store(builder)
        self.committer = Committer(
            self.notes, self.journal, self.publisher, self.store.committed, self._fail
        )
        self.desk = Desk(
            settings,
            self.endpoints(),
            self.intake,
            self.journal,
            self.store,
            self.publisher,
            builder,
        )
        self.answers = Answers(self.desk, self.begin_stop, lambda: self.stopped)

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
            now = self.clock()
            options = settings.run_options()
            run = RunRecord(settings.run_id, settings.run_name, now, dict(settings.attrs), options)
            self.intake.record(run)
            self.intake.record(self.planner.first(now))
        self.intake.know_directories()
        self.notes.deliver(self.intake.collect())

    def _save_endpoints(self) -> None:
        path = endpoints_file(self.directory)
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_suffix(".new")
        fresh.write_text(json.dumps(self.endpoints(), indent=1) + "\n")
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
        while not self.stopped:
            self.port.poll(self._patience())
            self._receive()
            self._tick()
            if self._stop_asked:
                self.begin_stop(None)
            self._send_later()
            if self._failure is not None:
                raise self._failure
            if self._stop_by is not None and self._drained():
                self._finish()
        self._send_later()

    def close(self) -> None:
        """Let go of sockets, lock and endpoints file."""
        self.port.close(linger=1.0)
        endpoints_file(self.directory).unlink(missing_ok=True)
        self._lock.release()

    def _patience(self) -> float:
        return max(0.0, min(self._tick_at - time.monotonic(), _TICK_SECONDS))

    def _receive(self) -> None:
        if self._has_room():
            for frame in self.port.receive_data(_MESSAGES_AT_ONCE, _BYTES_AT_ONCE):
                self.intake.take(frame.buffer)
        self._remark()
        note = self.intake.collect()
        if not note.empty:
            self.notes.deliver(note)
        for identity, frames in self.port.receive_requests():
            self._request(identity, frames)

    def _has_room(self) -> bool:
        """Whether the files keep up. If they don't, the sockets fill up and the workers wait.

        A writer that can't store at all reads on and takes nothing, so as to stay in touch.
        """
        full = self.journal.waiting_bytes + 2 * _BYTES_AT_ONCE > self._limit_bytes
        if not full or self._trouble():
            return True
        self._caught_up.clear()
        self._caught_up.wait(_CATCH_UP_SECONDS)
        return False

    def _trouble(self) -> str:
        return self.intake.stalled or self.store.trouble

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
        self.intake.tick()
        self._heartbeat()
        self.desk.repeat_orders()
        if self._stop_by is None and self._parent_gone():
            log.warning("the process that started this writer is gone: draining, then sealing")
            self.begin_stop(None)

    def _heartbeat(self) -> None:
        positions = {job.job: [job.inc, job.next[job.inc]] for job in self._ledger.jobs.values()}
        self.publisher.send(
            "heartbeat", "", boot=self.boot, run=self.settings.run_id, time=self.clock(),
            positions=positions, stalled=self.desk.trouble(),
        )  # fmt: skip

    def _window(self) -> int:
        return max(
            256 << 10, min(16 << 20, self.settings.window_bytes // max(1, len(self._ledger.jobs)))
        )

    def _fail(self, error: BaseException) -> None:
        self._failure = error
        self.port.wake()

    # -- stopping ----------------------------------------------------------------------------

    def begin_stop(self, drain_timeout: float | None) -> None:
        """Ask all workers to stop, and wait for what they hold."""
        if self._stop_by is None:
            wait = self.settings.drain_timeout if drain_timeout is None else drain_timeout
            self._stop_by = time.monotonic() + wait
            self.desk.stopping = True
            for job in self.desk.job_names():
                self.desk.order(job, "stop", 1)

    def ask_stop(self) -> None:
        """Stop soon. Does next to nothing itself: it is called from a signal handler."""
        self._stop_asked = True

    def _drained(self) -> bool:
        ended = self.intake.ended
        waiting = [j for j in self._ledger.jobs.values() if (j.job, j.inc) not in ended]
        return not waiting or time.monotonic() >= (self._stop_by or 0.0)

    def _finish(self) -> None:
        """End the run: what is committed goes into the files, and the files get their last name."""
        self.intake.record(EndRecord(self.clock()))
        self.notes.deliver(self.intake.collect())
        self.notes.close()
        self.committer.join()
        self.store.close()
        while self.store.is_alive() and self._failure is None:
            self.store.join(0.2)
            self._send_status_only()
        if self._failure is not None:
            raise self._failure
        self.journal.close()
        self._report_held()
        self.stopped = True

    def _send_status_only(self) -> None:
        for identity, frames in self.port.receive_requests():
            self._request(identity, frames)

    def _report_held(self) -> None:
        for job, held in self.desk.stop_report()["held"].items():
            log.warning("job %s: stopped with %d rows still held by its worker", job, held)

    # -- requests -----------------------------------------------------------------------------

    def _request(self, identity: Any, frames: list[Any]) -> None:
        try:
            request = requests.decode_request(frames)
        except WireError as error:
            self.intake.refused[error.cause] += 1
            code = requests.ErrorCode.BAD_REQUEST
            reply = requests.encode_failure(requests.id_of(frames), code, str(error))
            self.port.reply(identity, reply)
            return
        try:
            result = self.answers.answer(request.verb, request.args)
        except RequestError as error:
            code = requests.ErrorCode(error.code)
            self.port.reply(identity, requests.encode_failure(request.id, code, str(error)))
            return
        later = result if isinstance(result, Later) else Later(lambda: True, lambda: result)
        self._later.append((identity, request, later))
        self._send_later()

    def _send_later(self) -> None:
        waiting = []
        for identity, request, later in self._later:
            if later.ready():
                self.port.reply(identity, requests.encode_reply(request.id, later.result()))
            else:
                waiting.append((identity, request, later))
        self._later = waiting
