"""The disk, as the transactions on HDF5 see it: a dozen calls, and nothing else touches files.

Everything that decides whether a file survives a crash passes through here: positioned reads and
writes, cuts, syncs, renames, locks. So a test puts a simulated disk in its place, one that loses
whatever was not synced, and looks at what is left.

All calls raise plain ``OSError``; who calls knows the file's name and says it.
"""

from __future__ import annotations

import errno
import fcntl
import functools
import os
import sys
from pathlib import Path
from typing import TypeAlias

from h5daq.storage.crew import Crew
from h5daq.storage.direct import DirectFile, make_longer, open_direct
from h5daq.storage.exclusive import rename_exclusive
from h5daq.storage.large import STRETCH_BYTES, LargeWrites
from h5daq.storage.pages import PageMemory
from h5daq.storage.writeback import WriteBehind

__all__ = ["Disk", "FileIdentity"]

FileIdentity: TypeAlias = tuple[int, int]
"""Device and inode: what a name stands for at the moment."""

# Answers of file systems that know no flock (some network mounts): nothing can be locked there.
_NO_LOCKS = {errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK, errno.EOPNOTSUPP}
_NO_LINKS = {errno.EPERM, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EMLINK}

_WRITERS = 3
"""Threads for large writes: one waits for the disk while two put together what comes next."""


class Disk:
    """The operating system's files. Descriptors are the caller's.

    Attributes
    ----------
    past_cache : bool
        Whether large writes may go past the page cache, and do so in threads of their own.
    """

    past_cache = True

    @functools.cached_property
    def _behind(self) -> Crew:
        # Two, so that the journal does not wait for the file, nor the file for the journal.
        return Crew(2, "h5daq-behind")

    @functools.cached_property
    def _crew(self) -> Crew:
        return Crew(_WRITERS, "h5daq-write")

    @functools.cached_property
    def _memory(self) -> PageMemory:
        return PageMemory(STRETCH_BYTES)

    def real_path(self, path: Path) -> Path:
        """The absolute name of the file itself, where `path` is a link to it."""
        return path.resolve() if path.is_symlink() else path.absolute()

    def open(self, path: Path, *, create: bool = False, exclusive: bool = False) -> int:
        """Open for reading and writing; `exclusive` refuses a name that is there already."""
        flags = os.O_RDWR | os.O_CLOEXEC
        flags |= os.O_CREAT if create or exclusive else 0
        flags |= os.O_EXCL if exclusive else 0
        return os.open(path, flags, 0o666)

    def close(self, fd: int) -> None:
        """Close the descriptor, and with it drop its lock."""
        os.close(fd)

    def size(self, fd: int) -> int:
        """Length of the file in bytes."""
        return os.fstat(fd).st_size

    def identity(self, fd: int) -> FileIdentity:
        """What the descriptor refers to."""
        status = os.fstat(fd)
        return status.st_dev, status.st_ino

    def identity_of(self, path: Path) -> FileIdentity | None:
        """What the name refers to; None where there is no such file."""
        try:
            status = os.stat(path)
        except FileNotFoundError:
            return None
        return status.st_dev, status.st_ino

    def read_into(self, fd: int, offset: int, buffer: memoryview) -> None:
        """Fill `buffer` from `offset`; beyond the end of the file come zeros."""
        done = 0
        while done < len(buffer):
            count = os.preadv(fd, [buffer[done:]], offset + done)
            if count == 0:
                buffer[done:] = bytes(len(buffer) - done)
                return
            done += count

    def write(self, fd: int, offset: int, data: bytes | bytearray | memoryview) -> None:
        """Write all of `data` at `offset`."""
        view = memoryview(data).cast("B")
        done = 0
        while done < len(view):
            done += os.pwrite(fd, view[done:], offset + done)

    def write_behind(self, fd: int) -> WriteBehind:
        """What sends large sequential writes on their way early."""
        return WriteBehind(fd, begin_crew=lambda: self._behind)

    def large_writes(self, fd: int) -> LargeWrites:
        """What writes large pieces, past the page cache if it can."""
        begin_crew = (lambda: self._crew) if self.past_cache else None
        return LargeWrites(DirectFile(self, fd), self._memory, begin_crew)

    def open_direct(self, fd: int) -> int | None:
        """Another descriptor of the file, for `write_direct`; None where there is no such thing."""
        return open_direct(fd) if self.past_cache else None

    def make_longer(self, fd: int, length: int, wanted: int) -> None:
        """Make a file of `length` bytes longer, ahead of writes; OSError where that can't be."""
        make_longer(fd, length, wanted)

    def write_direct(self, fd: int, offset: int, pages: memoryview) -> int:
        """Write pages of memory to pages of the file, past the cache; how many bytes of them."""
        return os.pwrite(fd, pages, offset)

    def close_direct(self, fd: int) -> None:
        """Close what `open_direct` gave."""
        os.close(fd)

    def truncate(self, fd: int, length: int) -> None:
        """Cut or extend (with zeros) to `length`."""
        os.ftruncate(fd, length)

    def sync(self, fd: int) -> None:
        """Return when data and length are on the medium."""
        if sys.platform == "darwin":
            # fsync on macOS stops at the drive's cache.
            fcntl.fcntl(fd, fcntl.F_FULLFSYNC)
        else:
            os.fdatasync(fd)

    def sync_directory(self, directory: Path) -> None:
        """Return when names made, changed and removed in `directory` are on the medium."""
        fd = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(fd)
        except OSError as error:
            # Some network file systems can't sync a directory and need not.
            if error.errno not in {errno.EINVAL, errno.ENOTSUP}:
                raise
        finally:
            os.close(fd)

    def make_directory(self, path: Path) -> None:
        """Make a directory and those above it, unless it is there; a power cut keeps them."""
        if path.is_dir():
            return
        self.make_directory(path.parent)
        try:
            os.mkdir(path)
        except FileExistsError:
            # Another process was faster, or it is a file.
            if not path.is_dir():
                raise
        self.sync_directory(path.parent)

    def rename(self, old: Path, new: Path) -> None:
        """Give a file another name, in one step."""
        os.rename(old, new)

    def publish(self, old: Path, new: Path) -> None:
        """Rename, but raise ``FileExistsError`` rather than replace what has the new name.

        A second name that a kill left of an earlier attempt counts as done.
        """
        if self.identity_of(old) == self.identity_of(new):
            os.unlink(old)
        elif not rename_exclusive(old, new):
            self._link_and_unlink(old, new)

    def _link_and_unlink(self, old: Path, new: Path) -> None:
        try:
            os.link(old, new)
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            self._rename_to_free_name(old, new)
        else:
            # A power cut must not keep the loss of one name, and lose the other.
            self.sync_directory(new.parent)
            os.unlink(old)

    def _rename_to_free_name(self, old: Path, new: Path) -> None:
        if new.exists():
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(new))
        os.rename(old, new)

    def unlink(self, path: Path) -> None:
        """Remove the name, if it is there."""
        path.unlink(missing_ok=True)

    def names(self, directory: Path) -> list[str]:
        """Names in `directory`, sorted."""
        return sorted(os.listdir(directory))

    def lock(self, fd: int, *, exclusive: bool) -> bool:
        """Take or change the lock without waiting; False while others' locks forbid it.

        After False an earlier lock of this descriptor is gone: flock changes kinds in two steps.
        """
        kind = fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH
        try:
            fcntl.flock(fd, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
        return True
