"""A file as at its last finished transaction, also while that waits for a reader to leave.

Whoever opens a file sees the state that is applied to it. The writer's own process has to see what
is committed, since the journal may have let go of it: here the newest record of the redo log is
laid over the file, in memory. The file is locked shared meanwhile, as by any reader, so that it
stays as it is below; the log goes on, and what was read of it too late is read once more.
"""

from __future__ import annotations

import errno
import fcntl
import io
import os
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py

from h5daq.errors import FileBusy, FileDamaged, StorageError
from h5daq.storage.ondisk import naming
from h5daq.storage.overlay import PAGE
from h5daq.storage.redo import redo_path
from h5daq.storage.redo_record import HEADER_BYTES, TABLE_ROW_BYTES, unpack_header, unpack_table

__all__ = ["open_latest"]

_TRIES = 20
_PAUSE = 0.001
"""Seconds until the first new try: as long as applying a checkpoint takes."""

_LONGEST_PAUSE = 0.05

Pages = dict[int, bytes]


@contextmanager
def open_latest(path: Path, patience: float = 5.0) -> Iterator[h5py.File]:
    """The file, open for reading, as it was committed last.

    Parameters
    ----------
    path : Path
        The file.
    patience : float
        Seconds to wait while a checkpoint is applied.

    Raises
    ------
    FileBusy
        If that takes longer.
    FileDamaged
        If it is no whole HDF5 file.
    StorageError
        If it is not there or can't be read.
    """
    with naming(path, "can't be opened"):
        raw = _Layered(path, patience)
    try:
        with naming(path, "can't be read"), _opened(raw, path) as file:
            yield file
    finally:
        raw.close()


@contextmanager
def _opened(raw: _Layered, path: Path) -> Iterator[h5py.File]:
    try:
        file = h5py.File(raw, "r")
    except (OSError, RuntimeError, ValueError) as error:
        raise FileDamaged(errno.EINVAL, f"not a whole HDF5 file: {error}", str(path)) from error
    with file:
        yield file


class _Layered(io.RawIOBase):
    """A file locked shared, with the pages of a committed change laid over it."""

    def __init__(self, path: Path, patience: float) -> None:
        self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self._position = 0
        try:
            _lock_shared(self._fd, path, patience)
            size, inode = os.fstat(self._fd).st_size, os.fstat(self._fd).st_ino
            self._length, self._pages = _newest(redo_path(path), inode, size)
        except BaseException:
            os.close(self._fd)
            raise

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        """Fill `buffer` from the position on."""
        view = memoryview(buffer).cast("B")
        count = max(0, min(len(view), self._length - self._position))
        _read_into(self._fd, self._position, view[:count])
        for page in self._covered(self._position, count):
            first = max(self._position, page * PAGE)
            last = min(self._position + count, (page + 1) * PAGE)
            image = self._pages[page][first - page * PAGE : last - page * PAGE]
            view[first - self._position : last - self._position] = image
        self._position += count
        return count

    def _covered(self, offset: int, count: int) -> list[int]:
        pages = range(offset // PAGE, (offset + count + PAGE - 1) // PAGE)
        if len(pages) < len(self._pages):
            return [page for page in pages if page in self._pages]
        return [page for page in self._pages if page in pages]

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move to `offset`."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._length}[whence]
        self._position = base + offset
        return self._position

    def tell(self) -> int:
        """Position in bytes."""
        return self._position

    def readable(self) -> bool:
        """It is there to be read."""
        return True

    def seekable(self) -> bool:
        """It has positions."""
        return True

    def close(self) -> None:
        """Let go of file and lock."""
        if not self.closed:
            os.close(self._fd)
        super().close()


def _lock_shared(fd: int, path: Path, patience: float) -> None:
    deadline, pause = time.monotonic() + patience, _PAUSE
    while True:
        try:
            return fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                text = f"a checkpoint was being applied for {patience:g} s"
                raise FileBusy(errno.EBUSY, text, str(path)) from None
        except OSError as error:
            # Some network mounts know no locks: there is nothing to wait for.
            if error.errno not in (errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK, errno.EOPNOTSUPP):
                raise
            return None
        time.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE)


def _read_into(fd: int, offset: int, view: memoryview) -> None:
    done = 0
    while done < len(view):
        count = os.preadv(fd, [view[done:]], offset + done)
        if not count:
            view[done:] = bytes(len(view) - done)
            return
        done += count


def _newest(log: Path, inode: int, size: int) -> tuple[int, Pages]:
    """Length of the file as committed, and what becomes of which page."""
    for _ in range(_TRIES):
        try:
            fd = os.open(log, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return size, {}
        try:
            found = _record(fd, inode)
        finally:
            os.close(fd)
        if found is not None:
            return found if found[1] or found[0] else (size, {})
        # Its writer was just at it.
        time.sleep(_PAUSE)
    raise StorageError(errno.EAGAIN, "its redo log changed whenever it was read", str(log))


def _record(fd: int, inode: int) -> tuple[int, Pages] | None:
    """The newest record; ``(0, {})`` without one, None if it could not be read whole."""
    headers = [unpack_header(_bytes(fd, parity * PAGE, HEADER_BYTES)) for parity in (0, 1)]
    found = [header for header in headers if header is not None and header.record.inode == inode]
    if not found:
        return 0, {}
    newest = max(found, key=lambda header: header.record.number)
    table = _bytes(fd, newest.table_slot * PAGE, newest.count * TABLE_ROW_BYTES)
    if zlib.crc32(table) != newest.table_crc:
        return None
    pages: Pages = {}
    for page, entry in unpack_table(table).items():
        pages[page] = _bytes(fd, entry.slot * PAGE, PAGE)
        if zlib.crc32(pages[page]) != entry.crc:
            return None
    return newest.record.new_length, pages


def _bytes(fd: int, offset: int, length: int) -> bytes:
    data = bytearray(length)
    _read_into(fd, offset, memoryview(data))
    return bytes(data)
