"""An HDF5 file as it is on disk: the state that any other program sees.

It knows the state's length and superblock, and can tell whether the file is still the one that
was left here: the name may stand for another file by now, or somebody may have cut or changed it.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from h5daq.errors import FileBusy, FileDamaged, StorageError
from h5daq.storage.apply import read_bytes
from h5daq.storage.disk import Disk
from h5daq.storage.overlay import PAGE, Overlay
from h5daq.storage.redo_record import Record
from h5daq.storage.superblock import Superblock, find_superblock

__all__ = ["OnDisk", "naming"]


@contextmanager
def naming(path: Path, doing: str) -> Iterator[None]:
    """Raise what the disk says as an error of ours, with the file's name and what was tried."""
    try:
        yield
    except StorageError:
        raise
    except OSError as error:
        number = error.errno or errno.EIO
        raise StorageError(number, f"{doing}: {os.strerror(number)}", str(path)) from error


class OnDisk:
    """A file, open and locked shared: readers may come in, foreign writers may not.

    Parameters
    ----------
    disk : Disk
        What it is on.
    path : Path
        Its name.
    fd : int
        Its descriptor; closed by `close`, and if this fails.
    durable : bool
        Whether a sync waits for the medium.

    Raises
    ------
    FileBusy
        If another program writes the file.
    """

    def __init__(self, disk: Disk, path: Path, fd: int, *, durable: bool) -> None:
        self.disk, self.path, self.fd, self.durable = disk, path, fd, durable
        self.length = 0
        self.superblock = Superblock(0, b"", 0, False)
        self.sync_failed = False
        # One for all transactions: what one leaves on its way to the disk, the next one follows.
        self.behind = disk.write_behind(fd)
        self.large = disk.large_writes(fd)
        try:
            self.share()
        except BaseException:
            self.close()
            raise

    @property
    def inode(self) -> int:
        """Which file it is on its device."""
        return self.disk.identity(self.fd)[1]

    def share(self) -> None:
        """Take the shared lock, or come back to it."""
        if not self.disk.lock(self.fd, exclusive=False):
            raise FileBusy(errno.EAGAIN, "is being written by another program", str(self.path))

    def lock_alone(self) -> bool:
        """Take the exclusive lock; False, and no lock at all, while readers are inside."""
        return self.disk.lock(self.fd, exclusive=True)

    def verify(self, length: int) -> None:
        """Make sure that it is still the file that was left here, and as it was left.

        Parameters
        ----------
        length : int
            Bytes that it must have at least.
        """
        if self.disk.identity_of(self.path) != self.disk.identity(self.fd):
            raise self.damaged("was removed or replaced by another program")
        if self.disk.size(self.fd) < length:
            raise self.damaged("was cut by another program")
        if self.read(self.superblock.offset, len(self.superblock.raw)) != self.superblock.raw:
            raise self.damaged("was changed by another program")

    def inspect(self) -> None:
        """Take length and superblock from the file."""
        superblock = self.find_superblock(None, self.disk.size(self.fd))
        if superblock.open_for_write:
            text = "is marked as open for writing; if nobody writes it, h5clear -s mends that"
            raise FileBusy(errno.EBUSY, text, str(self.path))
        if self.disk.size(self.fd) < superblock.end:
            raise self.damaged("is shorter than it says it is")
        self.length, self.superblock = superblock.end, superblock

    def is_old(self, record: Record) -> None:
        """Take note that the file is in the state that `record` changes."""
        self._adopt(record.superblock_at, record.old_superblock, record.old_length)

    def is_new(self, record: Record) -> None:
        """Take note that the file is in the state that `record` leads to."""
        self._adopt(record.superblock_at, record.new_superblock, record.new_length)

    def find_superblock(self, overlay: Overlay | None, length: int) -> Superblock:
        """The superblock of the file, or of its coming state under `overlay`."""

        def read(offset: int, count: int) -> bytes:
            data = bytearray(self.read(offset, count))
            if overlay is not None:
                overlay.read_over(offset, memoryview(data))
            return bytes(data)

        found = find_superblock(read, length)
        if found is None:
            raise self.damaged("is not an HDF5 file, or its superblock is damaged")
        return found

    def read(self, offset: int, length: int) -> bytes:
        """Bytes, zeros behind the end."""
        return read_bytes(self.disk, self.fd, offset, length)

    def page(self, page: int) -> bytearray:
        """One page, zeros behind the end."""
        return bytearray(self.read(page * PAGE, PAGE))

    def cut(self, length: int) -> None:
        """Drop what lies beyond `length`, whatever has become of it."""
        self.large.forget()
        if self.disk.size(self.fd) > length:
            self.disk.truncate(self.fd, length)
            self._settle()
            self.behind.drop()

    def sync(self, length: int) -> None:
        """Have at least `length` bytes, and all of them on the medium."""
        self.large.settle()
        if self.disk.size(self.fd) < length:
            self.disk.truncate(self.fd, length)
        if not self.durable:
            return
        self._settle()
        try:
            self.disk.sync(self.fd)
        except OSError:
            # The kernel says so once, and takes the lost pages for clean afterwards.
            self.sync_failed = True
            raise
        self.behind.drop()

    def sync_name(self) -> None:
        """Have the names in the file's directory on the medium."""
        if self.durable:
            self.disk.sync_directory(self.path.parent)

    def close(self) -> None:
        """Let go of the file."""
        self.large.close()
        with suppress(OSError):
            # Of bytes that nobody has synced and nobody will.
            self.behind.finish()
        self.disk.close(self.fd)

    def damaged(self, what: str) -> FileDamaged:
        """An error about this file."""
        return FileDamaged(errno.EIO, what, str(self.path))

    def _settle(self) -> None:
        """Have nothing on its way behind our back."""
        try:
            self.behind.finish()
        except OSError:
            # Told once as well: the sync would find nothing wrong.
            self.sync_failed = True
            raise

    def _adopt(self, offset: int, raw: bytes, length: int) -> None:
        self.superblock = Superblock(offset, raw, length, False)
        self.length = length
