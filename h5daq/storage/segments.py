"""A segment: one file of a journal, and the map of what stands in it.

The map is a list of blocks, each a stretch of entries of about a megabyte, or one large entry. As
long as a block is in memory it is read from there, later from the file; the numbers that find it
stay. So a reader never needs to know where the entries are, and millions of small entries cost
the map no more than a few hundred blocks.
"""

from __future__ import annotations

import os
from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from h5daq.errors import FileDamaged, StorageError
from h5daq.flow.entries import Entry, Head, walk
from h5daq.storage.large import LARGE_BYTES, LargeWrites, put_together
from h5daq.storage.pages import PAGE_BYTES
from h5daq.storage.segment_disk import Part, SegmentDisk
from h5daq.storage.writeback import WriteBehind

__all__ = ["Block", "Frame", "Segment", "failure"]

_ZEROS = bytes(64 << 10)

# Below it, blocks that follow each other become one: a sync per row must not make a block per row.
_MERGE_BYTES = 64 << 10


@dataclass(slots=True)
class Block:
    """A stretch of entries. Offsets and lengths are bytes in the segment's file.

    Attributes
    ----------
    first, last : int
        Its first and last lsn.
    offset, length : int
        Where it stands, frames and padding included.
    frames : bytes-like or None
        What stands there, while it is in memory. Never altered.
    message : tuple of bytes-like or None
        For a block of one large entry instead: the parts of its message.
    """

    first: int
    last: int
    offset: int
    length: int
    frames: Part | None = None
    message: tuple[Part, ...] | None = None

    @property
    def end(self) -> int:
        """Offset behind it."""
        return self.offset + self.length

    def forget(self) -> None:
        """Leave it to the file."""
        self.frames = self.message = None

    def joined(self, after: Block) -> Block | None:
        """One block of this one and the one behind it; None if they are better apart."""
        if self.frames is None or after.frames is None:
            return None
        if self.length + after.length > _MERGE_BYTES:
            return None
        frames = b"".join([self.frames, after.frames])
        return Block(self.first, after.last, self.offset, len(frames), frames)


class Frame(NamedTuple):
    """A large entry.

    Attributes
    ----------
    size : int
        Its bytes, header and padding included.
    message : tuple of bytes-like
        The parts of its message; they are not to change.
    parts : callable
        Gives all of it. The checksum takes a while, so whoever writes it calls that.
    """

    size: int
    message: tuple[Part, ...]
    parts: Callable[[], list[Part]]


@dataclass(slots=True)
class Segment:
    """One file of the journal, open. Its owner's lock guards everything that changes.

    Attributes
    ----------
    head : Head
        What opens it.
    behind_fd : int
        What `behind` works on. The kernel tells each open file of a failed write once; with one
        for both, a sync could miss what the write-behind was told.
    large : LargeWrites
        What writes large entries, past the page cache if it can.
    origin : int
        Bytes of entries in all segments before it.
    size : int
        Where the next entry goes: offset in the file.
    claimed : int
        Up to which offset it has its blocks: behind it a full disk may refuse a write.
    primed : int
        Up to which offset the file's blocks were written before, with whatever.
    dirty : bool
        Something was written since it was last synced.
    head_synced : bool
        Its head is on the medium, so that it can be the journal's oldest.
    released : bool
        Its entries are in the files; its file may hold others by now.
    """

    path: Path
    fd: int
    head: Head
    disk: SegmentDisk
    behind: WriteBehind
    behind_fd: int
    large: LargeWrites
    origin: int = 0
    size: int = 0
    claimed: int = 0
    primed: int = 0
    blocks: list[Block] = field(default_factory=list)
    dirty: bool = False
    head_synced: bool = False
    released: bool = False

    @property
    def last(self) -> int:
        """The last lsn that its blocks hold."""
        return self.blocks[-1].last if self.blocks else self.head.lsn

    @property
    def end(self) -> int:
        """Bytes of entries up to its end, in this segment and all before it."""
        return self.position(self.size)

    def position(self, offset: int) -> int:
        """Bytes of entries before that offset, in this segment and all before it."""
        return self.origin + offset - self.head.end

    def add(self, block: Block) -> None:
        """Put a block on the map, as part of the one before it if both are small."""
        joined = self.blocks[-1].joined(block) if self.blocks else None
        if joined is None:
            self.blocks.append(block)
        else:
            self.blocks[-1] = joined

    def find(self, lsn: int) -> int:
        """Index of the block that holds that entry, or the first behind it."""
        return bisect_left(self.blocks, lsn, key=lambda block: block.last)

    def write(self, offset: int, parts: list[Part]) -> None:
        """Write at `offset`, then zeros up to the end of the page.

        Without the zeros, each write into a recycled file would first have to read that page.
        """
        end = offset + sum(map(len, parts))
        self.disk.write_parts(self.fd, offset, [*parts, bytes(-end % PAGE_BYTES)])

    def write_large(self, offset: int, frame: Frame) -> bool:
        """Write like `write`; what is large and has its room, by a thread.

        For the rest a full disk has to say so at once: whoever waits for the thread would hear it
        too late.

        Parameters
        ----------
        offset : int
            Where.
        frame : Frame
            What.

        Returns
        -------
        bool
            Whether it goes past the page cache.
        """
        if frame.size < LARGE_BYTES or offset + frame.size > self.claimed:
            self.write(offset, frame.parts())
            return False
        self.large.submit(offset, frame.size, lambda buffer: put_together(frame.parts(), buffer))
        return self.large.direct

    def prime(self, length: int, most: int) -> None:
        """Write zeros where the next `length` bytes will go, up to the offset `most`.

        The first sync of a stretch of a file has to bring down as well that the file has it. Not
        to be called while anybody writes to the file.
        """
        begin = _page_up(self.size)
        self.primed = min(begin + length, most)
        if begin < self.primed:
            pieces, rest = divmod(self.primed - begin, len(_ZEROS))
            self.disk.write_parts(self.fd, begin, [*[_ZEROS] * pieces, _ZEROS[:rest]])

    def read(self, block: Block) -> Iterator[Entry]:
        """The entries of a block, from memory or from the file.

        Raises
        ------
        FileDamaged
            If the file does not hold what was written there.
        """
        frames, message = block.frames, block.message
        if message is not None:
            whole = message[0] if len(message) == 1 else b"".join(message)
            yield Entry(block.first, memoryview(whole).toreadonly())
        else:
            yield from self._walk(block, self._load(block) if frames is None else frames)

    def _walk(self, block: Block, frames: Part) -> Iterator[Entry]:
        lsn = block.first - 1
        for entry in walk(frames, block.first, self.head.salt):
            yield entry
            lsn = entry.lsn
        if lsn != block.last:
            raise self._missing(lsn + 1, block)

    def _load(self, block: Block) -> bytes:
        try:
            self.large.settle_over(block.offset, block.end)
            return self.disk.read(self.fd, block.offset, block.length)
        except OSError as error:
            raise failure(error, f"entry {block.first} can't be read", self.path) from error

    def _missing(self, lsn: int, block: Block) -> StorageError:
        if self.released:
            return StorageError(f"{self.path}: entry {lsn} was released; its place is used again")
        return FileDamaged(
            f"{self.path}: entry {lsn}, in the {block.length} bytes at offset {block.offset}, is "
            f"not what was written there: the disk or another program has changed the file"
        )

    def close(self) -> None:
        """Let go of the file."""
        self.large.close()
        self.disk.close(self.behind_fd)
        self.disk.close(self.fd)

    def cut_back(self, offset: int, reserved: int) -> None:
        """Let nothing stand behind `offset`, and claim the space again up to `reserved` bytes."""
        self.disk.truncate(self.fd, offset)
        self.primed, self.claimed = min(self.primed, offset), offset
        if reserved <= offset:
            return
        try:
            self.disk.reserve(self.fd, reserved)
            self.claimed = reserved
        except OSError:
            # Only a precaution is lost: writing extends the file, and says so when it can't.
            return


def _page_up(offset: int) -> int:
    return -(-offset // PAGE_BYTES) * PAGE_BYTES


def failure(error: OSError, what: str, path: Path) -> StorageError:
    """The error of the operating system, with what it prevented and where."""
    text = os.strerror(error.errno) if error.errno else str(error)
    return StorageError(error.errno or 0, f"{what}: {text}", str(path))
