"""Private sockets: a directory that only its owner may enter, and what is left of dead ones.

A process that is killed can't remove its sockets. So the directory holds a file, ``owner``, that
those who use the sockets keep locked. The kernel drops a lock with the process, whatever ended it;
who finds the file signed and unlocked may remove the directory.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import stat
import tempfile
from pathlib import Path

__all__ = ["PrivateSockets", "keep_alive", "remove_abandoned"]

_PREFIX = "h5daq-"
_NAME = re.compile(r"h5daq-[A-Za-z0-9_]{8}")
_OURS = re.compile(r"owner|data|requests|signals|pulse-\d+(\.\w+)?")
"""What a run puts there: sockets, and the pulses of its workers."""


class PrivateSockets:
    """A directory for ipc sockets, mode 0700, for as long as this process lives or uses it."""

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix=_PREFIX))
        self._fd = _hold(self.path, sign=True)

    def endpoint(self, name: str) -> str:
        """The address of one of them."""
        return f"ipc://{self.path}/{name}"

    def remove(self) -> None:
        """Remove it, with what is in it."""
        shutil.rmtree(self.path, ignore_errors=True)
        if self._fd is not None:
            fd, self._fd = self._fd, None
            os.close(fd)


def keep_alive(*endpoints: str) -> int | None:
    """Hold the private directory of these endpoints for as long as this process lives.

    Returns
    -------
    int or None
        A descriptor to leave open; None if none of them is private.
    """
    places = [Path(e.removeprefix("ipc://")).parent for e in endpoints if e.startswith("ipc://")]
    private = [place for place in places if _NAME.fullmatch(place.name)]
    return _hold(private[0], sign=False) if private else None


def remove_abandoned() -> list[Path]:
    """Remove the directories of this user that nobody holds any more; which they were."""
    here = Path(tempfile.gettempdir())
    with contextlib.suppress(OSError):
        found = sorted(path for path in here.iterdir() if _NAME.fullmatch(path.name))
        return [path for path in found if _removed(path)]
    return []


def _hold(path: Path, *, sign: bool) -> int | None:
    """Share the lock of the directory's owner file, signed by who makes it."""
    try:
        import fcntl
    except ImportError:
        return None
    flags = os.O_RDWR | os.O_CLOEXEC | (os.O_CREAT | os.O_EXCL if sign else 0)
    try:
        fd = os.open(path / "owner", flags, 0o600)
    except OSError:
        return None
    with contextlib.suppress(OSError):
        fcntl.flock(fd, fcntl.LOCK_SH)
        if sign:
            # Not before the lock is held: what is not signed is not taken for abandoned.
            os.write(fd, f"process {os.getpid()}\n".encode())
    return fd


def _removed(path: Path) -> bool:
    import fcntl

    try:
        about = path.lstat()
        if about.st_uid != os.getuid() or not stat.S_ISDIR(about.st_mode):
            return False
        fd = os.open(path / "owner", os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        names = os.listdir(path)
        if not os.pread(fd, 8, 0) or not all(map(_OURS.fullmatch, names)):
            return False
        for name in names:
            (path / name).unlink()
        path.rmdir()
    except OSError:
        return False
    finally:
        os.close(fd)
    return True
