"""The thread that owns the HDF5 files: it follows the commits and makes checkpoints.

Between checkpoints it streams full chunks to disk whenever enough has been committed; a
checkpoint comes every ``write_period`` (jittered), on a flush, or when ``checkpoint_bytes`` wait.
If the files can't be written it says so, goes back to the last checkpoint and tries again: the
journal has everything.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable

from h5daq.storage.checkpoint import Builder

__all__ = ["Store"]

log = logging.getLogger("h5daq.writer")

_RETRY_SECONDS = 1.0
_APPLY_SECONDS = 0.5
_LONGEST_WAIT = 3600.0
_SOON_SECONDS = 0.2
"""A new job, a new file and a sealed one are on disk after so long, whatever the period."""


class Store(threading.Thread):
    """Runs a `Builder` beside the commits.

    Parameters
    ----------
    builder : Builder
        Owned by this thread from `start` on.
    write_period, jitter : float
        Seconds between checkpoints, and how much they vary.
    stream_bytes, checkpoint_bytes : int
        Committed bytes at which chunks are streamed, and at which a checkpoint comes early.
    checkpointed, failed : callable
        Told of each finished checkpoint, and of the error that ended the thread.
    """

    def __init__(
        self,
        builder: Builder,
        *,
        write_period: float,
        jitter: float,
        stream_bytes: int,
        checkpoint_bytes: int,
        checkpointed: Callable[[], None],
        failed: Callable[[BaseException], None],
    ) -> None:
        super().__init__(name="h5daq-store", daemon=True)
        self._builder = builder
        self._checkpointed, self._failed = checkpointed, failed
        self._period, self._jitter = write_period, jitter
        self._stream_bytes, self._checkpoint_bytes = stream_bytes, checkpoint_bytes
        self._changed = threading.Condition()
        self._target = builder.lsn
        self._bytes = 0
        self._wanted = 0
        self._closing = self._abandoned = False
        self._due = time.monotonic() + self._draw()
        self.trouble = ""
        self.last_checkpoint: float | None = None
        self.checkpoint_seconds = 0.0
        self.done_lsn = builder.checkpoint_lsn

    def committed(self, lsn: int, nbytes: int, urgent: bool = False) -> None:
        """Entries up to `lsn` may go to the files; soon, when people wait to see them there."""
        with self._changed:
            self._target = max(self._target, lsn)
            self._bytes += nbytes
            if urgent:
                self._due = min(self._due, time.monotonic() + _SOON_SECONDS)
            if urgent or self._ready():
                self._changed.notify()

    def flush(self, lsn: int) -> None:
        """Ask for a checkpoint as soon as the entries up to `lsn` are committed."""
        with self._changed:
            self._wanted = max(self._wanted, lsn)
            self._changed.notify()

    def set_period(self, period: float, jitter: float) -> None:
        """Change the checkpoint period from now on."""
        with self._changed:
            self._period, self._jitter = period, jitter
            self._due = time.monotonic() + self._draw()
            self._changed.notify()

    def close(self) -> None:
        """Ask for a last checkpoint, then end; `join` waits for it."""
        with self._changed:
            self._closing = True
            self._changed.notify()

    def abandon(self) -> None:
        """End soon, with the files at their last checkpoint: the journal has the rest."""
        with self._changed:
            self._abandoned = True
            self._changed.notify()

    # -- the thread ------------------------------------------------------------------------

    def run(self) -> None:
        """Follow the commits until closed and everything is in the files, or it is abandoned."""
        try:
            while not self._finished():
                self._wait()
                self._work()
            self._builder.close()
        except BaseException as error:
            log.critical("the files' thread ended: %s", error)
            self._failed(error)
            raise

    def _finished(self) -> bool:
        with self._changed:
            done = self.done_lsn >= self._target and not self.trouble
            return self._abandoned or (self._closing and done)

    def _wait(self) -> None:
        with self._changed:
            if not self._ready():
                timeout = self._due - time.monotonic()
                if self._builder.pending:
                    timeout = min(timeout, _APPLY_SECONDS)
                self._changed.wait(min(max(0.0, timeout), _LONGEST_WAIT))

    def _ready(self) -> bool:
        hurried = self._closing or bool(self.trouble)
        return hurried or self._bytes >= self._stream_bytes or self._flush_wanted()

    def _flush_wanted(self) -> bool:
        return min(self._wanted, self._target) > self.done_lsn

    def _work(self) -> None:
        try:
            self._advance()
            self.trouble = ""
        except OSError as error:
            # Most are ours, and say what was tried; none of them is a reason to end.
            self._recover(error)

    def _advance(self) -> None:
        self._see_readers_out()
        if not self._ready() and not self._is_due():
            return
        with self._changed:
            target, self._bytes = self._target, 0
        self._follow(target)
        if self._is_due():
            self._checkpoint()
        self._builder.release()

    def _see_readers_out(self) -> None:
        """Bring in what waited for readers who have gone; by a checkpoint once more has begun."""
        if not self._builder.pending:
            return
        self._builder.apply_pending()
        if self._builder.overdue():
            self._due = time.monotonic()

    def _follow(self, target: int) -> None:
        """Bring in what is committed, in steps with a checkpoint after each.

        The steps are small after trouble: on a disk that was full, each makes room in the journal.
        """
        step = self._stream_bytes if self.trouble else self._checkpoint_bytes
        while self._builder.lsn < target:
            self._builder.advance(target, step)
            if self._builder.bytes_waiting >= step:
                self._checkpoint()

    def _is_due(self) -> bool:
        return self._closing or self._flush_wanted() or time.monotonic() >= self._due

    def _checkpoint(self) -> None:
        self._due = time.monotonic() + self._draw()
        if self._builder.lsn > self.done_lsn:
            began = time.monotonic()
            self.done_lsn = self._builder.checkpoint()
            self.checkpoint_seconds = time.monotonic() - began
            self.last_checkpoint = time.time()
            self._checkpointed()

    def _recover(self, error: OSError) -> None:
        if not self.trouble:
            log.error("the files can't be written: %s. The journal keeps everything.", error)
        self.trouble = str(error)
        self._builder.rewind()
        with self._changed:
            if not self._abandoned:
                self._changed.wait(_RETRY_SECONDS)

    def _draw(self) -> float:
        return self._period + random.uniform(-self._jitter, self._jitter)
