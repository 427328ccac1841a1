"""The stock: all that a worker holds, of its own and of those before it, and where it is held.

What is new goes to memory while it fits; beyond `buffer_bytes` the job's overflow policy decides.
What earlier workers left behind (`h5daq.worker.relic`) goes out first, one incarnation after the
other, and the own one then. Nothing here waits, locks or receives: that is the courier's part.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable

from h5daq.flow.delivery import WINDOW, Sender
from h5daq.flow.hold import Hold
from h5daq.flow.packing import Buffer
from h5daq.flow.spooling import Piece
from h5daq.flow.wire import encode
from h5daq.jobs.job import DAQJob
from h5daq.jobs.spool import Spool
from h5daq.worker.relic import Relic

__all__ = ["Stock"]

log = logging.getLogger("h5daq.worker")


class Stock:
    """What one worker holds.

    Not thread-safe: the caller holds a lock.

    Parameters
    ----------
    job : DAQJob
        Whose rows; its overflow policy.
    inc : int
        The worker's own incarnation.
    hello : bytes
        Its hello, encoded.
    spool : Spool, optional
        The disk.
    relics : iterable of Relic
        What goes out before its own, oldest first.
    rest : float
        For how many seconds positions may wait, by the hello.
    """

    def __init__(
        self,
        job: DAQJob,
        inc: int,
        hello: bytes,
        spool: Spool | None = None,
        relics: Iterable[Relic] = (),
        *,
        rest: float = 0.0,
    ) -> None:
        self._job, self._inc, self._spool = job, inc, spool
        self._relics = deque(relics)
        # What is in flight can't be given up: the half of the buffer must be enough for it.
        window = min(WINDOW, job.buffer_bytes // 2)
        sender = Sender(inc, hello=hello, window=window, rest=rest)
        self._hold = Hold(sender, spool, memory=job.buffer_bytes, always=job.spool == "always")
        self._closed = False
        self._limit_spool()

    # -- what is held --------------------------------------------------------------------------

    @property
    def speaker(self) -> Sender:
        """Of the incarnation that is being sent."""
        return self._relics[0].hold.sender if self._relics else self._hold.sender

    @property
    def held(self) -> tuple[int, int]:
        """Own rows that are not committed, and their bytes in memory."""
        return self._hold.held_rows, self._hold.held_bytes

    @property
    def spooled(self) -> tuple[int, int]:
        """Rows on disk that are not committed, of earlier workers too; and bytes on disk."""
        own = 0 if self._spool is None else self._spool.rows(self._hold.sender.next)
        size = 0 if self._spool is None else self._spool.size
        if not self._relics:
            return own, size
        return own + self.earlier, size + sum(relic.spool.size for relic in self._relics)

    @property
    def earlier(self) -> int:
        """Rows of earlier workers that are not committed."""
        relics = self._relics
        return sum(r.spool.rows(r.hold.sender.next) for r in relics) if relics else 0

    @property
    def end(self) -> int:
        """The number that the next row gets."""
        return self._hold.end

    def figures(self) -> dict[str, int]:
        """All of it, as a status says it."""
        rows, size = self.held
        spooled, spooled_bytes = self.spooled
        return {
            "end": self.end,
            "held": rows,
            "held_bytes": size,
            "earlier": self.earlier,
            "spooled": spooled,
            "spooled_bytes": spooled_bytes,
        }

    @property
    def past(self) -> bool:
        """Whether an earlier worker's rows are still being sent."""
        return bool(self._relics)

    @property
    def done(self) -> bool:
        """Whether all is committed and the bye was answered."""
        return not self._relics and self._hold.sender.done

    @property
    def trouble(self) -> str:
        """What is wrong with the disk; empty if nothing is."""
        return "" if self._spool is None else self._spool.trouble

    # -- in ------------------------------------------------------------------------------------

    def fits(self, size: int) -> bool:
        """Whether there is room for `size` bytes in memory."""
        return self._hold.fits(size)

    def put(self, piece: Piece) -> bool:
        """Hold a message in memory if there is room for it."""
        if not self._hold.fits(len(piece.message)):
            return False
        self._hold.put(piece)
        return True

    def keep(self, piece: Piece, *, must: bool = False) -> str:
        """Hold a message; "" or the cause for which its rows are lost.

        With `must` it is rather held beyond the limit than lost, if the disk can't take it.
        """
        size = len(piece.message)
        if not self.fits(size) and self._job.overflow == "spool" and self._spool is not None:
            cause = self._hold.stow(piece)
            if not cause or self._hold.behind:
                return cause
        if not self.fits(size) and not must and not self._make_room(size):
            return "overflow"
        self._hold.put(piece)
        return ""

    def _make_room(self, size: int) -> bool:
        if self._job.overflow in ("spool", "drop-oldest"):
            self._hold.sender.shed(max(0, self._job.buffer_bytes - size), "overflow")
        return self.fits(size)

    def finish(self) -> None:
        """Nothing is put any more."""
        self._hold.finish(self._bye)

    def _bye(self, end: int) -> bytes:
        return encode("bye", job=self._job.group, inc=self._inc, end=end)

    # -- out -----------------------------------------------------------------------------------

    def pump(self, send: Callable[[Buffer], bool], now: float) -> None:
        """Send what is to be sent now."""
        while self._relics and self._relics[0].done:
            relic = self._relics.popleft()
            relic.spool.close(keep=False)
            log.info("job %s: an earlier worker's rows are all committed", self._job.group)
            self._limit_spool()
        (self._relics[0].hold if self._relics else self._hold).pump(send, now)

    def set_aside(self) -> None:
        """The writer refuses the earlier worker's rows: they stay on disk for another day."""
        if self._relics:
            relic = self._relics.popleft()
            relic.spool.close(keep=True)
            log.error("job %s: rows of an earlier worker stay in %s",
                      self._job.group, relic.spool.directory)  # fmt: skip

    def _limit_spool(self) -> None:
        """The limit is one for all that is on disk."""
        if self._spool is not None:
            used = sum(relic.spool.size for relic in self._relics)
            self._spool.limit = max(0, self._job.spool_bytes - used)

    # -- the end -------------------------------------------------------------------------------

    def let_go(self) -> None:
        """In a forked child: nothing on disk is its own."""
        for spool in (self._spool, *(relic.spool for relic in self._relics)):
            if spool is not None:
                spool.let_go()

    def close(self) -> str:
        """Leave what is held to the next worker; says where, or how many rows are lost."""
        if self._closed:
            return ""
        self._closed = True
        rows = self._hold.held_rows
        for relic in self._relics:
            relic.spool.close(keep=not relic.done)
        self._relics.clear()
        if self._spool is None:
            return f"{rows} rows are lost" if rows else ""
        lost = self._hold.save() if rows else 0
        self._spool.close(keep=rows > 0)
        if not rows:
            return ""
        more = f", {lost} rows are lost" if lost else ""
        return f"{rows - lost} rows are in {self._spool.directory}{more}"
