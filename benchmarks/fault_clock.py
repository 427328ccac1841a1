"""A wall clock that can be set, for a tree of real processes and for them alone.

A process that starts with `Clock.environment` reads ``time.time`` and ``time.time_ns`` shifted by
a number that stands in a mapped file, so that all of them see a jump at the same moment, while
their monotonic clocks go on, as in a kernel whose clock is set. The preloaded library `faketime`
does the same, but takes the times of files along, and more than it measures.
"""

from __future__ import annotations

import mmap
import os
import struct
import time
from pathlib import Path

__all__ = ["Clock", "follow"]

_OFFSET = struct.Struct("<d")
_VARIABLE = "H5DAQ_FAULT_CLOCK"


class Clock:
    """The clock of those who follow it.

    Parameters
    ----------
    path : Path
        A file, made here.
    """

    def __init__(self, path: Path) -> None:
        path.write_bytes(_OFFSET.pack(0.0))
        self._path = path
        self.sets: list[float] = []

    @property
    def environment(self) -> dict[str, str]:
        """What a process must have in its environment, beside the hooks in ``PYTHONPATH``."""
        return {_VARIABLE: str(self._path)}

    @property
    def offset(self) -> float:
        """Seconds by which it is ahead of this computer's."""
        return float(_OFFSET.unpack(self._path.read_bytes())[0])

    def jump(self, seconds: float) -> None:
        """Set it forth, or back."""
        self.sets.append(seconds)
        with open(self._path, "r+b", buffering=0) as file:
            file.write(_OFFSET.pack(self.offset + seconds))

    def repeat_second(self) -> None:
        """A leap second: at the end of a second the same second begins once more."""
        time.sleep(1.0 - (time.time() + self.offset) % 1.0)
        self.jump(-1.0)


def follow() -> None:
    """Shift the clock of this process, where its environment says so."""
    if _VARIABLE not in os.environ:
        return
    with open(os.environ[_VARIABLE], "rb") as file:
        place = mmap.mmap(file.fileno(), _OFFSET.size, access=mmap.ACCESS_READ)
    real, real_ns, offset = time.time, time.time_ns, _OFFSET.unpack_from
    time.time = lambda: real() + offset(place)[0]
    time.time_ns = lambda: real_ns() + int(offset(place)[0] * 1e9)
