"""`Spool`: messages of one incarnation on the worker's own disk, until the writer has them.

A spool is a directory: ``lock``, held by the one worker that may send it; ``about``, whose it is
and what to say to the writer; and the messages (`h5daq.jobs.spool_segments`). Nothing is made on
disk before the first message comes.

Nothing is synced: a spool outlives its worker, kill -9 included, not the loss of power. A disk
that is full or out of order costs nothing but the shelter: what could be written before stays, a
torn end is cut off, and after some seconds it is tried again.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgpack

from h5daq.flow.spooling import HEADER_BYTES, Piece
from h5daq.flow.wire import decode_head
from h5daq.jobs.locks import try_lock
from h5daq.jobs.spool_segments import Segments

__all__ = ["About", "Spool"]

log = logging.getLogger("h5daq.worker")

SEGMENT_BYTES = 16 << 20
"""Bytes after which the next segment is begun: the grain in which space is given back."""

RETRY_SECONDS = 5.0
"""How soon a disk that refused is tried again."""


@dataclass(frozen=True, slots=True)
class About:
    """Whose messages they are.

    Parameters
    ----------
    job : str
        The job's group.
    inc : int
        The incarnation.
    home : str
        What the rows were taken for: the directory of the writer's files.
    hello : bytes
        What the next worker says for this incarnation, encoded.
    turn : int
        Above that of all spools that its worker found: they go out in this order, whatever their
        clocks said.
    """

    job: str
    inc: int
    home: str
    hello: bytes
    turn: int = 0

    def to_bytes(self) -> bytes:
        """For the file."""
        packed: bytes = msgpack.packb([self.job, self.inc, self.home, self.hello, self.turn])
        return packed

    @classmethod
    def from_bytes(cls, data: bytes) -> About:
        """From the file.

        Raises
        ------
        ValueError, TypeError
            If it is none.
        """
        about = cls(*msgpack.unpackb(data))
        head = decode_head(about.hello)
        if (head.k, head.job, head.inc) != ("hello", about.job, about.inc):
            raise ValueError("its hello is not its own")
        return about


class Spool:
    """A shelf on disk, as `h5daq.flow.hold.Hold` asks for it.

    Not thread-safe: the caller holds a lock.

    Parameters
    ----------
    directory : Path
        Its own; made with the first message.
    about : About
        Whose messages.
    limit : int
        Most bytes on disk.
    clock : callable
        Monotonic seconds.

    Attributes
    ----------
    trouble : str
        Why the last message could not be kept; empty if it could.
    """

    def __init__(
        self,
        directory: Path,
        about: About,
        limit: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.directory, self.about, self.limit = directory, about, limit
        self.trouble = ""
        self._clock, self._retry_at = clock, 0.0
        self._segments = Segments(directory)
        self._lock: int | None = None
        self._begun = False

    @property
    def size(self) -> int:
        """Bytes on disk."""
        return self._segments.size

    @property
    def first(self) -> int:
        """Number of the first row on disk; 0 without any."""
        return self._segments.first

    def rows(self, following: int) -> int:
        """Rows from number `following` on that are on disk."""
        return self._segments.rows(following)

    # -- as a shelf ----------------------------------------------------------------------------

    def append(self, piece: Piece) -> str:
        """Keep a message; "" or the cause why it can't be: spool-full or spool-failed."""
        if self.size + HEADER_BYTES + len(piece.message) > self.limit:
            return self._complain(f"spool_bytes={self.limit} are used up", "spool-full")
        if self._clock() < self._retry_at:
            return "spool-failed"
        try:
            if not self._begun:
                self._begin()
            # Segments also have to be small against the limit, which frees whole ones only.
            self._segments.append(piece, min(SEGMENT_BYTES, self.limit // 8))
        except OSError as error:
            self._retry_at = self._clock() + RETRY_SECONDS
            return self._complain(f"{self.directory}: {error.strerror or error}", "spool-failed")
        self.trouble = ""
        return ""

    def read(self) -> Piece | None:
        """The oldest message that was not read; None if there is no more."""
        return self._segments.read()

    def pass_over(self) -> None:
        """Take all that was appended so far as read."""
        self._segments.pass_over()

    def release(self, following: int) -> None:
        """Delete the segments that end at or before row `following`."""
        self._segments.release(following)

    def covers(self, piece: Piece) -> bool:
        """Whether the message is on disk."""
        return self._segments.covers(piece)

    def _complain(self, text: str, cause: str) -> str:
        if not self.trouble:
            log.error("job %s: the spool can't take more: %s", self.about.job, text)
        self.trouble = f"{cause}: {text}"
        return cause

    # -- its life --------------------------------------------------------------------------------

    @classmethod
    def adopt(cls, directory: Path) -> Spool | None:
        """What an earlier worker left in a directory; None if it has none, or another sends it.

        Raises
        ------
        OSError
            If it can't be read.
        ValueError
            If what is there is no spool.
        """
        about = About.from_bytes((directory / "about").read_bytes())
        spool = cls(directory, about, limit=0)
        if not spool._take_lock():
            return None
        spool._segments = Segments(directory, directory.glob("*.rows"))
        return spool

    def close(self, *, keep: bool) -> None:
        """Let go of it; without `keep` nothing of it is left on disk."""
        self._segments.close()
        if self._lock is None:
            return
        if not keep:
            # Under the lock, or the next worker might find half of it.
            shutil.rmtree(self.directory, ignore_errors=True)
        os.close(self._lock)
        self._lock = None
        if not keep:
            # Once more, for systems that don't delete an open file; then what is empty above.
            shutil.rmtree(self.directory, ignore_errors=True)
            with contextlib.suppress(OSError):
                self.directory.parent.rmdir()
                self.directory.parent.parent.rmdir()

    def let_go(self) -> None:
        """In a forked child: the lock is its parent's alone, and ends with that."""
        if self._lock is not None:
            with contextlib.suppress(OSError):
                os.close(self._lock)
            self._lock = None

    def _begin(self) -> None:
        _make(self.directory)
        if self._lock is None and not self._take_lock():
            raise OSError(errno.EBUSY, "another worker has this spool")
        # Whole or not at all: a spool without it is nobody's.
        fresh = self.directory / "about.new"
        fresh.write_bytes(self.about.to_bytes())
        fresh.replace(self.directory / "about")
        self._begun = True

    def _take_lock(self) -> bool:
        path = self.directory / "lock"
        fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        # Whoever had the lock may have deleted it all, and the name with it.
        if try_lock(fd) and _same(fd, path):
            self._lock = fd
            return True
        os.close(fd)
        return False


def _make(directory: Path) -> None:
    """Make a directory, also while other workers, which end, delete those above it as empty."""
    for _ in range(10):
        with contextlib.suppress(FileNotFoundError):
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            return
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)


def _same(fd: int, path: Path) -> bool:
    with contextlib.suppress(OSError):
        return os.path.samestat(os.fstat(fd), path.stat())
    return False
