"""A file that is being born: it gets its name when its first transaction is whole.

Until then it lies beside as ``.<name>.part``, where nobody reads it, so everything goes straight
to disk and a crash leaves a remnant instead of a broken file. The redo log is there from the
beginning: its lock keeps a second process from making a file of the same name.
"""

from __future__ import annotations

import errno
from pathlib import Path

from h5daq.errors import StorageError
from h5daq.storage.committed import CommittedFile
from h5daq.storage.disk import Disk
from h5daq.storage.ondisk import OnDisk
from h5daq.storage.overlay import Overlay
from h5daq.storage.redo import beside
from h5daq.storage.redo_files import open_log

__all__ = ["NewFile", "part_path"]


def part_path(path: Path) -> Path:
    """Where a file lies until it is whole."""
    return beside(path, ".part")


class NewFile:
    """What will be `path`.

    Raises
    ------
    StorageError
        If the name is taken.
    FileBusy
        If another process is making it.
    """

    barrier = 0
    length = 0

    def __init__(self, disk: Disk, path: Path, *, durable: bool) -> None:
        if disk.identity_of(path) is not None:
            raise StorageError(errno.EEXIST, "is there already", str(path))
        self.path = path
        self._born = False
        self.log = open_log(disk, path, durable=durable)
        try:
            self._check_log()
            fd = disk.open(part_path(path), create=True)
            self.on_disk = OnDisk(disk, path, fd, durable=durable)
        except BaseException:
            if self.log.empty:
                self.log.remove()
            else:
                self.log.close()
            raise
        self.cut()

    def overlay(self, limit: int) -> Overlay:
        """An overlay that stays empty but after an error."""
        return Overlay(self.on_disk.page, self.log, {}, limit)

    def cut(self) -> None:
        """Begin anew, unless the file has its name already, and could only not be synced."""
        if not self._born:
            self.on_disk.cut(0)

    def publish(self) -> CommittedFile:
        """Give the file its name, now that it is whole."""
        disk = self.on_disk.disk
        end = self.on_disk.find_superblock(None, disk.size(self.on_disk.fd)).end
        self.on_disk.cut(end)
        self.on_disk.sync(end)
        try:
            disk.publish(part_path(self.path), self.path)
        finally:
            # Also when it failed half-way, with the new name given and the old one still there.
            self._born = disk.identity_of(self.path) == disk.identity(self.on_disk.fd)
        self.on_disk.sync_name()
        return CommittedFile(self.on_disk, self.log)

    def close(self) -> None:
        """Leave nothing behind but a file that has its name."""
        self.on_disk.disk.unlink(part_path(self.path))
        self.log.remove()
        self.on_disk.close()

    def _check_log(self) -> None:
        if self.log.load() is not None:
            text = f"{self.log.path.name} is left of another file of this name; recover that first"
            raise StorageError(errno.EEXIST, text, str(self.path))
