"""A disk that keeps everything that is written to it to itself: what would be, without doing it.

Storage code that is given a `ShadowDisk` reads the real files, sees its own writes, cuts, renames
and removals on top of them, and changes nothing: recovery runs on it as it is, and what it says is
what it would do. Locks are real, so that a file in use is found in use.
"""

from __future__ import annotations

import errno
import io
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from h5daq.storage.disk import FileIdentity
from h5daq.storage.segment_disk import Part, SegmentDisk
from h5daq.storage.writeback import WriteBehind

__all__ = ["ShadowDisk", "ShadowFile"]

_PAGE = 4096
_NOWHERE = -1
"""The device of files that are on no disk."""


class _NoWriteBehind(WriteBehind):
    def wrote(self, offset: int, length: int) -> None:
        """Nothing is written."""

    def drop(self) -> None:
        """There are no pages to give back."""


@dataclass(slots=True)
class _Shadow:
    """A file: the real one as far as `below`, and the pages that were written."""

    identity: FileIdentity
    length: int
    below: int
    pages: dict[int, bytearray] = field(default_factory=dict)


class ShadowDisk(SegmentDisk):
    """The operating system's files, to be read; changes stay in memory."""

    past_cache = False

    def __init__(self) -> None:
        self._shadows: dict[FileIdentity, _Shadow] = {}
        self._open: dict[int, _Shadow] = {}
        # What names stand for since they were changed here; None for what is gone.
        self._names: dict[Path, FileIdentity | None] = {}

    def open(self, path: Path, *, create: bool = False, exclusive: bool = False) -> int:
        """See `Disk`; the file itself is opened for reading."""
        identity = self.identity_of(path)
        if identity is None and not (create or exclusive):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
        if identity is not None and exclusive:
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))
        real = self._real(path, identity)
        fd = os.open(os.devnull if real is None else real, os.O_RDONLY | os.O_CLOEXEC)
        if identity is None:
            identity = self._names[path] = (_NOWHERE, len(self._shadows))
        if identity not in self._shadows:
            size = 0 if real is None else os.fstat(fd).st_size
            self._shadows[identity] = _Shadow(identity, size, size)
        self._open[fd] = self._shadows[identity]
        return fd

    def _real(self, path: Path, identity: FileIdentity | None) -> Path | None:
        """A real name of the file; None for one that is on no disk."""
        if identity is None or identity[0] == _NOWHERE:
            return None
        places = [path, *(path.with_name(name) for name in super().names(path.parent))]
        return next((p for p in places if super(ShadowDisk, self).identity_of(p) == identity), None)

    def close(self, fd: int) -> None:
        """See `Disk`."""
        del self._open[fd]
        os.close(fd)

    def size(self, fd: int) -> int:
        """See `Disk`."""
        return self._open[fd].length

    def identity(self, fd: int) -> FileIdentity:
        """See `Disk`."""
        return self._open[fd].identity

    def identity_of(self, path: Path) -> FileIdentity | None:
        """See `Disk`."""
        return self._names[path] if path in self._names else super().identity_of(path)

    # -- contents ------------------------------------------------------------------------------

    def read_into(self, fd: int, offset: int, buffer: memoryview) -> None:
        """See `Disk`."""
        shadow, end = self._open[fd], offset + len(buffer)
        real = max(0, min(end, shadow.below) - offset)
        if real:
            super().read_into(fd, offset, buffer[:real])
        buffer[real:] = bytes(len(buffer) - real)
        for page in [p for p in shadow.pages if p * _PAGE < end and (p + 1) * _PAGE > offset]:
            first, last = max(offset, page * _PAGE), min(end, (page + 1) * _PAGE)
            image = memoryview(shadow.pages[page])
            start = page * _PAGE
            buffer[first - offset : last - offset] = image[first - start : last - start]

    def read(self, fd: int, offset: int, length: int) -> bytes:
        """See `SegmentDisk`."""
        data = bytearray(max(0, min(length, self.size(fd) - offset)))
        self.read_into(fd, offset, memoryview(data))
        return bytes(data)

    def write(self, fd: int, offset: int, data: bytes | bytearray | memoryview) -> None:
        """See `Disk`; kept in memory."""
        view, shadow, done = memoryview(data).cast("B"), self._open[fd], 0
        while done < len(view):
            page, start = divmod(offset + done, _PAGE)
            piece = view[done : done + _PAGE - start]
            self._page(fd, page)[start : start + len(piece)] = piece
            done += len(piece)
        shadow.length = max(shadow.length, offset + len(view))

    def write_parts(self, fd: int, offset: int, parts: Sequence[Part]) -> None:
        """See `SegmentDisk`."""
        self.write(fd, offset, b"".join(parts))

    def _page(self, fd: int, page: int) -> bytearray:
        pages = self._open[fd].pages
        if page not in pages:
            image = bytearray(_PAGE)
            self.read_into(fd, page * _PAGE, memoryview(image))
            pages[page] = image
        return pages[page]

    def truncate(self, fd: int, length: int) -> None:
        """See `Disk`."""
        shadow = self._open[fd]
        if length < shadow.length:
            page, start = divmod(length, _PAGE)
            if page in shadow.pages:
                shadow.pages[page][start:] = bytes(_PAGE - start)
            shadow.pages = {p: image for p, image in shadow.pages.items() if p * _PAGE < length}
        shadow.length, shadow.below = length, min(shadow.below, length)

    def write_behind(self, fd: int) -> WriteBehind:
        """See `Disk`. Nothing is on its way."""
        return _NoWriteBehind(fd)

    def reserve(self, fd: int, length: int) -> None:
        """See `SegmentDisk`. There is room."""

    def sync(self, fd: int) -> None:
        """See `Disk`. Nothing is to be synced."""

    def sync_directory(self, directory: Path) -> None:
        """See `Disk`. Nothing is to be synced."""

    def forget_cached(self, fd: int) -> None:
        """See `SegmentDisk`."""

    def vanished(self, fd: int) -> bool:
        """See `SegmentDisk`."""
        return self.identity(fd) not in self._names.values() and super().vanished(fd)

    # -- names ---------------------------------------------------------------------------------

    def rename(self, old: Path, new: Path) -> None:
        """See `Disk`."""
        self._names[new], self._names[old] = self.identity_of(old), None

    def publish(self, old: Path, new: Path) -> None:
        """See `Disk`."""
        if self.identity_of(new) is not None:
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(new))
        self.rename(old, new)

    def unlink(self, path: Path) -> None:
        """See `Disk`."""
        if self.identity_of(path) is not None:
            self._names[path] = None

    def names(self, directory: Path) -> list[str]:
        """See `Disk`."""
        changed = {p.name: identity for p, identity in self._names.items() if p.parent == directory}
        found = {*super().names(directory), *changed}
        return sorted(name for name in found if changed.get(name, 0) is not None)

    # -- locks ---------------------------------------------------------------------------------

    def lock(self, fd: int, *, exclusive: bool) -> bool:
        """See `Disk`. What is on no disk nobody else has."""
        if self._open[fd].identity[0] == _NOWHERE:
            return True
        return super().lock(fd, exclusive=exclusive)


class ShadowFile(io.RawIOBase):
    """A file on such a disk, for ``h5py.File`` to read.

    Parameters
    ----------
    disk : ShadowDisk
        The disk.
    path : Path
        The file's name there.
    """

    def __init__(self, disk: ShadowDisk, path: Path) -> None:
        self._disk, self._fd = disk, disk.open(path)
        self._position = 0

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move to `offset`."""
        end = self._disk.size(self._fd)
        self._position = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: end}[whence]
        self._position += offset
        return self._position

    def tell(self) -> int:
        """Position in bytes."""
        return self._position

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        """Fill `buffer` from the position on."""
        view = memoryview(buffer).cast("B")
        self._disk.read_into(self._fd, self._position, view)
        self._position += len(view)
        return len(view)

    def readable(self) -> bool:
        """It is there to be read."""
        return True

    def seekable(self) -> bool:
        """It has positions."""
        return True

    def close(self) -> None:
        """Let go of it."""
        if not self.closed:
            self._disk.close(self._fd)
        super().close()
