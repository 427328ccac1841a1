"""The writer process: sockets in front, journal in the middle, HDF5 files behind.

The main thread reads the sockets (`Reception`), one thread syncs the journal and tells the news
(`Committer`), one thread owns the files (`Store`); `parts` has them all. A writer begins by
finishing what the last one left; it ends when it is told to stop, or when its parent is gone,
after the workers have said goodbye or ``drain_timeout`` is over.
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

from h5daq.jobs.wallclock import WallClock
from h5daq.storage.recovery import Recovered
from h5daq.transports.private import keep_alive
from h5daq.transports.zmq import WriterPort
from h5daq.writer.guard import Guard
from h5daq.writer.opening import Opened
from h5daq.writer.parts import MEMORY_BYTES, Hooks, Parts
from h5daq.writer.reception import Reception
from h5daq.writer.settings import WriterSettings

__all__ = ["Writer", "endpoints_file"]

log = logging.getLogger("h5daq.writer")

_TICK_SECONDS = 1.0

_REJOIN_SECONDS = 3.0
"""After subscribers were cut off: until workers have missed no goodbye for it."""

_SETTLE_SECONDS = 1.0
"""How long the last rows may take to be committed before the end of their run is."""


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
        self._tick_at = self._rejoined_at = 0.0

    # -- beginning -----------------------------------------------------------------------------

    def open(self) -> None:
        """Lock the directory, recover, bind the sockets, begin (or go on with) the run."""
        self._opened = Opened(self.settings, MEMORY_BYTES)
        self.recovered = self._opened.recovered
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
        self.parts = Parts(
            settings, self._opened, self.port, self.guard, self.boot, self.clock, self._hooks()
        )
        self._reception = Reception(self.parts)
        self.parts.begin_run()
        self._save_endpoints()

    def _hooks(self) -> Hooks:
        return Hooks(
            committed=self._committed,
            checkpointed=lambda: self._reception.files_follow(),
            failed=self._fail,
            begin_stop=self.begin_stop,
            stopped=lambda: self.stopped,
        )

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
        return self.parts.endpoints()

    # -- the main loop ---------------------------------------------------------------------------

    def run(self) -> None:
        """Serve until stopped. Raises what ended a thread, if one ended."""
        self.parts.committer.start()
        self.parts.store.start()
        self.parts.alerting.start()
        while not self.stopped:
            self._reception.look(self._tick_at)
            self._tick()
            if self._stop_asked:
                self.begin_stop(None, [])
            self._raise_failure()
            if self._stop_by is not None and self._drained():
                self._finish()
        self.parts.replies.send_ready()

    def close(self) -> None:
        """Let go of sockets, lock and endpoints file."""
        self.port.close(linger=1.0)
        endpoints_file(self.directory).unlink(missing_ok=True)
        self._opened.lock.release()

    def _committed(self, lsn: int, nbytes: int, urgent: bool) -> None:
        self.parts.store.committed(lsn, nbytes, urgent)
        if self.parts.vault.waiting:
            self.port.wake()

    def _tick(self) -> None:
        if time.monotonic() < self._tick_at:
            return
        self._tick_at = time.monotonic() + _TICK_SECONDS
        self._wall.look()
        self.parts.desk.order_release(self.clock())
        self.parts.vault.tick()
        self.parts.intake.tick(self.parts.store.done_lsn, self.parts.vault.kept)
        if self.guard is not None and self.guard.refresh():
            self.guard.cut = not self.port.cut_subscribers()
            self._rejoined_at = time.monotonic() + _REJOIN_SECONDS
        if not self.parts.desk.stopping:
            self.parts.alerting.tick(self.parts.desk.seen, self.parts.desk.trouble())
        self.parts.publisher.heartbeat(self.clock(), self.parts.desk.trouble())
        self.parts.desk.repeat_orders()
        if self._stop_by is None and self._parent_gone():
            log.warning("the process that started this writer is gone: draining, then sealing")
            self.begin_stop(None, [])

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
            self.parts.desk.stopping = True
            self.parts.desk.order_stop()

    def ask_stop(self) -> None:
        """Stop soon. Does next to nothing itself: it is called from a signal handler."""
        self._stop_asked = True

    def _drained(self) -> bool:
        waiting = set(self.parts.desk.unfinished()) - self._gone
        done = not waiting and time.monotonic() >= self._rejoined_at
        return done or time.monotonic() >= (self._stop_by or 0.0)

    def _finish(self) -> None:
        """End the run: what is committed goes into the files, and the files get their last name."""
        self._look_at_last_rows()
        self.parts.own.flush()
        if not self.parts.intake.end() and not self.parts.ending.gives_up():
            return
        self.parts.vault.close()
        self.parts.notes.deliver(self.parts.intake.collect())
        self.parts.notes.close()
        self._outlast(self.parts.committer)
        self.parts.store.close()
        self._outlast(self.parts.store)
        self.parts.ending.close_journal()
        self.parts.ending.report()
        self.parts.alerting.end()
        self.parts.publisher.heartbeat(self.clock(), self.parts.desk.trouble(), ended=True)
        self.stopped = True

    def _look_at_last_rows(self) -> None:
        """What the last rows raise is an event of the run as well."""
        if self.parts.alerting.on:
            self.parts.notes.deliver(self.parts.intake.collect())
            self.parts.notes.settle(_SETTLE_SECONDS)
            self.parts.alerting.close()

    def _outlast(self, thread: threading.Thread) -> None:
        """Wait for a thread's end; requests are answered meanwhile."""
        while thread.is_alive() and self._failure is None:
            thread.join(0.1)
            if time.monotonic() >= self._tick_at:
                self._tick_at = time.monotonic() + _TICK_SECONDS
                self.parts.publisher.heartbeat(self.clock(), self.parts.desk.trouble())
            self.parts.replies.receive()
            self.parts.replies.send_ready()
            self.parts.ending.gives_up()
        self._raise_failure()

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure
