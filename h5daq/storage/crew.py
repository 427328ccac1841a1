"""A few threads that are called to work, and may be called from anywhere.

An executor's ``submit`` takes locks. From within HDF5 that can end badly: whoever is there holds
h5py's lock, and a thread that holds the executor's may want h5py's, to let go of an object that it
happens to find unused. A call here takes no lock of Python's: ``SimpleQueue`` is made for such
places.

The threads end with the `Crew`, or with the process, which does not wait for them.
"""

from __future__ import annotations

import errno
import os
import threading
import weakref
from collections.abc import Callable
from queue import SimpleQueue

__all__ = ["Crew"]

_Calls = SimpleQueue[Callable[[], None] | None]


class Crew:
    """Threads, started.

    Parameters
    ----------
    count : int
        How many.
    name : str
        Theirs.

    Raises
    ------
    OSError
        If the system has no thread to give.
    """

    def __init__(self, count: int, name: str) -> None:
        self._calls: _Calls = SimpleQueue()
        weakref.finalize(self, _dismiss, self._calls, count)
        try:
            for _ in range(count):
                threading.Thread(target=_serve, args=(self._calls,), name=name, daemon=True).start()
        except RuntimeError as error:
            raise OSError(errno.EAGAIN, f"{os.strerror(errno.EAGAIN)}: {error}") from error

    def call(self, work: Callable[[], None]) -> None:
        """Have one of them do `work`, which must not raise."""
        self._calls.put(work)


def _serve(calls: _Calls) -> None:
    while (work := calls.get()) is not None:
        work()
        # What it belongs to may be let go of while the next call is waited for.
        del work


def _dismiss(calls: _Calls, count: int) -> None:
    for _ in range(count):
        calls.put(None)
