"""From memory to the segments' files, and from there to the medium.

Two locks, neither of which keeps a reader or a small entry waiting: one puts writes to the file in
order, the other the syncs. A write that fails is tried again with the next sync. A sync that fails
is not: the kernel may have thrown away what it could not write, and would call the next sync a
success. So after it nothing counts but what was safe before, until the journal is read anew.
"""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from h5daq.errors import StorageError
from h5daq.storage.segment_files import SegmentFiles
from h5daq.storage.segments import Block, Frame, Segment, failure
from h5daq.storage.shelf import Shelf

__all__ = ["SegmentWriter"]

_SHORT_BYTES, _PRIMED_BYTES = 16 << 10, 1 << 20
"""Of a sync that is short, and of what is prepared for such."""


class SegmentWriter:
    """Writes and syncs what a shelf holds.

    Parameters
    ----------
    files : SegmentFiles
        The files.
    shelf : Shelf
        What is to be written, and what is told of it.
    durable : bool
        Whether entries are synced, or only the heads of segments.

    Attributes
    ----------
    promised : int
        What frames say was synced: recovery holds the disk to it.
    failure : StorageError or None
        The failed sync after which nothing more is taken.
    """

    def __init__(self, files: SegmentFiles, shelf: Shelf, durable: bool) -> None:
        self._files = files
        self._shelf = shelf
        self._durable = durable
        self._writing = threading.Lock()
        self._syncing = threading.Lock()
        self._synced_end = shelf.end
        self.promised = shelf.synced
        self.failure: StorageError | None = None

    def check(self) -> None:
        """Raise what made the journal fail, if it did."""
        first = self.failure
        if first is not None:
            # A fresh one each time: an exception that is raised again gathers tracebacks.
            raise StorageError(first.errno, first.strerror, first.filename)

    def write(self) -> None:
        """Bring to the file whatever is only in memory."""
        with self._writing:
            self._write_gathered()

    def write_large(self, segment: Segment, lsn: int, frame: Frame) -> None:
        """Write one entry as it is, behind what is only in memory. All of it or nothing."""
        # Outside the lock: a sync need not wait for more room than it takes.
        segment.large.make_room(frame.size)
        with self._writing:
            self._write_gathered()
            offset = segment.size
            self._ask_large(segment.large.check, segment)
            try:
                if not segment.write_large(offset, frame):
                    self._follow(segment, offset, frame.size)
            except OSError as error:
                with suppress(OSError):
                    segment.cut_back(offset, self._files.segment_bytes)
                self.check()
                raise failure(error, f"entry {lsn} can't be written", segment.path) from error
            block = Block(lsn, lsn, offset, frame.size, message=frame.message)
            self._shelf.hold(segment, block)

    def sync(self) -> int:
        """Make everything safe that was added before the call; returns the lsn it reaches to."""
        with self._syncing:
            self.check()
            with self._writing:
                self._write_gathered()
                self._prime()
            upto, dirty = self._shelf.take_dirty()
            try:
                for segment in dirty:
                    self._ask_large(segment.large.settle, segment)
                self._make_durable([s for s in dirty if self._durable or not s.head_synced])
            except BaseException:
                # Whatever came in between, the next one must not take it for done.
                self._shelf.still_dirty(dirty)
                raise
            self._shelf.made_durable(upto, dirty)
            if self._durable:
                self.promised = upto
            return upto

    def _prime(self) -> None:
        """Where syncs are short, prepare the file for those that follow: each is quicker then."""
        segment, end = self._shelf.newest, self._shelf.end
        grown, self._synced_end = end - self._synced_end, end
        short = self._durable and 0 < grown < _SHORT_BYTES
        if not short or segment is None or segment.size <= segment.primed:
            return
        # A room that could not be had is not asked for again.
        with suppress(OSError):
            segment.prime(_PRIMED_BYTES, self._files.reserved_bytes)

    def _ask_large(self, ask: Callable[[], None], segment: Segment) -> None:
        """Take a large entry that was appended, and could not be written, for a failed sync."""
        try:
            ask()
        except OSError as error:
            raise self._fail(error, segment.path) from error

    def _make_durable(self, segments: list[Segment]) -> None:
        for segment in segments:
            try:
                self._files.disk.sync(segment.fd)
                if self._files.disk.vanished(segment.fd):
                    raise FileNotFoundError(errno.ENOENT, "the segment was removed")
            except OSError as error:
                raise self._fail(error, segment.path) from error
        try:
            self._files.sync_names()
        except OSError as error:
            raise self._fail(error, self._files.directory) from error

    def _write_gathered(self) -> None:
        while (item := self._shelf.unwritten()) is not None:
            try:
                item.segment.write(item.offset, [item.frames])
            except OSError as error:
                what = f"the entries up to {item.last} can't be written"
                raise failure(error, what, item.segment.path) from error
            self._shelf.wrote(item)
            self._follow(item.segment, item.offset, len(item.frames))

    def _follow(self, segment: Segment, offset: int, length: int) -> None:
        try:
            segment.behind.begin()
            segment.behind.wrote(offset, length)
        except OSError as error:
            raise self._fail(error, segment.path) from error

    def _fail(self, error: OSError, path: Path) -> StorageError:
        what = (
            f"the journal could not be synced (nothing after entry {self._shelf.synced} is safe, "
            f"and it takes no more until it is opened again)"
        )
        self.failure = failure(error, what, path)
        return self.failure
