"""A disk in memory that forgets: what storage code must live with when the machine loses power.

It takes the place of `h5daq.storage.disk.Disk` and keeps a diary of every write, cut, sync and
change of a name. From the diary it builds the disk as it may be found after a crash at any point:
of what was not synced, any part may be there and any part not, sector by sector, and a sector may
be torn at any byte. So a test goes through hundreds of crashes in a second.
"""

from __future__ import annotations

import errno
import random
from dataclasses import dataclass, field
from pathlib import Path

from h5daq.storage.disk import Disk, FileIdentity
from h5daq.storage.writeback import WriteBehind

__all__ = ["SimulatedDisk"]

_SECTOR = 512


@dataclass(frozen=True, slots=True)
class _Write:
    inode: int
    offset: int
    data: bytes


@dataclass(frozen=True, slots=True)
class _Cut:
    inode: int
    length: int


@dataclass(frozen=True, slots=True)
class _Sync:
    inode: int


@dataclass(frozen=True, slots=True)
class _Name:
    """A name given to an inode, or taken away; `old` is the name that it had before a rename."""

    path: Path
    inode: int | None
    old: Path | None = None


@dataclass(frozen=True, slots=True)
class _SyncNames:
    directory: Path


_Event = _Write | _Cut | _Sync | _Name | _SyncNames


class _NoWriteBehind(WriteBehind):
    def wrote(self, offset: int, length: int) -> None:
        """Leave it to the sync."""

    def drop(self) -> None:
        """There are no pages to give back."""


@dataclass(slots=True)
class _Contents:
    """Inodes and names at one moment."""

    files: dict[int, bytearray] = field(default_factory=dict)
    names: dict[Path, int] = field(default_factory=dict)

    def happen(self, event: _Event) -> None:
        if isinstance(event, _Write):
            _patch(self.files.setdefault(event.inode, bytearray()), event.offset, event.data)
        elif isinstance(event, _Cut):
            data = self.files.setdefault(event.inode, bytearray())
            data[:] = data[: event.length].ljust(event.length, b"\0")
        elif isinstance(event, _Name):
            self._rename(event)

    def _rename(self, event: _Name) -> None:
        if event.old is not None:
            self.names.pop(event.old, None)
        if event.inode is None:
            self.names.pop(event.path, None)
        else:
            self.names[event.path] = event.inode

    def copy(self) -> _Contents:
        return _Contents({i: bytearray(d) for i, d in self.files.items()}, dict(self.names))


class SimulatedDisk(Disk):
    """Files in memory, with a diary.

    Parameters
    ----------
    files : dict of Path to bytes, optional
        What is on it, synced, from the beginning.
    """

    past_cache = False

    def __init__(self, files: dict[Path, bytes] | None = None) -> None:
        self._start = _Contents()
        for inode, (path, data) in enumerate((files or {}).items(), start=1):
            self._start.files[inode] = bytearray(data)
            self._start.names[path] = inode
        self._begin()

    def _begin(self) -> None:
        self._now = self._start.copy()
        self._diary: list[_Event] = []
        self._open: dict[int, int] = {}
        self._locks: dict[int, bool] = {}
        self._next_fd = 3

    @property
    def events(self) -> int:
        """How many entries the diary has: moments at which the machine can stop."""
        return len(self._diary)

    def contents(self, path: Path) -> bytes | None:
        """What a program reads now; None where there is no such file."""
        inode = self._now.names.get(path)
        return None if inode is None else bytes(self._now.files[inode])

    def crash(self, at: int, dice: random.Random) -> SimulatedDisk:
        """The disk as found after the machine stopped before event number `at`."""
        past, loss = self._diary[:at], dice.choice((0.0, 0.1, 0.5, 0.9, 1.0))
        found = SimulatedDisk()
        found._start = self._start.copy()
        for number, event in enumerate(past):
            if _is_safe(event, past[number + 1 :]):
                found._start.happen(event)
            else:
                _half_happen(found._start, event, loss, dice)
        for inode in found._start.names.values():
            found._start.files.setdefault(inode, bytearray())
        found._begin()
        return found

    # -- Disk -------------------------------------------------------------------------------

    def real_path(self, path: Path) -> Path:
        """See `Disk`. There are no links here."""
        return path

    def open(self, path: Path, *, create: bool = False, exclusive: bool = False) -> int:
        """See `Disk`."""
        if path not in self._now.names:
            if not (create or exclusive):
                raise FileNotFoundError(errno.ENOENT, "no such file", str(path))
            self._note(_Name(path, max(self._now.files, default=0) + 1))
        elif exclusive:
            raise FileExistsError(errno.EEXIST, "is there already", str(path))
        self._next_fd += 1
        self._open[self._next_fd] = self._now.names[path]
        self._now.files.setdefault(self._now.names[path], bytearray())
        return self._next_fd

    def close(self, fd: int) -> None:
        """See `Disk`."""
        del self._open[fd]
        self._locks.pop(fd, None)

    def size(self, fd: int) -> int:
        """See `Disk`."""
        return len(self._data(fd))

    def identity(self, fd: int) -> FileIdentity:
        """See `Disk`."""
        return 0, self._open[fd]

    def identity_of(self, path: Path) -> FileIdentity | None:
        """See `Disk`."""
        return (0, self._now.names[path]) if path in self._now.names else None

    def read_into(self, fd: int, offset: int, buffer: memoryview) -> None:
        """See `Disk`."""
        found = self._data(fd)[offset : offset + len(buffer)]
        buffer[:] = bytes(found).ljust(len(buffer), b"\0")

    def write(self, fd: int, offset: int, data: bytes | bytearray | memoryview) -> None:
        """See `Disk`."""
        self._note(_Write(self._open[fd], offset, bytes(data)))

    def write_behind(self, fd: int) -> WriteBehind:
        """See `Disk`. Nothing is on its way before a sync says so."""
        return _NoWriteBehind(fd)

    def truncate(self, fd: int, length: int) -> None:
        """See `Disk`."""
        self._note(_Cut(self._open[fd], length))

    def sync(self, fd: int) -> None:
        """See `Disk`."""
        self._note(_Sync(self._open[fd]))

    def sync_directory(self, directory: Path) -> None:
        """See `Disk`."""
        self._note(_SyncNames(directory))

    def rename(self, old: Path, new: Path) -> None:
        """See `Disk`."""
        self._note(_Name(new, self._now.names[old], old))

    def publish(self, old: Path, new: Path) -> None:
        """See `Disk`."""
        if new in self._now.names:
            raise FileExistsError(errno.EEXIST, "is there already", str(new))
        self._note(_Name(new, self._now.names[old]))
        self.unlink(old)

    def unlink(self, path: Path) -> None:
        """See `Disk`."""
        if path in self._now.names:
            self._note(_Name(path, None))

    def names(self, directory: Path) -> list[str]:
        """See `Disk`."""
        return sorted(path.name for path in self._now.names if path.parent == directory)

    def lock(self, fd: int, *, exclusive: bool) -> bool:
        """See `Disk`."""
        self._locks.pop(fd, None)
        others = [kind for other, kind in self._locks.items() if self._same(other, fd)]
        if any(others) or (exclusive and others):
            return False
        self._locks[fd] = exclusive
        return True

    # -- inside -----------------------------------------------------------------------------

    def _note(self, event: _Event) -> None:
        self._diary.append(event)
        self._now.happen(event)

    def _data(self, fd: int) -> bytearray:
        return self._now.files[self._open[fd]]

    def _same(self, first: int, second: int) -> bool:
        return self._open[first] == self._open[second]


def _patch(data: bytearray, offset: int, piece: bytes) -> None:
    if len(data) < offset:
        data.extend(bytes(offset - len(data)))
    data[offset : offset + len(piece)] = piece


def _is_safe(event: _Event, later: list[_Event]) -> bool:
    """Whether a later sync vouches for the event."""
    if isinstance(event, _Write | _Cut):
        return _Sync(event.inode) in later
    if isinstance(event, _Name):
        return _SyncNames(event.path.parent) in later
    return True


def _half_happen(contents: _Contents, event: _Event, loss: float, dice: random.Random) -> None:
    if isinstance(event, _Write):
        for offset, piece in _sectors(event):
            if dice.random() >= loss:
                contents.happen(_Write(event.inode, *_torn(offset, piece, dice)))
    elif dice.random() >= loss:
        contents.happen(event)


def _sectors(event: _Write) -> list[tuple[int, bytes]]:
    """The write in pieces that lie within a sector each."""
    pieces, done = [], 0
    while done < len(event.data):
        offset = event.offset + done
        length = _SECTOR - offset % _SECTOR
        pieces.append((offset, event.data[done : done + length]))
        done += length
    return pieces


def _torn(offset: int, piece: bytes, dice: random.Random) -> tuple[int, bytes]:
    """Now and then only the first or the last bytes of a sector arrive."""
    if dice.random() < 0.9:
        return offset, piece
    cut = dice.randrange(len(piece))
    return (offset, piece[:cut]) if dice.random() < 0.5 else (offset + cut, piece[cut:])
