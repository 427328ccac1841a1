"""The toll: how many rows a worker has read, in a small file that outlives it.

Its first page is shared memory, which a reading costs one store and no call; a worker that ends
with all its rows in safety deletes it. While the worker lives it holds a lock on it, whoever else
may have died; a toll that nobody holds is of a worker that was killed, and `left` finds it for who
will tell the writer (`h5daq.daemon.reckoner`).

Tolls lie in the user's part of the temporary directory, by the directory of the writer's files. A
machine that loses power may lose them with the rows that they count.
"""

from __future__ import annotations

import logging
import mmap
import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import astuple, dataclass
from hashlib import blake2b
from pathlib import Path

import msgpack

from h5daq.errors import StorageError
from h5daq.flow.toll import CELLS, Count, counted
from h5daq.jobs.locks import own_directory, try_lock
from h5daq.jobs.pulse import raised
from h5daq.jobs.spool_places import place_of

__all__ = ["Left", "Owner", "Toll", "left"]

log = logging.getLogger("h5daq.worker")

PAGE = 4096
_ENDED = CELLS
"""The cell that says that a worker ended by itself, and left rows that nobody took."""


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose rows are counted: job, incarnation, run, and the directory of the writer's files."""

    job: str
    inc: int
    run: str
    home: str


@dataclass(frozen=True, slots=True)
class Left:
    """The toll of a worker that is gone.

    Attributes
    ----------
    owner : Owner
        Whose.
    produced : int
        Rows and readings that it has counted.
    cause : str
        Of the loss of those that nobody has.
    path : Path
        The file.
    """

    owner: Owner
    produced: int
    cause: str
    path: Path

    @property
    def spooled(self) -> bool:
        """Whether rows of it lie in a spool, and will come."""
        owner = self.owner
        return (place_of(owner.run, owner.job, owner.inc) / "about").exists()

    def forget(self) -> None:
        """It was told."""
        # Where it can't be deleted, it is told again, which counts nothing.
        with suppress(OSError):
            self.path.unlink(missing_ok=True)


class Toll:
    """The worker's side.

    Parameters
    ----------
    owner : Owner
        Whose rows.

    Attributes
    ----------
    count : Count
        The count; in memory of the process's own where the file can't be made.
    """

    def __init__(self, owner: Owner) -> None:
        self.count = Count()
        self._path: Path | None = None
        self._fd: int | None = None
        self._cells: memoryview[int] | None = None
        try:
            if owner.home:
                self._begin(_directory(), owner)
        except (OSError, StorageError) as error:
            log.warning("job %s: rows that are lost with this worker would not be counted: %s",
                        owner.job, error)  # fmt: skip

    def _begin(self, directory: Path, owner: Owner) -> None:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = directory / f"{_mark(owner.home)}-{_mark(owner.job)}-{owner.inc:016x}.toll"
        fresh = path.with_suffix(".new")
        # All of it is written, so that no later store can find the disk full.
        fresh.write_bytes(bytes(PAGE) + msgpack.packb(astuple(owner)))
        # Opened twice: a copy of this process keeps the memory, and must not keep the lock.
        with open(fresh, "r+b") as file:
            self._cells = memoryview(mmap.mmap(file.fileno(), PAGE)).cast("q")
        self._fd = _locked(fresh)
        # Nobody finds it before it is locked.
        self._path = fresh.replace(path)
        self.count = Count(self._cells)

    def close(self, *, whole: bool) -> None:
        """The worker ends; `whole` if each of its rows is committed or was told as lost."""
        if self._path is None:
            return
        if whole:
            with suppress(OSError):
                self._path.unlink(missing_ok=True)
        elif self._cells is not None:
            self._cells[_ENDED] = 1

    def let_go(self) -> None:
        """In a forked child: the count and the lock are its parent's."""
        self.count.leave()
        self._path = None
        if self._fd is not None:
            with suppress(OSError):
                os.close(self._fd)
            self._fd = None


def left(home: str, jobs: Iterable[str] | None = None) -> Iterator[Left]:
    """The tolls of workers that are gone, of those that sent to the writer of a directory.

    Parameters
    ----------
    home : str
        The directory of the writer's files.
    jobs : iterable of str, optional
        Of these jobs alone.
    """
    marks = None if jobs is None else {_mark(job) for job in jobs}
    with suppress(OSError, StorageError):
        for path in sorted(_directory().glob(f"{_mark(home)}-*.toll")):
            if marks is None or path.name.split("-")[1] in marks:
                yield from _read(path)


def _read(path: Path) -> Iterator[Left]:
    """The toll in a file, unless its worker lives. One that can't be read is deleted."""
    try:
        fd = os.open(path, os.O_RDWR | getattr(os, "O_BINARY", 0))
    except OSError:
        return
    with os.fdopen(fd, "rb") as file:
        if not try_lock(fd):
            return
        found = file.read()
    try:
        cells = memoryview(found[:PAGE]).cast("q")
        owner, produced = Owner(*msgpack.unpackb(found[PAGE:])), counted(cells)
        place_of(owner.run, owner.job, owner.inc)
    except (ValueError, TypeError, AttributeError, IndexError, msgpack.UnpackException):
        with suppress(OSError):
            path.unlink(missing_ok=True)
        return
    yield Left(owner, produced, "undelivered" if cells[_ENDED] else "killed", path)


def _locked(path: Path) -> int:
    low = os.open(path, os.O_RDWR | getattr(os, "O_BINARY", 0))
    fd = raised(low)
    os.close(low)
    try_lock(fd)
    return fd


def _directory() -> Path:
    return own_directory() / "tolls"


def _mark(name: str) -> str:
    return blake2b(name.encode("utf-8", "surrogateescape"), digest_size=8).hexdigest()
