"""The file as HDF5 sees it during a transaction: h5py drives it through this file object.

Bytes beyond the *barrier* go straight to disk, since no state that anybody may read refers to
them. Bytes below it go to the overlay. The page in which the barrier falls is the trap: the
overlay holds whole pages, so what is written above the barrier goes to disk and into such a page.

No method raises. h5py turns an exception in a callback into a misleading one and leaks the
identifiers of what was open; so the first error is remembered, everything after it goes to the
overlay, and whoever ends the transaction raises it, once.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from h5daq.storage.large import Fill
from h5daq.storage.ondisk import OnDisk
from h5daq.storage.overlay import PAGE, Overlay

__all__ = ["PagedFile"]

_NOWHERE = 1 << 62
"""A barrier above all files: everything goes to the overlay."""
_SMALL = 64 << 10
"""After an error the overlay still takes what is smaller: HDF5 may need its metadata again."""

# What Python can raise in a callback without our doing: a failing disk, and the signals that
# happen to arrive then.
_REMEMBERED = (OSError, MemoryError, KeyboardInterrupt, SystemExit)


class _Coming(NamedTuple):
    """What a placeholder stands for."""

    address: int
    length: int
    fill: Fill

    def is_in(self, view: memoryview) -> bool:
        """Whether that is the placeholder."""
        # Its length is told by a glance; where memory lies only numpy knows.
        return len(view) == self.length and _address(np.frombuffer(view, np.uint8)) == self.address


class PagedFile:
    """A seekable binary file for ``h5py.File``.

    Parameters
    ----------
    on_disk : OnDisk
        The file.
    overlay : Overlay
        What is not to be in the file yet.
    barrier : int
        Bytes below it must not change on disk.
    length : int
        Length of the state that the transaction begins with, in bytes.
    """

    def __init__(self, on_disk: OnDisk, overlay: Overlay, barrier: int, length: int) -> None:
        self._disk, self._fd, self._overlay = on_disk.disk, on_disk.fd, overlay
        self._name = str(on_disk.path)
        self._barrier = barrier
        self._position = 0
        self._behind, self._large = on_disk.behind, on_disk.large
        self._coming: _Coming | None = None
        self._placeholder, self._address = np.empty(0, np.uint8), 0
        self._beside: tuple[int, int] | None = None
        self.length = length
        self.direct_bytes = 0
        self.sync_failed = False
        self.error: BaseException | None = None

    def __repr__(self) -> str:
        # h5py takes this for the file's name: ``h5py.File.filename``, and where links start from.
        return self._name

    def fail(self, error: BaseException | None = None) -> None:
        """Send everything from now on to the overlay, which will be discarded."""
        self.error = self.error or error
        self._barrier = _NOWHERE
        self._overlay.spilling = False

    @contextmanager
    def later(self, nbytes: int, fill: Fill) -> Iterator[NDArray[np.uint8]]:
        """Have HDF5 give a place to bytes that a thread puts together meanwhile.

        Parameters
        ----------
        nbytes : int
            How many there are.
        fill : callable
            Puts them into a buffer; called by another thread, until `settle`.

        Yields
        ------
        ndarray
            Memory that stands for them, to be written once and whole. It is never looked at.
        """
        self._large.make_room(nbytes)
        if len(self._placeholder) < nbytes:
            # Untouched, it takes addresses and no memory.
            self._placeholder = np.empty(nbytes, np.uint8)
            self._address = _address(self._placeholder)
        placeholder = self._placeholder[:nbytes]
        self._coming = _Coming(self._address, nbytes, fill)
        try:
            yield placeholder
            if self._coming is not None and self.error is None:
                raise RuntimeError("HDF5 did not write what it was given in one piece")
        finally:
            self._coming = None

    def settle(self) -> None:
        """Wait until all that was given a place is written; raise OSError if something was not."""
        self._large.settle()
        beside, self._beside = self._beside, None
        if beside is not None and self._overlay.holds(beside[0] // PAGE):
            # The overlay may have that page from before these bytes were there.
            data = bytearray(beside[1] - beside[0])
            self._disk.read_into(self._fd, beside[0], memoryview(data))
            self._overlay.write(beside[0], memoryview(data))

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move to `offset`."""
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self.length}[whence]
        self._position = start + offset
        return self._position

    def tell(self) -> int:
        """Position in bytes."""
        return self._position

    def read(self, size: int = -1) -> bytes:
        """Bytes from the position on."""
        left = max(0, self.length - self._position)
        data = bytearray(left if size < 0 else min(size, left))
        self.readinto(data)
        return bytes(data)

    def readinto(self, buffer: bytearray | memoryview) -> int:
        """Fill `buffer` from the position on; zeros where nothing could be read."""
        view = memoryview(buffer).cast("B")
        try:
            self._settle_over(self._position, self._position + len(view))
            self._disk.read_into(self._fd, self._position, view)
            self._overlay.read_over(self._position, view)
        except _REMEMBERED as error:
            self.fail(error)
            view[:] = bytes(len(view))
        self._position += len(view)
        return len(view)

    def write(self, data: bytes | bytearray | memoryview) -> int:
        """Write at the position, to disk or overlay."""
        view = memoryview(data).cast("B")
        try:
            if self._coming is not None and self._coming.is_in(view):
                self._place(self._position, self._coming)
            else:
                self._write(self._position, view)
        except _REMEMBERED as error:
            self.fail(error)
            self._write_discarded(self._position, view)
        self._position += len(view)
        self.length = max(self.length, self._position)
        return len(view)

    def truncate(self, size: int) -> int:
        """Note the length; the disk is cut when the transaction is applied."""
        self.length = size
        return size

    def flush(self) -> None:
        """Do nothing: the commit syncs."""

    def _place(self, offset: int, coming: _Coming) -> None:
        """Send bytes on their way to where HDF5 wants them."""
        self._coming = None
        length = coming.length
        if offset < self._barrier:
            # It takes the place of something that goes to the overlay.
            buffer = np.empty(length, np.uint8)
            coming.fill(buffer)
            self._write(offset, buffer.data)
            return
        # What is on its way there comes first; threads keep no order.
        self._settle_over(offset, offset + length)
        if offset < self._barrier + PAGE:
            self._beside = (offset, min(offset + length, offset + PAGE - offset % PAGE))
        self._large.submit(offset, length, coming.fill)
        self.direct_bytes += length
        if not self._large.direct:
            self._send_behind(offset, length)

    def _write(self, offset: int, view: memoryview) -> None:
        if self._barrier == _NOWHERE:
            self._write_discarded(offset, view)
            return
        below = min(len(view), max(0, self._barrier - offset))
        if below:
            self._overlay.write(offset, view[:below])
        if below < len(view):
            self._write_direct(offset + below, view[below:])

    def _write_direct(self, offset: int, view: memoryview) -> None:
        self._settle_over(offset, offset + len(view))
        self._disk.write(self._fd, offset, view)
        self.direct_bytes += len(view)
        page, start = divmod(offset, PAGE)
        if offset < self._barrier + PAGE and self._overlay.holds(page):
            self._overlay.write(offset, view[: PAGE - start])
        self._send_behind(offset, len(view))

    def _send_behind(self, offset: int, length: int) -> None:
        try:
            self._behind.wrote(offset, length)
        except OSError:
            # The kernel tells of a failed write once: no later sync can be trusted either.
            self.sync_failed = True
            raise

    def _write_discarded(self, offset: int, view: memoryview) -> None:
        if len(view) < _SMALL or not self._overlay.full:
            self._overlay.write(offset, view)

    def _settle_over(self, begin: int, end: int) -> None:
        """Settle what is on its way there."""
        if self._beside is not None and begin < self._beside[1] and self._beside[0] < end:
            self.settle()
        self._large.settle_over(begin, end)


def _address(buffer: NDArray[np.uint8]) -> int:
    return int(buffer.ctypes.data)
