"""Redo logs in a directory: opening one for oneself, and finding the one that lost its file.

A log is locked by the process that has it open, so two processes never change one file at the
same time. When a file is renamed, its log follows; after a crash between the two the log has the
old name, belongs to nobody there, and is known by the file's inode.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from h5daq.errors import FileBusy
from h5daq.storage.disk import Disk
from h5daq.storage.redo import RedoLog, redo_path

__all__ = ["adopt_orphan", "inode_of_orphan", "logged_files", "open_log"]


def open_log(disk: Disk, path: Path, *, durable: bool) -> RedoLog:
    """Open, or begin, the redo log of `path`, for this process alone.

    Raises
    ------
    FileBusy
        If another process has it.
    """
    name = redo_path(path)
    fd = _open_locked(disk, name, path)
    fresh = disk.size(fd) == 0
    try:
        log = RedoLog(disk, fd, name, durable=durable)
        if durable:
            disk.sync(fd)
            disk.sync_directory(name.parent)
    except BaseException:
        if fresh:
            with suppress(OSError):
                disk.unlink(name)
        disk.close(fd)
        raise
    return log


def _open_locked(disk: Disk, name: Path, path: Path) -> int:
    while True:
        fd = disk.open(name, create=True)
        if not disk.lock(fd, exclusive=True):
            disk.close(fd)
            raise FileBusy(errno.EAGAIN, "another process has a transaction on it", str(path))
        if disk.identity_of(name) == disk.identity(fd):
            return fd
        # It was removed between the two calls, by the process that had it before.
        disk.close(fd)


def logged_files(disk: Disk, directory: Path) -> Iterator[Path]:
    """Files, there or not, whose redo logs lie in `directory`."""
    for name in disk.names(directory):
        if name.startswith(".") and name.endswith(".redo") and len(name) > len("..redo"):
            yield directory / name[1 : -len(".redo")]


def adopt_orphan(disk: Disk, path: Path, inode: int) -> None:
    """If the log of `path` still has the name from before a rename, rename it too."""
    if disk.identity_of(redo_path(path)) is not None:
        return
    for other in list(logged_files(disk, path.parent)):
        if disk.identity_of(other) is None and inode_of_orphan(disk, other) == inode:
            disk.rename(redo_path(other), redo_path(path))
            disk.sync_directory(path.parent)
            return


def inode_of_orphan(disk: Disk, path: Path) -> int | None:
    """The inode that the record in the log of `path` speaks of; None without a record."""
    try:
        fd = _open_locked(disk, redo_path(path), path)
    except FileBusy:
        # Somebody is in the middle of a rename, and will finish it.
        return None
    try:
        record = RedoLog(disk, fd, redo_path(path), durable=False).load()
    finally:
        disk.close(fd)
    return None if record is None else record.inode
