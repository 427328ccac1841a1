"""The pulse of a worker: a page of memory that it shares with the process that started it.

In it stand when the worker's I/O thread last came round, and since when a reading is under way. A
worker needs no message for it, nor Python's lock to be looked at; and it can be read when the
worker is dead: whether it died in its getter, and, behind the page, in which call.

Without a file it is memory of the process's own, and only what the worker itself wants to know.
"""

from __future__ import annotations

import mmap
import os
import signal
import struct
import sys
import threading
from contextlib import suppress
from pathlib import Path

from h5daq.jobs.stack import Place, of_dump

__all__ = ["LOOK_SIGNAL", "Pulse", "PulseReader", "raised"]

LOOK_SIGNAL = int(getattr(signal, "SIGRTMAX", 0)) and int(signal.SIGRTMAX) - 3
"""What asks a worker for its stack; 0 where there is no signal that nobody else uses."""

PAGE = 4096
_BEAT, _BUSY, _COPIES, _CLOSED, _THREAD = range(5)
_CELL = struct.Struct("d")
_HIGH = 600
"""From which number on our descriptors lie: out of the reach of a getter that tidies up."""

_DUMP_BYTES = 1 << 18


class Pulse:
    """The worker's side.

    Parameters
    ----------
    path : Path, optional
        The file that is shared.

    Attributes
    ----------
    fd : int or None
        The file, to write a stack to.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.fd: int | None = None
        self._canary: int | None = None
        self._copy_of: memoryview[float] | None = None
        page: bytearray | mmap.mmap = bytearray(PAGE)
        if path is not None:
            page = self._share(path)
        self._cells: memoryview[float] = memoryview(page).cast("d")
        self._cells[_THREAD] = threading.main_thread().ident or 0

    def _share(self, path: Path) -> mmap.mmap:
        low = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        os.ftruncate(low, PAGE)
        self._canary, self.fd = low, raised(low)
        os.lseek(self.fd, PAGE, os.SEEK_SET)
        return mmap.mmap(self.fd, PAGE)

    # -- the thread that reads -------------------------------------------------------------------

    def begin(self, now: float) -> None:
        """A reading begins."""
        self._cells[_BUSY] = now

    def end(self) -> None:
        """It is over; ends the process if that is a copy of the worker, or a ruin."""
        if self._copy_of is not None:
            self._copy_of[_COPIES] += 1
            os._exit(0)
        self._cells[_BUSY] = 0.0
        if self._canary is not None and self.ruined():
            os._exit(1)

    def ruined(self) -> bool:
        """Whether the getter has closed descriptors that are not its own."""
        try:
            if self._canary is not None:
                os.lseek(self._canary, 0, os.SEEK_CUR)
        except OSError:
            self._cells[_CLOSED] = 1.0
        return bool(self._cells[_CLOSED])

    # -- any thread --------------------------------------------------------------------------------

    @property
    def busy_since(self) -> float | None:
        """When the reading under way began, in monotonic seconds."""
        return self._cells[_BUSY] or None

    @property
    def copies(self) -> int:
        """How many copies of the worker came back from its getter."""
        return int(self._cells[_COPIES])

    def beat(self, now: float) -> None:
        """The I/O thread has come round."""
        self._cells[_BEAT] = now

    # -- in a child of the worker ------------------------------------------------------------------

    def leave(self) -> None:
        """This process is a copy of the worker, which the getter has forked."""
        self._copy_of = self._copy_of or self._cells
        self._cells, self._canary = memoryview(bytearray(self._cells)).cast("d"), None


def raised(fd: int) -> int:
    """The same file, by a number that is not in the way."""
    if sys.platform != "win32":
        import fcntl

        with suppress(OSError):
            return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _HIGH)
    return os.dup(fd)


class PulseReader:
    """The parent's side.

    Parameters
    ----------
    path : Path
        The file; made here, deleted by `close`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        path.write_bytes(bytes(PAGE))
        with open(path, "rb") as file:
            self._page = mmap.mmap(file.fileno(), PAGE, access=mmap.ACCESS_READ)

    @property
    def beat(self) -> float:
        """When the worker's I/O thread last came round; 0 before it began."""
        return self._cell(_BEAT)

    @property
    def busy_since(self) -> float:
        """Since when a reading is under way; 0 if none is."""
        return self._cell(_BUSY)

    @property
    def closed_foreign(self) -> bool:
        """Whether the getter has closed descriptors that were not its own."""
        return bool(self._cell(_CLOSED))

    def _cell(self, number: int) -> float:
        return float(_CELL.unpack_from(self._page, number * _CELL.size)[0])

    def stack(self) -> list[Place]:
        """The calls of the newest dump; empty if there is none."""
        with suppress(OSError), open(self.path, "rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(PAGE, size - _DUMP_BYTES))
            return of_dump(file.read().decode("ascii", "replace"), int(self._cell(_THREAD)))
        return []

    def close(self) -> None:
        """The worker is gone."""
        self._page.close()
        with suppress(OSError):  # where a file in use can't be deleted, or it is gone
            self.path.unlink()
