"""Between a writer and the operating system: every change of a file passes here, and may go wrong.

`Shim` takes the place of the functions of `os` that change files below one directory. Before each
call it asks a *judge*, who may let it pass, kill the process (before the call, in the middle of a
write, or after it), or have it fail as a disk does. A failed sync also takes back part of what was
written since the last good one, as a kernel may that could not write its pages.

No product code knows of it: it is put in place in a process that was forked for that, or by
``fault_hooks/sitecustomize.py`` in a real writer.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import h5daq.storage.disk as disk
from benchmarks.fault_calls import Call, Event, Judge
from h5daq.storage.exclusive import rename_exclusive

__all__ = ["Shim"]

_PAGE = 4096
_DESCRIPTORS = "/proc/self/fd/"


class Shim:
    """Watches the changes below a directory, and spoils some.

    Parameters
    ----------
    root : Path
        Calls for files elsewhere pass unseen.
    judge : callable
        Gives the verdict on each call.
    note : callable, optional
        Told of each change that was made, as a tuple; for a diary.
    """

    def __init__(
        self, root: Path, judge: Judge, note: Callable[[Event], None] = lambda _: None
    ) -> None:
        self._root, self._judge, self._note = str(root), judge, note
        self._real = {name: getattr(os, name) for name in _REPLACED}
        self._paths: dict[int, str] = {}
        self._plain: dict[int, int] = {}
        self._unsynced: dict[int, dict[int, bytes]] = {}
        self.count = 0
        self.exclusive = True
        """Whether the file system can rename without replacing; not all can."""

    def install(self) -> None:
        """Take the place of the functions, for the rest of this process."""
        for name in _REPLACED:
            setattr(os, name, getattr(self, f"_{name}"))
        disk.rename_exclusive = self._rename_exclusive

    # -- the verdict ---------------------------------------------------------------------------

    def _meet(
        self, op: str, path: str, act: Callable[[], Any], half: Callable[[], Any] | None = None
    ) -> Any:
        self.count += 1
        verdict = self._judge(Call(self.count, op, Path(path)))
        if verdict.kill in ("before", "middle"):
            if verdict.kill == "middle" and half is not None:
                half()
            _die()
        if verdict.error:
            raise OSError(verdict.error, os.strerror(verdict.error), path)
        result = act()
        if verdict.kill == "after":
            _die()
        return result

    def _below(self, path: Any) -> str:
        """The absolute name, if it is one of ours; else empty."""
        if isinstance(path, int):
            return self._paths.get(path, "")
        name = os.path.abspath(os.fspath(path))
        return name if name == self._root or name.startswith(self._root + os.sep) else ""

    # -- descriptors -----------------------------------------------------------------------------

    def _open(self, path: Any, flags: int, mode: int = 0o777, **more: Any) -> int:
        name, make = self._below(path), lambda: self._real["open"](path, flags, mode, **more)
        if str(path).startswith(_DESCRIPTORS):
            return self._again(int(Path(path).name), int(make()))
        if not name:
            return int(make())
        if flags & os.O_CREAT and not os.path.lexists(name):
            fd = self._meet("make", name, make)
            self._note(("name", name, os.fstat(fd).st_ino))
        else:
            fd = make()
        self._paths[fd] = name
        return int(fd)

    def _again(self, plain: int, fd: int) -> int:
        """Take note that `fd` is the file of `plain`, for writes past the page cache."""
        if plain in self._paths:
            self._paths[fd], self._plain[fd] = self._paths[plain], plain
        return fd

    def _close(self, fd: int) -> None:
        self._paths.pop(fd, None)
        self._plain.pop(fd, None)
        self._real["close"](fd)

    def _pwrite(self, fd: int, data: Any, offset: int) -> int:
        return self._write(fd, memoryview(data).cast("B"), offset)

    def _pwritev(self, fd: int, parts: Sequence[Any], offset: int) -> int:
        if fd not in self._paths:
            return int(self._real["pwritev"](fd, parts, offset))
        # What goes past the cache must come from the memory that was meant for that.
        data, real = memoryview(b"".join(parts)), self._real["pwritev"]
        return self._write(fd, data, offset, lambda: real(fd, parts, offset))

    def _write(
        self, fd: int, data: memoryview, offset: int, act: Callable[[], int] | None = None
    ) -> int:
        real, path, plain = self._real["pwrite"], self._paths.get(fd), self._plain.get(fd, fd)
        if path is None:
            return int(real(fd, data, offset))
        self._remember(plain, offset, len(data))
        half = data[: len(data) // 2]
        whole = act or (lambda: real(fd, data, offset))
        done = self._meet("write", path, whole, lambda: real(plain, half, offset))
        self._note(("write", os.fstat(fd).st_ino, offset, bytes(data[:done])))
        return int(done)

    def _ftruncate(self, fd: int, length: int) -> None:
        real, path = self._real["ftruncate"], self._paths.get(fd)
        if path is None:
            real(fd, length)
            return
        self._meet("cut", path, lambda: real(fd, length))
        self._note(("cut", os.fstat(fd).st_ino, length))

    def _posix_fallocate(self, fd: int, offset: int, length: int) -> None:
        real, path = self._real["posix_fallocate"], self._paths.get(fd)
        if path is None:
            real(fd, offset, length)
            return
        self._meet("reserve", path, lambda: real(fd, offset, length))
        status = os.fstat(fd)
        self._note(("cut", status.st_ino, status.st_size))

    def _fsync(self, fd: int) -> None:
        self._sync(fd, self._real["fsync"])

    def _fdatasync(self, fd: int) -> None:
        self._sync(fd, self._real["fdatasync"])

    def _sync(self, fd: int, real: Callable[[int], None]) -> None:
        path = self._paths.get(fd)
        if path is None:
            real(fd)
            return
        names = os.path.isdir(path)
        try:
            self._meet("sync-names" if names else "sync", path, lambda: real(fd))
        except OSError:
            self._take_back(fd)
            raise
        status = os.fstat(fd)
        self._unsynced.pop(status.st_ino, None)
        self._note(("sync-names", path) if names else ("sync", status.st_ino))

    # -- what a failed sync takes back -------------------------------------------------------------

    def _remember(self, fd: int, offset: int, length: int) -> None:
        """Keep what stood in the pages that are about to change."""
        pages = self._unsynced.setdefault(os.fstat(fd).st_ino, {})
        for page in range(offset // _PAGE, -(-(offset + length) // _PAGE)):
            if page not in pages:
                pages[page] = os.pread(fd, _PAGE, page * _PAGE)

    def _take_back(self, fd: int) -> None:
        """Every other page that was written since the last good sync is as it was before."""
        pages = self._unsynced.pop(os.fstat(fd).st_ino, {})
        for page, before in list(pages.items())[::2]:
            self._real["pwrite"](fd, before.ljust(_PAGE, b"\0")[: self._room(fd, page)],
                                 page * _PAGE)  # fmt: skip

    def _room(self, fd: int, page: int) -> int:
        return max(0, min(_PAGE, os.fstat(fd).st_size - page * _PAGE))

    # -- names -------------------------------------------------------------------------------------

    def _rename(self, old: Any, new: Any, **more: Any) -> None:
        self._move("rename", old, new, more)

    def _replace(self, old: Any, new: Any, **more: Any) -> None:
        self._move("replace", old, new, more)

    def _rename_exclusive(self, old: Path, new: Path) -> bool:
        name = self._below(old)
        if not self.exclusive or not name:
            return self.exclusive and rename_exclusive(old, new)
        inode = os.stat(old).st_ino
        done = self._meet("rename", name, lambda: rename_exclusive(old, new))
        if done:
            self._follow(name, self._below(new))
            self._note(("name", self._below(new), inode, name))
        return bool(done)

    def _move(self, real: str, old: Any, new: Any, more: dict[str, Any]) -> None:
        name = self._below(old)
        if not name:
            self._real[real](old, new, **more)
            return
        inode = os.stat(old).st_ino
        self._meet("rename", name, lambda: self._real[real](old, new, **more))
        self._follow(name, self._below(new))
        self._note(("name", self._below(new), inode, name))

    def _follow(self, old: str, new: str) -> None:
        """What is open is known by its newest name."""
        for fd, path in list(self._paths.items()):
            if path == old:
                self._paths[fd] = new

    def _link(self, old: Any, new: Any, **more: Any) -> None:
        name = self._below(old)
        if not name:
            self._real["link"](old, new, **more)
            return
        self._meet("link", name, lambda: self._real["link"](old, new, **more))
        self._follow(name, self._below(new))
        self._note(("name", self._below(new), os.stat(new).st_ino))

    def _unlink(self, path: Any, **more: Any) -> None:
        name = self._below(path)
        if not name or not os.path.lexists(name):
            self._real["unlink"](path, **more)
            return
        self._meet("unlink", name, lambda: self._real["unlink"](path, **more))
        self._note(("name", name, None))

    def _mkdir(self, path: Any, mode: int = 0o777, **more: Any) -> None:
        name, make = self._below(path), lambda: self._real["mkdir"](path, mode, **more)
        if not name or os.path.lexists(name):
            make()
            return
        self._meet("mkdir", name, make)
        self._note(("mkdir", name))


_REPLACED = (
    "open", "close", "pwrite", "pwritev", "ftruncate", "posix_fallocate", "fsync", "fdatasync",
    "rename", "replace", "link", "unlink", "mkdir",
)  # fmt: skip


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
