"""What a journal holds, for three threads at once: its segments, and its tail in memory.

Each method takes the one lock, for moments: nothing here writes, reads or syncs a file. One thread
adds, one asks for what is to be written and synced, one finds and releases; whichever comes first,
the others find a state that makes sense.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence

from h5daq.storage.segment_disk import Part
from h5daq.storage.segments import Block, Segment
from h5daq.storage.tail import Tail, Unwritten

__all__ = ["Shelf"]


class Shelf:
    """The state of a journal.

    Parameters
    ----------
    segments : list of Segment
        What an earlier journal left, oldest first.
    cache_bytes : int
        Most bytes of written entries that stay in memory.

    Attributes
    ----------
    last : int
        Lsn of the newest entry.
    synced : int
        Lsn up to which entries are safe, as far as the durability goes.
    end : int
        Bytes of all entries, framed.
    """

    def __init__(self, segments: list[Segment], cache_bytes: int) -> None:
        self._lock = threading.Lock()
        self._segments = segments
        self._tail = Tail(cache_bytes)
        self._released_end = 0
        self.last = self.synced = self._written = segments[-1].last if segments else 0
        self.end = segments[-1].end if segments else 0

    @property
    def oldest(self) -> Segment | None:
        """The oldest segment that is not released."""
        with self._lock:
            return self._segments[0] if self._segments else None

    @property
    def newest(self) -> Segment | None:
        """The segment that entries are added to."""
        with self._lock:
            return self._segments[-1] if self._segments else None

    @property
    def waiting_bytes(self) -> int:
        """Bytes of entries, framed, that were not released."""
        return self.end - self._released_end

    @property
    def gathered_bytes(self) -> int:
        """Bytes that are only in memory and not yet a block."""
        return len(self._tail.gathered)

    # -- for the thread that appends ----------------------------------------------------------

    def begin(self, segment: Segment) -> None:
        """Entries go to a new segment from now on."""
        with self._lock:
            self._seal()
            segment.origin = self.end
            self._segments.append(segment)

    def gather(self, lsn: int, frame: Sequence[Part]) -> None:
        """Add an entry that is to be written later, together with others."""
        with self._lock:
            gathered = self._tail.gathered
            before = len(gathered)
            for part in frame:
                gathered += part
            self.last = lsn
            self.end += len(gathered) - before

    def hold(self, segment: Segment, block: Block) -> None:
        """Add a block that was written by itself."""
        with self._lock:
            self._tail.hold(segment, block)
            self.last = block.last
            self.end += block.length
            self._wrote(segment, block.last)

    # -- for who writes and syncs ---------------------------------------------------------------

    def unwritten(self) -> Unwritten | None:
        """What is to be written next; it stays until `wrote` is told of it."""
        with self._lock:
            self._seal()
            return self._tail.unwritten[0] if self._tail.unwritten else None

    def wrote(self, done: Unwritten) -> None:
        """What `unwritten` gave is in its file."""
        with self._lock:
            self._tail.unwritten.popleft()
            self._wrote(done.segment, done.last)

    def take_dirty(self) -> tuple[int, list[Segment]]:
        """The last lsn that is in a file, and the segments to sync so that it is safe."""
        with self._lock:
            dirty = [segment for segment in self._segments if segment.dirty]
            for segment in dirty:
                segment.dirty = False
            return self._written, dirty

    def still_dirty(self, segments: list[Segment]) -> None:
        """Those segments were not synced after all."""
        with self._lock:
            for segment in segments:
                segment.dirty = True

    def made_durable(self, upto: int, segments: list[Segment]) -> None:
        """Those segments were synced, and so everything up to `upto` is safe."""
        with self._lock:
            self.synced = upto
            for segment in segments:
                segment.head_synced = True

    # -- for the thread that reads and releases ---------------------------------------------------

    def find(self, lsn: int) -> tuple[Segment, Block] | None:
        """Where that entry is; None if it was released. It must not be above `last`."""
        with self._lock:
            self._seal()
            for segment in reversed(self._segments):
                if segment.head.lsn < lsn:
                    return segment, segment.blocks[segment.find(lsn)]
            return None

    def release(self, lsn: int) -> None:
        """Nobody needs the entries up to `lsn` any more, as far as they are synced."""
        with self._lock:
            lsn = min(lsn, self.synced)
            self._tail.release(lsn)
            self._released_end = max(self._released_end, self._end_of(lsn))

    def unneeded(self, lsn: int) -> Segment | None:
        """The oldest segment, if it is released and a crash now would still find the next one."""
        with self._lock:
            if len(self._segments) < 2:
                return None
            oldest, following = self._segments[:2]
            past = following.head.lsn <= min(lsn, self.synced)
            return oldest if past and following.head_synced else None

    def drop_oldest(self) -> None:
        """Forget the segment that `unneeded` gave."""
        with self._lock:
            del self._segments[0]

    def take_all(self) -> list[Segment]:
        """All segments, to be closed; nothing can be read or added any more."""
        with self._lock:
            segments, self._segments = self._segments, []
            return segments

    # -- under the lock -----------------------------------------------------------------------

    def _seal(self) -> None:
        if self._segments:
            self._tail.seal(self._segments[-1], self.last)

    def _wrote(self, segment: Segment, lsn: int) -> None:
        segment.dirty = True
        self._written = lsn
        self._tail.trim(lsn)

    def _end_of(self, lsn: int) -> int:
        """Bytes of entries in the blocks that end at or before `lsn`."""
        for segment in reversed(self._segments):
            if segment.head.lsn <= lsn:
                index = segment.find(lsn + 1)
                return segment.position(segment.blocks[index - 1].end) if index else segment.origin
        return 0
