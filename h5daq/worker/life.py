"""The life of a worker, in the order in which it happens.

It quiets signals and output, says hello, builds the getter, tells its parent that it is ready,
and reads until somebody says stop: the writer by a command, the parent by the pipe or by its
death, or a SIGTERM. Then the last rows are shipped, the getter is closed, and the worker waits
until the writer has committed everything it holds.

A getter that hangs can't be ended, but it keeps nothing else: the courier goes on, the status
says for how long it has been hanging and in which call (`watch`), and when the worker is to stop,
or the job's ``hang_timeout`` is over, it ends without the getter after a grace.
"""

from __future__ import annotations

import logging
import os
import secrets
import socket
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from h5daq.flow.wire import encode
from h5daq.jobs.collector import Collector
from h5daq.jobs.handler import call_handler
from h5daq.jobs.job import DAQJob
from h5daq.jobs.orders import Orders
from h5daq.jobs.pulse import Pulse
from h5daq.jobs.readers import Reader
from h5daq.jobs.reading import Reading
from h5daq.jobs.spool import About, Spool
from h5daq.jobs.spool_places import place_of
from h5daq.jobs.tally import Failure, Tally
from h5daq.jobs.toll import Owner, Toll
from h5daq.jobs.wallclock import WallClock
from h5daq.transports.zmq import WorkerLink
from h5daq.worker.courier import Courier
from h5daq.worker.loghandler import Throttle, send_messages
from h5daq.worker.machine import Figures, fine_timer, heed_signals
from h5daq.worker.parent import Parent
from h5daq.worker.relic import find_relics
from h5daq.worker.spec import WorkerSpec
from h5daq.worker.stock import Stock
from h5daq.worker.watch import Watch

__all__ = ["DONE", "FAILED", "HELD", "Worker"]

log = logging.getLogger("h5daq.worker")

DONE, FAILED, HELD = 0, 1, 3
"""Exit codes: all rows committed; the job could not be begun; rows were left that nobody took."""

REST_SECONDS, REST_BYTES = 1.5, 1 << 20
"""How long the writer's answers may wait, if so many bytes may be held: the heartbeat tells them
all each second, and each one that comes by itself would wake two threads for little."""

HUNG_SECONDS = 1.0
"""How long a getter that is given up may take to return after it was interrupted."""


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
        self._toll = Toll(Owner(self.job.group, self.inc, spec.run, spec.home))
        self.tally = Tally(self.job.error_count_limit, self._on_failure, self._toll.count)
        self._parent = parent
        self._figures = Figures()
        self._wall = WallClock(log, f"job {self.job.group}")
        self._complaints = Throttle(10, 1.0, time.monotonic())
        self.hung = ""
        self._pulse = Pulse(Path(spec.pulse) if spec.pulse else None)
        self._watch = Watch(self.job, self._pulse)
        self._interrupter: threading.Thread | None = None
        self._reading: Reading | None = None
        self._reader: Reader | None = None
        self._stop_by: float | None = None
        self._ending = False
        link = WorkerLink(spec.data, spec.signals, self.job.group, spec.keys)
        self._stock = self._make_stock()
        self.courier = Courier(
            self.job, self.inc, link, self._stock, self.tally,
            on_command=self._on_command, status=self._status, tick=self._tick,
            on_failure=self._courier_failed,
        )  # fmt: skip
        self._collector = Collector(
            self.job, self.inc, self.courier.ship, self.tally, spec.batch_interval,
            copy=False, count=self._toll.count,
        )  # fmt: skip

    def run(self) -> int:
        """From hello to bye; the exit code."""
        heed_signals(self.stop, self._parent is not None)
        handler = send_messages(self.job.group, self.spec.log_level, self.courier.say)
        self._watch.listen()
        self._watch.expect_copies(self._let_go)
        self.courier.start()
        self._watch.shield()
        try:
            with self._watch.over("building the getter"):
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
        self._reader = Reader(self.job, reading, self._collector, self.tally, self.orders,
                              pulse=self._pulse)  # fmt: skip
        if self._parent is not None:
            self._parent.listen(self._obey)
            self._parent.tell("ready")
        self.courier.report()
        try:
            self._reader.run()
        finally:
            with self._watch.over("closing the getter"):
                _close(self.job, reading)

    def _drain(self) -> int:
        self.courier.report()
        held = self.courier.finish(self.spec.drain_timeout)
        if held:
            log.warning("job %s: ends with %d rows that the writer did not take",
                        self.job.group, held)  # fmt: skip
        self._toll.close(whole=not held and not self._untold)
        return HELD if held else DONE

    @property
    def _untold(self) -> int:
        """Rows and readings that have neither a number nor a place in the tally."""
        told = self.courier.figures()["end"] + sum(self.tally.snapshot().values())
        return max(0, self._toll.count.total - told)

    def _make_stock(self) -> Stock:
        job, spec = self.job, self.spec
        relics = find_relics(job.group, spec.home)
        spool = None
        if job.spool != "never":
            turn = max((relic.spool.about.turn for relic in relics), default=-1) + 1
            about = About(job.group, self.inc, spec.home, self._hello(spooled=True), turn)
            spool = Spool(place_of(spec.run, job.group, self.inc), about, job.spool_bytes)
        return Stock(job, self.inc, self._hello(), spool, relics, rest=self._hurry()["rest"])

    def _hello(self, **fields: Any) -> bytes:
        job, schema = self.job, self.job.schema
        if self.spec.cause:
            fields["cause"] = self.spec.cause
        return encode(
            "hello", job=job.group, inc=self.inc, schema=schema.to_wire(), attrs=job.attrs,
            host=socket.gethostname(), pid=os.getpid(), mode=job.read_mode,
            period=job.read_period if job.read_mode == "schedule" else 0.0,
            chunk=job.chunk_length or 0, hash=schema.fingerprint, time=time.time(),
            **self._hurry(), **fields,
        )  # fmt: skip

    def _hurry(self) -> dict[str, float]:
        """How long a row may wait on its way for others, and its answer."""
        interval = self.spec.batch_interval
        return {
            "interval": self.job.batch_interval if interval is None else interval,
            # Who can hold little needs its room back soon.
            "rest": REST_SECONDS if self.job.buffer_bytes >= REST_BYTES else 0.0,
        }

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
            call_handler(self.job)

    def _status(self) -> dict[str, Any]:
        held = self.courier.figures()
        reader = self._reader
        middle, late = (0.0, 0.0) if reader is None else reader.pace.lateness()
        state, message = self._state(held["held"])
        return {
            "state": state,
            "counts": self.tally.snapshot(),
            "overruns": 0 if reader is None else reader.pace.overruns,
            **held,
            "late": late,
            "late_median": middle,
            "cmd": self.orders.seq,
            "message": message,
            "jumps": self._wall.look(),
            **self._figures.take(),
        }

    def _state(self, held: int) -> tuple[str, str]:
        text = self.courier.trouble or self.tally.last_text
        hanging = self._watch.hanging(time.monotonic())
        if self._reader is None:
            return "starting", hanging or text
        if hanging:
            return "hanging", hanging
        if self.orders.stopped:
            return "draining", f"{held} rows held"
        trouble = self.courier.trouble or self.tally.streak
        return ("paused" if self._reader.resting else "reading"), text if trouble else ""

    # -- the courier's clock ---------------------------------------------------------------------

    def _tick(self, now: float) -> None:
        self._pulse.beat(now)
        self._collector.expire(now)
        self._watch.told_copies()
        if self._stop_by is None:
            self._give_up(now)
            return
        # Again and again: the first time may have come just before a reading began.
        self._interrupt()
        if now > self._stop_by and not self._ending:
            self._ending = True
            self.courier.stop_waiting()
            if self._watch.busy:
                threading.Thread(target=self._end_without_reader, name="h5daq-end").start()

    def _give_up(self, now: float) -> None:
        """End a worker whose getter hangs for longer than the job allows."""
        self.hung = self._watch.hung(now)
        if self.hung:
            log.error("job %s: its getter %s: the worker is ended", self.job.group, self.hung)
            self._stop_by = now + min(HUNG_SECONDS, self.spec.stop_grace)
            self.stop()

    def _interrupt(self) -> None:
        """Tell a getter that waits for something; from a thread of its own, it is the user's."""
        if self._interrupter is None or not self._interrupter.is_alive():
            self._interrupter = threading.Thread(target=self._tell_getter, name="h5daq-interrupt")
            self._interrupter.daemon = True
            self._interrupter.start()

    def _tell_getter(self) -> None:
        try:
            if self._reading is not None:
                self._reading.interrupt()
        except BaseException:
            log.exception("job %s: interrupting the getter failed", self.job.group)

    def _end_without_reader(self) -> None:
        log.error("job %s: the getter does not return: ending without it", self.job.group)
        self._collector.flush(release=True, wait=False)
        if untold := self._untold:
            # The batch that it was filling is out of reach.
            self.tally.lost("hung", untold)
            self.courier.say("status", **self._status())
        code = self._drain()
        self.courier.close()
        self.say_end(code)
        os._exit(code)

    def _courier_failed(self, error: BaseException) -> None:
        """It can't go on without; started again it may."""
        if not self._pulse.ruined():
            _tell(self._parent, "failed", text=f"the courier failed: {error!r}")

    def _let_go(self) -> None:
        """In a copy that the getter has forked: what is held open here would not end with us."""
        self._stock.let_go()
        self._toll.let_go()
        if self._reader is not None:
            self._reader.let_go()
        if self._parent is not None:
            self._parent.let_go()

    def say_end(self, code: int) -> int:
        """Tell the parent that all is done, or that it hung; the exit code."""
        if self.hung:
            _tell(self._parent, "hung", text=self.hung)
            return code or FAILED
        _tell(self._parent, "done")
        return code


def _tell(parent: Parent | None, kind: str, **fields: Any) -> None:
    if parent is not None:
        parent.tell(kind, **fields)


def _close(job: DAQJob, reading: Reading) -> None:
    try:
        reading.close()
    except BaseException:
        log.exception("job %s: closing the getter failed", job.group)
