"""A disk as slow as ``H5DAQ_DISK_MIB_S`` says: each sync takes as long as what was written.

Python imports it by itself in processes that have this directory on their PYTHONPATH; it touches
those of `benchmarks.load` that are writers, and no others.
"""

import os
import sys
import threading
import time

_SLICE = 256 << 10


def _slow_down(bytes_per_second: float) -> None:
    lock, disk, unsynced = threading.Lock(), threading.Lock(), {}
    really = (os.pwrite, os.pwritev, os.fsync, os.fdatasync)

    def wrote(fd: int, n: int) -> int:
        with lock:
            unsynced[fd] = unsynced.get(fd, 0) + n
        return n

    def sync(fd: int, how) -> None:  # type: ignore[no-untyped-def]
        with lock:
            left = unsynced.pop(fd, 0)
        while left > 0:
            with disk:  # there is one, and who syncs at the same time shares it
                time.sleep(min(left, _SLICE) / bytes_per_second)
            left -= _SLICE
            time.sleep(0.0)
        how(fd)

    os.pwrite = lambda fd, data, offset: wrote(fd, really[0](fd, data, offset))
    os.pwritev = lambda fd, parts, offset: wrote(fd, really[1](fd, parts, offset))
    os.fsync = lambda fd: sync(fd, really[2])
    os.fdatasync = lambda fd: sync(fd, really[3])


if "h5daq.writer" in getattr(sys, "orig_argv", ()) and "H5DAQ_DISK_MIB_S" in os.environ:
    _slow_down(float(os.environ["H5DAQ_DISK_MIB_S"]) * (1 << 20))
