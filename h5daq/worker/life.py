"""The life of a worker, in the order in which it happens.

It quiets signals and output, says hello, builds the getter, tells its parent that it is ready,
and reads until somebody says stop: the writer by a command, the parent by the pipe or by its
death, or a SIGTERM. Then the last rows are shipped, the getter is closed, and the worker waits
until the writer has committed everything it holds.

A getter that hangs can't be ended, but it keeps nothing else: the courier goes on, the status
says for how long it has been hanging, and after a grace the worker ends without it.
"""

from __future__ import annotations

import logging
import os
import secrets
import socket
import threading
import time
from collections.abc import Mapping
from typing import Any

from h5daq.errors import H5daqError
from h5daq.flow.wire import encode
from h5daq.jobs.collector import Collector
from h5daq.jobs.job import DAQJob
from h5daq.jobs.orders import Orders
from h5daq.jobs.readers import Reader
from h5daq.jobs.reading import Reading
from h5daq.jobs.spool import About, Spool
from h5daq.jobs.spool_places import place_of
from h5daq.jobs.tally import Failure, Tally
from h5daq.jobs.wallclock import WallClock
from h5daq.transports.zmq import WorkerLink
from h5daq.worker.courier import Courier
from h5daq.worker.loghandler import Throttle, send_messages
from h5daq.worker.machine import Figures, fine_timer, harmless_output, heed_signals, no_input
from h5daq.worker.parent import Parent
from h5daq.worker.relic import find_relics
from h5daq.worker.spec import WorkerSpec
from h5daq.worker.stock import Stock

__all__ = ["DONE", "FAILED", "HELD", "Worker", "main", "serve"]

log = logging.getLogger("h5daq.worker")

DONE, FAILED, HELD = 0, 1, 3
"""Exit codes: all rows committed; the job could not be begun; rows were left that nobody took."""

HANGING_SECONDS = 2.0
"""A reading that takes longer than this, and than three of its periods, is said to hang."""


class Worker:
    """One job's worker.

    Parameters
    ----------
    spec : WorkerSpec
        What to do.
    parent : Parent, optional
        Who started it.
    """

    def __init__(self, spec: WorkerSpec, parent: Parent | None = None) -> None:
        self.spec, self.job = spec, spec.job
        self.inc = secrets.randbits(64)
        self.orders = Orders()
        self.tally = Tally(self.job.error_count_limit, self._on_failure)
        self._parent = parent
        self._figures = Figures()
        self._wall = WallClock(log, f"job {self.job.group}")
        self._complaints = Throttle(10, 1.0, time.monotonic())
        self._reading: Reading | None = None
        self._reader: Reader | None = None
        self._stop_by: float | None = None
        self._ending = False
        link = WorkerLink(spec.data, spec.signals, self.job.group)
        self.courier = Courier(
            self.job, self.inc, link, self._stock(), self.tally,
            on_command=self._on_command, status=self._status, tick=self._tick,
        )  # fmt: skip
        self._collector = Collector(
            self.job, self.inc, self.courier.ship, self.tally, spec.batch_interval
        )

    def run(self) -> int:
        """From hello to bye; the exit code."""
        heed_signals(self.stop, self._parent is not None)
        handler = send_messages(self.job.group, self.spec.log_level, self.courier.say)
        self.courier.start()
        try:
            self._reading = self.job.make_reading()
            self._read(self._reading)
            return self._drain()
        finally:
            logging.getLogger().removeHandler(handler)
            self.courier.close()

    def stop(self) -> None:
        """Stop reading, then drain, then end; from any thread and from signal handlers."""
        if self._stop_by is None:
            self._stop_by = time.monotonic() + self.spec.stop_grace
        self.orders.stop()
        self._interrupt()

    # -- the story ---------------------------------------------------------------------------

    def _read(self, reading: Reading) -> None:
        fine_timer()
        self._reader = Reader(self.job, reading, self._collector, self.tally, self.orders)
        if self._parent is not None:
            self._parent.listen(self._obey)
            self._parent.tell("ready")
        self.courier.report()
        try:
            self._reader.run()
        finally:
            _close(self.job, reading)

    def _drain(self) -> int:
        self.courier.report()
        held = self.courier.finish(self.spec.drain_timeout)
        if held:
            log.warning("job %s: ends with %d rows that the writer did not take",
                        self.job.group, held)  # fmt: skip
        return HELD if held else DONE

    def _stock(self) -> Stock:
        job, spec = self.job, self.spec
        relics = find_relics(job.group, spec.home)
        spool = None
        if job.spool != "never":
            turn = max((relic.spool.about.turn for relic in relics), default=-1) + 1
            about = About(job.group, self.inc, spec.home, self._hello(spooled=True), turn)
            spool = Spool(place_of(spec.run, job.group, self.inc), about, job.spool_bytes)
        return Stock(job, self.inc, self._hello(), spool, relics)

    def _hello(self, **fields: Any) -> bytes:
        job, schema = self.job, self.job.schema
        if self.spec.cause:
            fields["cause"] = self.spec.cause
        return encode(
            "hello", job=job.group, inc=self.inc, schema=schema.to_wire(), attrs=job.attrs,
            host=socket.gethostname(), pid=os.getpid(), mode=job.read_mode,
            period=job.read_period if job.read_mode == "schedule" else 0.0,
            chunk=job.chunk_length or 0, hash=schema.fingerprint, time=time.time(), **fields,
        )  # fmt: skip

    # -- what others say ------------------------------------------------------------------------

    def _on_command(self, fields: Mapping[str, Any]) -> None:
        verb = str(fields["verb"])
        if not self.orders.take(int(fields["seq"]), verb, int(fields.get("n") or 1)):
            return
        if verb == "stop":
            self.stop()
        elif verb == "pause":
            self._interrupt()
        self.courier.report()

    def _obey(self, order: dict[str, Any] | None) -> None:
        if order is None:
            log.warning("job %s: the parent process is gone: draining", self.job.group)
            self.stop()
        elif order["k"] == "stop":
            self.stop()
        elif order["k"] == "endpoints":
            self.courier.redirect(order["data"], order["signals"])

    # -- what it says --------------------------------------------------------------------------

    def _on_failure(self, failure: Failure) -> None:
        if self._complaints.allows(time.monotonic()):
            count = self._complaints.left_out()
            more = f" (and {count} more since the last message)" if count else ""
            log.error("job %s: %s%s", self.job.group, failure.text, more)
        if self._parent is not None:
            self._parent.tell(
                "reading-error", count=failure.streak, text=failure.text, handle=failure.handle
            )
        elif failure.handle:
            _handle(self.job)

    def _status(self) -> dict[str, Any]:
        rows, size = self.courier.held
        reader = self._reader
        middle, late = (0.0, 0.0) if reader is None else reader.pace.lateness()
        state, message = self._state(rows)
        return {
            "state": state,
            "counts": self.tally.snapshot(),
            "overruns": 0 if reader is None else reader.pace.overruns,
            "held": rows,
            "held_bytes": size,
            "late": late,
            "late_median": middle,
            "cmd": self.orders.seq,
            "message": message,
            "jumps": self._wall.look(),
            **self._figures.take(),
        }

    def _state(self, held: int) -> tuple[str, str]:
        text = self.courier.trouble or self.tally.last_text
        if self._reader is None:
            return "starting", text
        hanging = self._hanging(time.monotonic())
        if hanging:
            return "hanging", f"a reading has been under way for {hanging:.0f} s"
        if self.orders.stopped:
            return "draining", f"{held} rows held"
        trouble = self.courier.trouble or self.tally.streak
        return ("paused" if self._reader.resting else "reading"), text if trouble else ""

    def _hanging(self, now: float) -> float:
        """For how many seconds, 0 if it isn't."""
        since = None if self._reader is None else self._reader.busy_since
        allowed = HANGING_SECONDS
        if self.job.read_mode == "schedule":
            allowed = max(allowed, 3 * self.job.read_period)
        return now - since if since is not None and now - since > allowed else 0.0

    # -- the courier's clock ---------------------------------------------------------------------

    def _tick(self, now: float) -> None:
        self._collector.expire(now)
        if self._stop_by is None:
            return
        # Again and again: the first time may have come just before a reading began.
        self._interrupt()
        if now > self._stop_by and not self._ending:
            self._ending = True
            self.courier.stop_waiting()
            if self._reader is not None and self._reader.busy_since is not None:
                threading.Thread(target=self._end_without_reader, name="h5daq-end").start()

    def _interrupt(self) -> None:
        """Tell a getter that waits for something; it may be the user's, and raise anything."""
        try:
            if self._reading is not None:
                self._reading.interrupt()
        except Exception:
            log.exception("job %s: interrupting the getter failed", self.job.group)

    def _end_without_reader(self) -> None:
        log.error("job %s: the getter does not return: ending without it", self.job.group)
        code = self._drain()
        self.courier.close()
        _tell(self._parent, "done")
        os._exit(code)


def main(spec_bytes: bytes, control_socket: socket.socket | None = None) -> int:
    """A worker's whole life.

    Parameters
    ----------
    spec_bytes : bytes
        From `WorkerSpec.to_bytes`.
    control_socket : socket.socket, optional
        The private pipe to the parent.

    Returns
    -------
    int
        Exit code: `DONE`, `FAILED` or `HELD`.
    """
    return _live(spec_bytes, None if control_socket is None else Parent(control_socket))


def serve(control: socket.socket | Parent) -> int:
    """A worker whose description comes as the first order on its private pipe; the exit code."""
    parent = control if isinstance(control, Parent) else Parent(control)
    return _live(parent.expect("spec")["spec"], parent)


def _live(spec_bytes: bytes, parent: Parent | None) -> int:
    harmless_output()
    no_input()
    try:
        code = Worker(WorkerSpec.from_bytes(spec_bytes), parent).run()
        _tell(parent, "done")
    except H5daqError as error:
        log.error("%s", error)
        _tell(parent, "failed", text=str(error))
        code = FAILED
    finally:
        if parent is not None:
            parent.close()
    return code


def _tell(parent: Parent | None, kind: str, **fields: Any) -> None:
    if parent is not None:
        parent.tell(kind, **fields)


def _close(job: DAQJob, reading: Reading) -> None:
    try:
        reading.close()
    except Exception:
        log.exception("job %s: closing the getter failed", job.group)


def _handle(job: DAQJob) -> None:
    try:
        if job.handle_error_function is not None:
            job.handle_error_function()
    except Exception:
        log.exception("job %s: its error handler failed", job.group)
