"""The courier: takes encoded rows, hears the writer, sends again what got lost.

`ship` is called by the thread that reads: it encodes, and sends at once where the window allows.
The courier's own thread waits for signals with a deadline, and says its status when the writer's
heartbeat has woken it anyway: for a hundred workers on a small computer waking up is what costs.
Everything that decides what is sent stands in `h5daq.flow.delivery`; here are only the lock, the
clock and the link.

What is held, and where, is the affair of `h5daq.worker.stock`; how the writer is, of
`h5daq.worker.contact`. A job in constant mode waits
for a writer that is alive but slow, whatever its policy: nothing but the getter's speed is lost.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from h5daq.errors import ConfigError, WireError
from h5daq.flow.batch import Batch
from h5daq.flow.spooling import Piece
from h5daq.flow.wire import encode, seal_rows
from h5daq.jobs.job import DAQJob
from h5daq.jobs.tally import Tally
from h5daq.transports.base import WorkerLink
from h5daq.worker.contact import Contact
from h5daq.worker.stock import Stock

__all__ = ["Courier"]

log = logging.getLogger("h5daq.worker")

STATUS_SECONDS, STATUS_LEAST = 1.2, 0.7
"""A status is said with the writer's heartbeat if the last one is so old, else after so long."""

HELLO_SECONDS = 2.0
"""How long a worker without rows waits for a first sign of the writer before it ends."""


class Courier(threading.Thread):
    """Carries one job's messages to the writer, and the writer's to the job.

    Parameters
    ----------
    job : DAQJob
        Whose rows.
    inc : int
        Incarnation.
    link : WorkerLink
        To the writer; the courier closes it.
    stock : Stock
        Where messages are held; the courier closes it.
    tally : Tally
        Where lost rows are counted.
    on_command : callable
        Takes the fields of each ``command`` message.
    status : callable
        Gives the fields of a status message.
    tick : callable
        Called at least once a second with the monotonic time.
    on_failure : callable
        Takes what ended the courier, just before the process ends of it.
    """

    def __init__(
        self,
        job: DAQJob,
        inc: int,
        link: WorkerLink,
        stock: Stock,
        tally: Tally,
        *,
        on_command: Callable[[Mapping[str, Any]], None],
        status: Callable[[], dict[str, Any]],
        tick: Callable[[float], None],
        on_failure: Callable[[BaseException], None] = lambda _error: None,
    ) -> None:
        super().__init__(name="h5daq-courier", daemon=True)
        self.inc = inc
        self._contact = Contact(job.group)
        self._job, self._link, self._tally = job, link, tally
        self._on_command, self._status, self._on_tick = on_command, status, tick
        self._on_failure = on_failure
        self._lock = threading.Lock()
        self._moved = threading.Condition(self._lock)
        self._stock = stock
        self._status_at = 0.0
        self._finishing_at: float | None = None
        self._impatient = False
        self._closing = False
        self._new_endpoints: tuple[str, str] | None = None

    # -- from the reading thread -----------------------------------------------------------------

    def ship(self, batch: Batch) -> bool:
        """Number, encode and send a batch; False if its rows could not be kept.

        Waits where the overflow policy says so.
        """
        try:
            message = seal_rows(batch, self._job.schema)
        except WireError as error:
            return self._refuse(batch, error)
        piece = Piece(batch.first, batch.n, message)
        with self._lock:
            cause = "" if self._stock.put(piece) else self._keep(piece)
            if cause:
                self._tally.lost(cause, batch.n)
            self._pump()
        return not cause

    def finish(self, timeout: float) -> int:
        """Say goodbye after the last row and wait until it is answered; the rows still held."""
        self._finishing_at = time.monotonic()
        deadline = self._finishing_at + timeout
        with self._moved:
            self._stock.finish()
            self._pump()
            self._link.wake()
            while not self._stock.done and not self._hopeless and time.monotonic() < deadline:
                self._moved.wait(min(0.5, max(0.0, deadline - time.monotonic())))
            return self._stock.held[0]

    def stop_waiting(self) -> None:
        """Nobody waits for room any more, whatever the overflow policy."""
        with self._moved:
            self._impatient = True
            self._moved.notify_all()

    # -- from any thread ---------------------------------------------------------------------------

    @property
    def held(self) -> tuple[int, int]:
        """Rows and bytes that are not committed."""
        with self._lock:
            return self._stock.held

    def figures(self) -> dict[str, int]:
        """What is held and where, as a status says it; all of one moment."""
        with self._lock:
            return self._stock.figures()

    @property
    def trouble(self) -> str:
        """Why rows can't go to the writer, or not to the spool; empty if they can."""
        return self._contact.trouble or self._stock.trouble

    def say(self, kind: str, **fields: Any) -> bool:
        """Send a small message that may be lost; never waits, never raises."""
        try:
            message = encode(kind, job=self._job.group, inc=self.inc, **fields)
        except ValueError:
            # Not even what a getter logs may do harm: a lone surrogate is no UTF-8.
            return False
        return self._link.send(message)

    def redirect(self, data: str, signals: str) -> None:
        """The writer has moved."""
        with self._lock:
            self._new_endpoints = (data, signals)
        self._link.wake()

    def report(self) -> None:
        """Send a status soon."""
        self._status_at = 0.0
        self._link.wake()

    def close(self) -> None:
        """End the thread and the link; what is still held is left to the next worker.

        What was sent gets a moment to leave.
        """
        self._closing = True
        self._link.wake()
        if self.is_alive():
            self.join()
        with self._lock:
            left = self._stock.close()
        if left:
            log.warning("job %s: %s", self._job.group, left)
        self._link.close(linger=0.2)

    # -- the thread --------------------------------------------------------------------------------

    def run(self) -> None:
        """Hear, send again, report; until closed."""
        try:
            while not self._closing:
                self._round()
        except BaseException as error:
            # Without its courier a worker would fill up in silence. Started again it would not.
            self._on_failure(error)
            log.critical("job %s: the courier failed", self._job.group, exc_info=True)
            os._exit(1)

    def _round(self) -> None:
        for _, fields in self._link.receive(self._patience()):
            self._hear(fields)
        self._redirect()
        with self._lock:
            self._pump()
        self._tick(time.monotonic())

    def _patience(self) -> float:
        with self._lock:
            deadline = self._stock.speaker.next_deadline()
        wake_at = self._status_at if deadline is None else min(deadline, self._status_at)
        return max(0.0, min(wake_at - time.monotonic(), STATUS_SECONDS))

    def _hear(self, fields: dict[str, Any]) -> None:
        now, kind = time.monotonic(), fields["k"]
        if kind == "command":
            self._on_command(fields)
        elif kind == "refused":
            self._contact.refuse(str(fields.get("cause", "?")))
            with self._moved:
                self._stock.set_aside()
        elif kind == "position":
            self._contact.hear(now)
            self._move(kind, fields, now)
        elif kind == "heartbeat":
            self._contact.hear(now, bool(fields.get("stalled")))
            if now > self._status_at - (STATUS_SECONDS - STATUS_LEAST):
                self._status_at = now
            self._move(kind, fields, now)

    def _move(self, kind: str, fields: dict[str, Any], now: float) -> None:
        try:
            with self._moved:
                self._moved.notify_all()
                if kind == "heartbeat":
                    self._stock.speaker.on_heartbeat(fields, self._job.group, now)
                    return
                self._stock.speaker.on_position(fields, now)
        except WireError as error:
            log.warning("job %s: a %s that makes no sense: %s", self._job.group, kind, error)
        else:
            if fields.get("inc") == self.inc and not fields.get("need"):
                self._contact.refused = ""

    def _redirect(self) -> None:
        with self._lock:
            endpoints, self._new_endpoints = self._new_endpoints, None
        if endpoints is None:
            return
        try:
            self._link.reconnect(*endpoints)
        except ConfigError as error:
            log.error("job %s: told of a writer that can't be reached: %s", self._job.group, error)
            return
        with self._moved:
            self._stock.speaker.reset_link(time.monotonic())

    def _tick(self, now: float) -> None:
        if now >= self._status_at:
            self._status_at = now + STATUS_SECONDS
            self._on_tick(now)
            self._contact.lock_out("" if self._alive else self._link.refusal())
            self._renew(now)
            self.say("status", **self._status())

    def _renew(self, now: float) -> None:
        """Connect anew where a connection seems dead though nobody has said so."""
        with self._lock:
            unanswered_since = self._stock.speaker.unanswered_since
        if self._contact.is_dead(now, unanswered_since):
            self._link.renew()
            with self._lock:
                self._stock.speaker.reset_link(now)

    # -- under the lock -------------------------------------------------------------------------

    def _pump(self) -> None:
        self._stock.pump(self._link.send, time.monotonic())

    @property
    def _alive(self) -> bool:
        return self._contact.is_alive(time.monotonic())

    @property
    def _hopeless(self) -> bool:
        """The writer refuses the job, or was never heard while nothing is held: no answer comes."""
        if self._finishing_at is None:
            return False
        contact = self._contact
        if not contact.refused and (contact.was_heard or self._stock.held[0]):
            return False
        return time.monotonic() - self._finishing_at > HELLO_SECONDS

    def _keep(self, piece: Piece) -> str:
        """Hold a message for which there is no room: wait for some where that is due.

        Gives "", or the cause of its loss.
        """
        # The courier can't wait for itself, and a batch above the limit is better than one lost.
        own = threading.current_thread() is self
        while not own and not self._stock.fits(len(piece.message)) and self._may_wait:
            self._moved.wait(0.5)
        return self._stock.keep(piece, must=own)

    @property
    def _may_wait(self) -> bool:
        if self._impatient:
            return False
        if self._job.overflow == "block":
            return True
        # Reading goes on while the rows of an earlier worker are sent.
        return self._job.read_mode == "constant" and self._alive and not self._stock.past

    def _refuse(self, batch: Batch, error: WireError) -> bool:
        log.error("job %s: %d rows can't be sent: %s", self._job.group, batch.n, error)
        self._tally.lost(error.cause, batch.n)
        return False
