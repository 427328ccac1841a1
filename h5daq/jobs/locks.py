"""`HostLock`: one reader at a time for jobs that share an instrument.

Jobs with the same ``thread_id`` may live in different processes of a host; the lock is an
``flock`` on a small file in the user's part of the temporary directory, which the kernel lets go
of when a process dies. Waiting is bounded.

Before the lock stands a gate, which is held only while waiting. Whoever lets go of the lock must
pass the gate to come back, so a job that reads without pause can't shut out the others.
"""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
import time
from pathlib import Path
from urllib.parse import quote

from h5daq.errors import StorageError

__all__ = ["HostLock", "own_directory", "try_lock"]

if sys.platform == "win32":
    import msvcrt

    def try_lock(fd: int) -> bool:
        """Lock an open file against other processes; False if one of them has it."""
        try:
            msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

    def _release(fd: int) -> None:
        os.lseek(fd, 0, os.SEEK_SET)
        msvcrt.locking(fd, msvcrt.LK_UNLCK, 1)

else:
    import fcntl

    def try_lock(fd: int) -> bool:
        """Lock an open file against other processes; False if one of them has it."""
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _release(fd: int) -> None:
        fcntl.flock(fd, fcntl.LOCK_UN)


_FIRST_PAUSE, _LONGEST_PAUSE = 0.0002, 0.005
"""Seconds between two tries, at first and at most."""


class HostLock:
    """A lock by name, across the processes of one user on one host.

    Parameters
    ----------
    name : str
        The ``thread_id``.
    directory : Path, optional
        Where the lock files are.

    Raises
    ------
    StorageError
        If the lock files can't be made.

    Examples
    --------
    >>> lock = HostLock("doctest")
    >>> lock.acquire(timeout=1.0)
    True
    >>> lock.release()
    """

    def __init__(self, name: str, directory: Path | None = None) -> None:
        directory = directory or own_directory()
        stem = quote(name, safe="")[:200]
        self._lock = _open(directory / f"{stem}.lock")
        self._gate = _open(directory / f"{stem}.gate")

    def acquire(self, timeout: float) -> bool:
        """Wait up to `timeout` seconds; whether the lock is held now."""
        deadline = time.monotonic() + timeout
        if not _wait(self._gate, deadline):
            return False
        try:
            return _wait(self._lock, deadline)
        finally:
            _release(self._gate)

    def release(self) -> None:
        """Let the next one in."""
        _release(self._lock)

    def close(self) -> None:
        """Close the files; a lock that is held is let go."""
        os.close(self._lock)
        os.close(self._gate)

    def let_go(self) -> None:
        """In a forked child: the lock is its parent's alone, and ends with that."""
        for fd in (self._lock, self._gate):
            with contextlib.suppress(OSError):
                os.close(fd)


def _wait(fd: int, deadline: float) -> bool:
    pause = _FIRST_PAUSE
    while not try_lock(fd):
        left = deadline - time.monotonic()
        if left <= 0:
            return False
        time.sleep(min(pause, left))
        pause = min(2 * pause, _LONGEST_PAUSE)
    return True


def _open(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise StorageError(
            error.errno, f"can't make the lock file: {error.strerror}", str(path)
        ) from error


def own_directory() -> Path:
    """A directory that only this user can write to, whatever others put into the temporary one.

    Raises
    ------
    StorageError
        If somebody else has its name.
    OSError
        If it can't be made.
    """
    user = os.getuid() if hasattr(os, "getuid") else os.environ.get("USERNAME", "user")
    directory = Path(tempfile.gettempdir()) / f"h5daq-{user}"
    directory.mkdir(mode=0o700, exist_ok=True)
    status = directory.lstat()
    if directory.is_symlink() or (hasattr(os, "getuid") and status.st_uid != os.getuid()):
        raise StorageError(
            f"{directory} belongs to someone else: set TMPDIR to a place of your own"
        )
    return directory
