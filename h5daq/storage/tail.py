"""The end of a journal that is in memory: small entries being gathered, and blocks lately written.

Small entries are copied into one buffer, which becomes a block when it is written: at a sync, or
when a megabyte has come together. Blocks stay readable from memory, up to a limit, so that the
thread that makes the files of them seldom has to read what was just written.

Nothing here is locked, and nothing waits: the journal's lock is held around each call.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from h5daq.storage.segments import Block, Segment

__all__ = ["Tail", "Unwritten"]


@dataclass(frozen=True, slots=True)
class Unwritten:
    """Entries that are appended, but not in the file yet."""

    segment: Segment
    offset: int
    frames: bytearray
    last: int


class Tail:
    """What a journal holds in memory.

    Parameters
    ----------
    cache_bytes : int
        Most bytes of written blocks.

    Attributes
    ----------
    gathered : bytearray
        Frames of the entries behind the newest block.
    unwritten : deque of Unwritten
        Blocks to be written, in order.
    """

    def __init__(self, cache_bytes: int) -> None:
        self._cache_bytes = cache_bytes
        self._cached: deque[Block] = deque()
        self._bytes = 0
        self.gathered = bytearray()
        self.unwritten: deque[Unwritten] = deque()

    def seal(self, segment: Segment, last: int) -> None:
        """Make a block of what is gathered; `last` is its last lsn, `segment` the newest."""
        if not self.gathered:
            return
        frames, self.gathered = self.gathered, bytearray()
        block = Block(segment.last + 1, last, segment.size, len(frames), frames)
        self.unwritten.append(Unwritten(segment, segment.size, frames, last))
        self.hold(segment, block)

    def hold(self, segment: Segment, block: Block) -> None:
        """Put a block at the end of `segment`, and keep it in memory."""
        segment.add(block)
        segment.size = block.offset + block.length
        self._bytes += block.length
        newest = segment.blocks[-1]
        if self._cached and self._cached[-1].first == newest.first:
            self._cached[-1] = newest
        else:
            self._cached.append(newest)

    def trim(self, written: int) -> None:
        """Forget the oldest blocks that are too many; `written` is the last lsn in a file."""
        while self._bytes > self._cache_bytes and self._cached[0].last <= written:
            self._forget_oldest()

    def release(self, lsn: int) -> None:
        """Forget the blocks up to `lsn`: nobody will read them any more."""
        while self._cached and self._cached[0].last <= lsn:
            self._forget_oldest()

    def _forget_oldest(self) -> None:
        block = self._cached.popleft()
        self._bytes -= block.length
        block.forget()
