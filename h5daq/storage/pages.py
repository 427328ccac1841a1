"""Writing a stream of bytes in whole pages, as writes past the page cache want it.

Pieces follow each other in the file without regard to pages. Each is put together in memory as it
will stand in its pages, so it can go out as it is, but for its last page: what is left there waits
for the piece behind it, which takes it along. If none follows, it goes through the cache.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = ["PAGE_BYTES", "PageMemory", "PageWriter", "Piece", "Target"]

PAGE_BYTES = 4096
"""What offset, length and memory of a write past the cache are multiples of."""


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

    def write_direct(self, offset: int, pages: Sequence[memoryview]) -> bool:
        """Write whole pages past it; False where that can't be, and nothing was written."""
        ...

    def close(self) -> None:
        """No more writes past the cache."""
        ...


class PageMemory:
    """Buffers that begin at a page, and are used again: memory that is new costs more to touch."""

    _KEPT = 4

    def __init__(self) -> None:
        self._spare: list[NDArray[np.uint8]] = []

    def take(self, nbytes: int) -> NDArray[np.uint8]:
        """A buffer of at least that many bytes. From any thread."""
        try:
            spare = self._spare.pop()
        except IndexError:
            return _page_aligned(nbytes)
        return spare if nbytes <= len(spare) else _page_aligned(nbytes)

    def give(self, buffer: NDArray[np.uint8]) -> None:
        """It is not needed any more."""
        if len(self._spare) < self._KEPT:
            self._spare.append(buffer)


class Piece(NamedTuple):
    """Bytes at an offset of the file, in memory as they stand in their pages.

    Attributes
    ----------
    offset, nbytes : int
        Where they go, and how many they are.
    buffer : ndarray
        Begins at a page of memory; the bytes stand at ``offset % PAGE_BYTES``.
    """

    offset: int
    nbytes: int
    buffer: NDArray[np.uint8]

    @classmethod
    def empty(cls, offset: int, nbytes: int, memory: PageMemory) -> Piece:
        """A piece whose bytes are still to come."""
        return cls(offset, nbytes, memory.take(offset % PAGE_BYTES + nbytes))

    @property
    def end(self) -> int:
        """Offset behind it."""
        return self.offset + self.nbytes

    @property
    def phase(self) -> int:
        """Bytes of its first page that are before it."""
        return self.offset % PAGE_BYTES

    @property
    def pages(self) -> memoryview:
        """The bytes, with what is before them in the first page."""
        return self.buffer.data[: self.phase + self.nbytes]

    @property
    def data(self) -> NDArray[np.uint8]:
        """The bytes themselves."""
        return self.buffer[self.phase : self.phase + self.nbytes]

    @property
    def whole(self) -> memoryview:
        """Its pages but for the last, if that isn't full."""
        return self.pages[: self.phase + self.nbytes - self.end % PAGE_BYTES]

    @property
    def left(self) -> memoryview:
        """The beginning of the last page, if that isn't full."""
        return self.pages[self.phase + self.nbytes - self.end % PAGE_BYTES :]

    @property
    def small(self) -> bool:
        """Whether it may have no page for itself."""
        return self.nbytes < 2 * PAGE_BYTES


class _Rest(NamedTuple):
    """The beginning of a page that did not go with those before it."""

    offset: int
    data: bytes
    written: bool = False

    @property
    def end(self) -> int:
        return self.offset + len(self.data)


class PageWriter:
    """Writes pieces to a file, one thread at a time.

    Parameters
    ----------
    target : Target
        The file.
    """

    def __init__(self, target: Target) -> None:
        self._target = target
        self._rest: _Rest | None = None

    @property
    def waiting(self) -> tuple[int, int] | None:
        """From where to where bytes wait for their page to be whole. From any thread."""
        rest = self._rest
        return None if rest is None or rest.written else (rest.offset, rest.end)

    def write(self, pieces: Sequence[Piece]) -> None:
        """Write pieces that follow each other without a gap; only a single one may be small."""
        if not (self._target.direct and not pieces[0].small and self._write_pages(pieces)):
            self.flush()
            self._rest = None
            for piece in pieces:
                self._target.write(piece.offset, piece.data.data)

    def flush(self) -> None:
        """Write what waits for its page to be whole."""
        rest = self._rest
        if rest is not None and not rest.written:
            self._target.write(rest.offset, memoryview(rest.data))
            self._rest = rest._replace(written=True)

    def drop(self) -> None:
        """Forget what waits."""
        self._rest = None

    def _write_pages(self, pieces: Sequence[Piece]) -> bool:
        first, last = pieces[0], pieces[-1]
        begin = self._join(first)
        for before, after in pairwise(pieces):
            after.pages[: after.phase] = before.left
        pages = [first.whole[begin:], *(piece.whole for piece in pieces[1:])]
        if not self._target.write_direct(first.offset - first.phase + begin, pages):
            return False
        if begin:
            self._target.write(first.offset, first.pages[first.phase : begin])
        rest = last.left
        self._rest = _Rest(last.end - len(rest), bytes(rest)) if rest else None
        return True

    def _join(self, piece: Piece) -> int:
        """Where in its first page a piece can begin: at 0, if all that is before it is at hand."""
        if self._rest is not None and self._rest.end == piece.offset:
            piece.pages[: piece.phase] = self._rest.data
            return 0
        self.flush()
        return PAGE_BYTES if piece.phase else 0


def _page_aligned(nbytes: int) -> NDArray[np.uint8]:
    # A page more, so that the same length fits whatever offset the next write has.
    whole = np.empty(-(-nbytes // PAGE_BYTES) * PAGE_BYTES + 2 * PAGE_BYTES, np.uint8)
    start = -whole.ctypes.data % PAGE_BYTES
    return whole[start : len(whole) - PAGE_BYTES + start]
