"""Open an HDF5 file for reading, also one that a run is writing at this moment.

A run file can be opened at any time but for the instant (under a millisecond) in which a finished
checkpoint is applied: then HDF5 refuses, because the file is locked, or its superblock marked as
being changed. So a refusal of that kind is tried again until a deadline. If it lasts, the writer
was killed in just that instant, and the error says what mends it.

HDF5 tells all its failures as ``OSError`` with a long text. Here they become the three that a
reader can act on: not there, busy, damaged.
"""

from __future__ import annotations

import errno
import os
import time
from pathlib import Path

import h5py

from h5daq.errors import FileBusy, FileDamaged, StorageError
from h5daq.storage.superblock import LONGEST, is_marked

__all__ = ["open_for_reading"]

FIRST_PAUSE = 0.001
"""Seconds until the first new try: as long as applying a checkpoint takes."""

LONGEST_PAUSE = 0.05
"""Seconds between tries at most."""

_BAD_VERSION = "bad superblock version"
_BUSY = ("unable to lock file", "already open for write", "already open for SWMR")


def open_for_reading(path: str | os.PathLike[str], patience: float = 5.0) -> h5py.File:
    """An open, read-only ``h5py.File``.

    Parameters
    ----------
    path : path-like
        The file.
    patience : float
        Seconds to keep trying while the file is busy.

    Raises
    ------
    FileBusy
        If it is still locked or marked as open for writing when `patience` is over.
    FileDamaged
        If it is no HDF5 file, or a truncated one.
    StorageError
        If it is not there or can't be read.
    """
    deadline = time.monotonic() + patience
    pause = FIRST_PAUSE
    while True:
        try:
            return h5py.File(path, "r")
        except OSError as error:
            if not _is_busy(error, path) or time.monotonic() >= deadline:
                raise _explain(error, Path(path), patience) from error
        time.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE)


def _is_busy(error: OSError, path: str | os.PathLike[str]) -> bool:
    if _BAD_VERSION in str(error):
        return _is_marked(path)
    return any(sign in str(error) for sign in _BUSY)


def _is_marked(path: str | os.PathLike[str]) -> bool:
    """Whether the superblock has the mark that it bears while a checkpoint is applied."""
    try:
        with open(path, "rb") as file:
            head = file.read(LONGEST)
    except OSError:
        return False
    return is_marked(head)


def _explain(error: OSError, path: Path, patience: float) -> StorageError:
    if _is_busy(error, path):
        return FileBusy(
            errno.EBUSY,
            f"still locked or marked as open for writing after {patience:g} s; if no program has "
            f"it open, finish its last checkpoint with: h5daq recover {path.parent}",
            str(path),
        )
    if error.errno is None and path.exists() and os.access(path, os.R_OK):
        # Without a number it was not the system that refused, but HDF5 that did not understand.
        return FileDamaged(errno.EINVAL, f"not a whole HDF5 file: {error}", str(path))
    number = error.errno or (errno.EACCES if path.exists() else errno.ENOENT)
    return StorageError(number, f"can't be opened: {os.strerror(number)}", str(path))
