"""Writing pieces of bytes in whole pages, as writes past the page cache want it.

Pieces follow each other in the file without regard to pages. Those that do make a *stretch*: they
are put together in memory as they will stand in their pages, so they can go out in one write, but
for the last page: what is left there waits for the stretch behind it, which takes it along. If
none follows, it goes through the cache. So no page is written by two stretches, and they may be
written side by side.
"""

from __future__ import annotations

import mmap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = ["PAGE_BYTES", "Fill", "PageMemory", "Piece", "Rest", "Stretch", "Target"]

PAGE_BYTES = max(4096, mmap.PAGESIZE)
"""What offset, length and memory of a write past the cache are multiples of, and what the cache
holds at least: what is written through it and past it has no page in common."""

Fill = Callable[[NDArray[np.uint8]], None]
"""Puts what is to be written into a buffer of that length."""


class Target(Protocol):
    """The file that is written.

    Attributes
    ----------
    direct : bool
        Whether it can be written past the page cache, as far as was tried.
    """

    direct: bool

    def write(self, offset: int, data: memoryview) -> None:
        """Write all of `data` through the page cache."""
        ...

    def write_direct(self, offset: int, pages: memoryview) -> bool:
        """Write whole pages past it; False where that can't be, and nothing was written."""
        ...

    def settled(self) -> None:
        """Nothing is on its way."""
        ...

    def close(self) -> None:
        """No more writes past the cache."""
        ...


class PageMemory:
    """Buffers that begin at a page, and are used again: memory that is new costs more to touch.

    Parameters
    ----------
    usual_bytes : int
        Length of a buffer, unless more is wanted.
    """

    _KEPT = 4

    def __init__(self, usual_bytes: int) -> None:
        # Wherever it begins in its first page.
        self._usual = usual_bytes + PAGE_BYTES
        self._spare: list[NDArray[np.uint8]] = []

    def take(self, nbytes: int) -> NDArray[np.uint8]:
        """A buffer of at least that many bytes. From any thread."""
        if nbytes > self._usual:
            return _mapped(nbytes)
        try:
            return self._spare.pop()
        except IndexError:
            return _mapped(self._usual)

    def give(self, buffer: NDArray[np.uint8]) -> None:
        """It is not needed any more."""
        if len(buffer) == self._usual and len(self._spare) < self._KEPT:
            self._spare.append(buffer)


class Piece(NamedTuple):
    """Bytes that are to come, and where they go."""

    offset: int
    nbytes: int
    fill: Fill

    @property
    def end(self) -> int:
        """Offset behind it."""
        return self.offset + self.nbytes

    def touches(self, begin: int, end: int) -> bool:
        """Whether some of it lies in there."""
        return self.offset < end and begin < self.end


@dataclass(slots=True)
class Rest:
    """The beginning of a page that did not go with those before it."""

    offset: int
    data: bytes
    written: bool = False

    @property
    def end(self) -> int:
        """Offset behind it."""
        return self.offset + len(self.data)

    def touches(self, begin: int, end: int) -> bool:
        """Whether some of it lies in there."""
        return self.offset < end and begin < self.end

    def flush(self, target: Target) -> None:
        """Write it by itself, unless it was."""
        if not self.written:
            target.write(self.offset, memoryview(self.data))
            self.written = True


class Stretch:
    """Pieces that follow each other without a gap, in memory as they stand in their pages.

    Parameters
    ----------
    pieces : sequence of Piece
        One at least.

    Attributes
    ----------
    begin, end : int
        From where to where it goes in the file.
    """

    def __init__(self, pieces: Sequence[Piece]) -> None:
        self.pieces = pieces
        self.begin, self.end = pieces[0].offset, pieces[-1].end
        self._base = self.begin - self.begin % PAGE_BYTES
        # Where its last page begins, if that is not full; all before it are its own.
        self._whole = self.end - self.end % PAGE_BYTES
        self._buffer = np.empty(0, np.uint8)

    @property
    def nbytes(self) -> int:
        """How long it is."""
        return self.end - self.begin

    @property
    def _small(self) -> bool:
        """Whether it may have no page for itself."""
        return self.nbytes < 2 * PAGE_BYTES

    def fill(self, memory: PageMemory) -> None:
        """Put it together."""
        self._buffer = memory.take(self.end - self._base)
        for piece in self.pieces:
            piece.fill(self._buffer[piece.offset - self._base : piece.end - self._base])

    def rest(self) -> Rest | None:
        """What it leaves to the next one."""
        if self._small or self._whole == self.end:
            return None
        return Rest(self._whole, bytes(self._view(self._whole, self.end)))

    def write(self, target: Target, before: Rest | None) -> None:
        """Write it, but for what it leaves to the next one, and what the last one has left."""
        begin, end = self.begin, self.end if self._small else self._whole
        if before is not None and before.end == begin and not self._small:
            self._view(before.offset, begin)[:] = before.data
            begin = before.offset
        elif before is not None:
            before.flush(target)
        first = end if self._small else begin + -begin % PAGE_BYTES
        if first < end and not target.write_direct(first, self._view(first, end)):
            first = end
        if begin < first:
            target.write(begin, self._view(begin, first))
        if before is not None:
            before.written = True

    def free(self, memory: PageMemory) -> None:
        """Give its memory back, and let go of what the pieces came from."""
        memory.give(self._buffer)
        self._buffer, self.pieces = np.empty(0, np.uint8), ()

    def _view(self, begin: int, end: int) -> memoryview:
        return self._buffer.data[begin - self._base : end - self._base]


def _mapped(nbytes: int) -> NDArray[np.uint8]:
    """New memory that begins at a page."""
    block = mmap.mmap(-1, nbytes)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        # A write past the cache has to look up each page: of large ones there are 500 times fewer.
        block.madvise(mmap.MADV_HUGEPAGE)
    return np.frombuffer(block, np.uint8)
