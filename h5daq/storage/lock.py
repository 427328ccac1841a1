"""One writer per directory: a lock that nobody has to clean up.

The lock is the kernel's (``flock``), so it ends with the process that holds it, however that ends.
The file stays; what is written in it says who holds the lock, and counts only while it is held.
"""

from __future__ import annotations

import fcntl
import os
import re
import socket
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType

from h5daq.errors import FileBusy, StorageError
from h5daq.storage.disk import Disk

__all__ = ["DirectoryLock", "is_alive", "make_directory"]

_TEXT_BYTES = 4096
_SIGNED = re.compile(r"process (\d+) on (\S+) since ")


def make_directory(directory: Path) -> None:
    """Make a directory, with those above it, unless it is there.

    Raises
    ------
    StorageError
        If it can't be made; names what is in the way.
    """
    try:
        Disk().make_directory(directory)
    except OSError as error:
        text = f"the directory can't be made: {os.strerror(error.errno or 0)}"
        raise StorageError(error.errno, text, str(error.filename or directory)) from error


class DirectoryLock:
    """Keeps other writers out of a directory; also a context manager.

    Parameters
    ----------
    directory : Path
        What is locked, by the file ``.h5daq/lock`` in it.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.path = directory / ".h5daq" / "lock"
        self._fd: int | None = None

    def acquire(self) -> None:
        """Take the lock, without waiting.

        Raises
        ------
        FileBusy
            While another process, or another lock of this one, has it; names the holder.
        StorageError
            If the file can't be made, or the file system knows no locks.
        """
        fd = self._open()
        self._take(fd)
        try:
            self._sign(fd)
        except OSError as error:
            self.let_go()
            raise self._impossible(error) from error

    def _take(self, fd: int) -> None:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = _holder(fd)
            os.close(fd)
            raise FileBusy(
                f"{self.directory} has a writer already: {holder}. Stop that one first "
                f"(h5daq stop --directory {self.directory}), or use another directory"
            ) from None
        except OSError as error:
            os.close(fd)
            raise self._impossible(error) from error
        self._fd = fd

    def release(self) -> None:
        """Let go of the lock, if it is held."""
        if self._fd is not None:
            fd, self._fd = self._fd, None
            # Closing is what releases it: the text must be gone before.
            with suppress(OSError):
                # On a disk that takes nothing the text stays; it counts only while it is locked.
                os.ftruncate(fd, 0)
            os.close(fd)

    def acquire_untouched(self) -> None:
        """Keep writers out without leaving a trace in the directory, for as long as one looks.

        Raises
        ------
        FileBusy
            While another process has the lock; names it.
        """
        try:
            fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return
        except OSError as error:
            raise self._impossible(error) from error
        self._take(fd)

    def let_go(self) -> None:
        """Give up what `acquire_untouched` took."""
        if self._fd is not None:
            fd, self._fd = self._fd, None
            os.close(fd)

    def abandoned(self) -> bool:
        """Whether nobody has the lock: it was given back, or who signed for it is dead.

        Nothing is locked to find out, so that nobody who begins just then is kept out. Of a
        process on another machine nothing is known.
        """
        try:
            signed = _SIGNED.match(self.path.read_text())
        except OSError:
            return False
        if signed is None or signed[2] != socket.gethostname():
            return signed is None and not self.path.stat().st_size
        return not is_alive(int(signed[1]))

    @property
    def held(self) -> bool:
        """Whether this object has the lock."""
        return self._fd is not None

    def __enter__(self) -> DirectoryLock:
        self.acquire()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()

    def _open(self) -> int:
        try:
            Disk().make_directory(self.path.parent)
            # A process that was killed may have made it, and not have come to this.
            Disk().sync_directory(self.directory)
            return os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        except OSError as error:
            raise self._impossible(error) from error

    def _sign(self, fd: int) -> None:
        now = datetime.now(UTC).isoformat(timespec="seconds")
        text = f"process {os.getpid()} on {socket.gethostname()} since {now}\n"
        os.ftruncate(fd, 0)
        os.pwrite(fd, text.encode(), 0)

    def _impossible(self, error: OSError) -> StorageError:
        text = (
            f"the directory can't be locked ({os.strerror(error.errno or 0)}); it must be "
            f"writable, and on a file system with locks"
        )
        return StorageError(error.errno or 0, text, str(self.path))


def is_alive(pid: int) -> bool:
    """Whether there is such a process on this machine, and it has not ended already."""
    try:
        os.kill(pid, 0)
        # One that was killed stays as a zombie until its parent asks how it ended.
        state = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0]
    except ProcessLookupError:
        return False
    except (OSError, IndexError):
        # Somebody else's, or no such directory on this system.
        return True
    return state not in (b"Z", b"X")


def _holder(fd: int) -> str:
    text = os.pread(fd, _TEXT_BYTES, 0).decode("utf-8", "replace").strip()
    return text or "a process that has not said its name yet"
