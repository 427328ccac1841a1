"""Pages of a file that have changed but must not be in it yet.

What HDF5 writes below the committed length of a file (superblock, object headers, chunk index, a
rewritten partial chunk) is kept here, in whole pages, and reads see it. Two layers lie over the
disk: the *committed* pages of a transaction that waits to be applied, and the *changed* pages of
the transaction under way. Committed pages live in the redo log and are read from there.

The changed pages are held in memory up to a limit; above it the oldest are spilled into the log,
where the commit then finds them in place.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Protocol

__all__ = ["PAGE", "Overlay", "PageStore"]

PAGE = 4096
"""Bytes in a page of the overlay."""


class PageStore(Protocol):
    """Where pages go that memory can't hold: a redo log."""

    def read_page(self, slot: int) -> bytearray:
        """The page in `slot`."""
        ...

    def write_page(self, image: bytearray, slot: int | None = None) -> int:
        """Write the page into `slot`, or a free one; returns where it went."""
        ...


class DiskPages(Protocol):
    """The file below the overlay."""

    def __call__(self, page: int) -> bytearray:
        """One page as it is in the file, zeros behind its end."""
        ...


class Overlay:
    """Changed pages over committed pages over the disk.

    Parameters
    ----------
    below : callable
        ``below(page)`` gives a page as it is on disk.
    store : PageStore
        The redo log.
    committed : dict of int to int
        Page number to slot in `store`, of the pending transaction.
    limit : int
        Bytes of changed pages to hold in memory.
    """

    def __init__(
        self, below: DiskPages, store: PageStore, committed: dict[int, int], limit: int
    ) -> None:
        self._below = below
        self._store = store
        self._committed = committed
        self._limit = max(1, limit // PAGE)
        self._memory: dict[int, bytearray] = {}
        self._spilled: dict[int, int] = {}
        self.spilling = True

    def holds(self, page: int) -> bool:
        """Whether the page is not to be read from the disk."""
        return page in self._memory or page in self._spilled or page in self._committed

    @property
    def full(self) -> bool:
        """Whether memory holds as much as it may."""
        return len(self._memory) >= self._limit

    @property
    def held_bytes(self) -> int:
        """Bytes of changed pages in memory."""
        return PAGE * len(self._memory)

    def write(self, offset: int, data: memoryview) -> None:
        """Change bytes; pages that come in whole are not fetched first."""
        done = 0
        while done < len(data):
            page, start = divmod(offset + done, PAGE)
            piece = data[done : done + PAGE - start]
            image = bytearray(piece) if len(piece) == PAGE else self._changeable(page)
            image[start : start + len(piece)] = piece
            self._keep(page, image)
            done += len(piece)

    def read_over(self, offset: int, buffer: memoryview) -> None:
        """Lay the pages over `buffer`, which holds the file's own bytes from `offset`."""
        if not (self._memory or self._spilled or self._committed):
            return
        end = offset + len(buffer)
        for page in range(offset // PAGE, -(-end // PAGE)):
            image = self._image(page)
            if image is not None:
                low, high = max(offset, page * PAGE), min(end, (page + 1) * PAGE)
                source = memoryview(image)[low - page * PAGE : high - page * PAGE]
                buffer[low - offset : high - offset] = source

    def page(self, page: int) -> bytearray:
        """The page as the transaction sees it."""
        image = self._image(page)
        return self._below(page) if image is None else image

    def changes(self, length: int) -> Iterator[tuple[int, bytearray]]:
        """Pages below `length` that differ from what was committed, in order."""
        for page in sorted(self._memory.keys() | self._spilled.keys()):
            used = length - page * PAGE
            image = self.page(page)
            if used > 0 and image[:used] != self._before(page)[:used]:
                yield page, image

    def slot_of(self, page: int) -> int | None:
        """The slot in which a changed page lies already, unchanged since."""
        return None if page in self._memory else self._spilled.get(page)

    def discard(self) -> None:
        """Forget the changed pages."""
        self._memory.clear()
        self._spilled.clear()

    def _image(self, page: int) -> bytearray | None:
        if page in self._memory:
            return self._memory[page]
        slot = self._spilled.get(page, self._committed.get(page))
        return None if slot is None else self._store.read_page(slot)

    def _before(self, page: int) -> bytearray:
        slot = self._committed.get(page)
        return self._below(page) if slot is None else self._store.read_page(slot)

    def _changeable(self, page: int) -> bytearray:
        return self._memory[page] if page in self._memory else self.page(page)

    def _keep(self, page: int, image: bytearray) -> None:
        if page not in self._memory and self.full and self.spilling:
            self._spill()
        self._memory[page] = image

    def _spill(self) -> None:
        """Put the older half of the pages away; one by one, so that an error loses none."""
        for page in list(islice(self._memory, -(-len(self._memory) // 2))):
            slot = self._spilled.get(page)
            self._spilled[page] = self._store.write_page(self._memory[page], slot)
            del self._memory[page]
