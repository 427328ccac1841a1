"""What a crash left beside HDF5 files, finished or forgotten.

Opening a file for transactions recovers it, so there is nothing here but going through the names.
Each file gets a verdict; a file that can't be recovered is named and left as it is, and the others
are done all the same.
"""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

from h5daq.errors import FileBusy, FileDamaged
from h5daq.storage.apply import Standing
from h5daq.storage.committed import CommittedFile
from h5daq.storage.disk import Disk
from h5daq.storage.newfile import part_path
from h5daq.storage.ondisk import naming
from h5daq.storage.redo import redo_path
from h5daq.storage.redo_files import inode_of_orphan, logged_files

__all__ = ["Recovery", "below", "recover", "recover_directory", "recover_tree"]

log = logging.getLogger("h5daq.storage.recover")

_BELOW = ".dir"
"""What the names of the vault's directories end with."""


@dataclass(frozen=True, slots=True)
class Recovery:
    """What became of one file.

    Attributes
    ----------
    path : Path
        The file.
    action : str
        ``"applied"``: a finished transaction was brought in. ``"forgotten"``: there was none, or
        an unfinished one; the file is as before. ``"pending"``: a finished one waits for a
        reader to leave. ``"unborn"``: the file's first transaction wasn't finished, its remnant
        is removed. ``"orphan"``: a finished transaction whose file is gone; kept.
        ``"busy"``, ``"damaged"``: see `detail`.
    detail : str
        What was found, for people.
    """

    path: Path
    action: str
    detail: str = ""


def recover(path: str | PathLike[str], *, disk: Disk | None = None) -> Recovery | None:
    """Finish or forget what is pending for one file; None if there is nothing.

    Raises
    ------
    FileBusy
        If another program has the file.
    FileDamaged
        If another program changed the file while a transaction of ours was pending.
    StorageError
        If the disk fails.
    """
    disk = disk or Disk()
    path = disk.real_path(Path(path))
    with naming(path, "can't be recovered"):
        if disk.identity_of(path) is None:
            return _recover_absent(disk, path)
        _remove_remnant(disk, path)
        return _recover_present(disk, path) if _has_log(disk, path) else None


def recover_directory(
    directory: str | PathLike[str], *, disk: Disk | None = None
) -> list[Recovery]:
    """Recover every file in `directory` (not below it) that something is pending for."""
    disk, directory = disk or Disk(), Path(directory).absolute()
    paths = sorted({*logged_files(disk, directory), *_unborn(disk, directory)})
    found = [_recover_noted(disk, path) for path in paths]
    return [recovery for recovery in found if recovery is not None]


def recover_tree(directory: str | PathLike[str], *, disk: Disk | None = None) -> list[Recovery]:
    """Recover the files in `directory`, and in the vault's directories below it."""
    places = [Path(directory), *below(Path(directory))]
    return [found for place in places for found in recover_directory(place, disk=disk)]


def below(directory: Path) -> Iterator[Path]:
    """The vault's directories below one, at any depth; links are followed, in no circle."""
    waiting, seen = [directory.absolute()], set[tuple[int, int]]()
    while waiting:
        for found in _directories(waiting.pop()):
            status = found.stat()
            if (status.st_dev, status.st_ino) not in seen:
                seen.add((status.st_dev, status.st_ino))
                waiting.append(found)
                yield found


def _directories(directory: Path) -> list[Path]:
    with naming(directory, "can't be listed"), os.scandir(directory) as entries:
        names = sorted(e.name for e in entries if e.name.endswith(_BELOW) and e.is_dir())
    return [directory / name for name in names]


def _recover_noted(disk: Disk, path: Path) -> Recovery | None:
    try:
        return recover(path, disk=disk)
    except FileBusy as error:
        log.warning("%s: %s", path, error)
        return Recovery(path, "busy", str(error))
    except FileDamaged as error:
        log.error("%s: %s", path, error)
        return Recovery(path, "damaged", str(error))


def _recover_present(disk: Disk, path: Path) -> Recovery:
    file = CommittedFile.open(disk, path, durable=True)
    try:
        had_record = file.pending or file.found is not None
        file.cut()
        applied = file.apply()
    finally:
        file.close()
    if not applied:
        return Recovery(path, "pending", "somebody holds the file open")
    if not had_record:
        return Recovery(path, "forgotten", "no transaction was finished since the last one")
    detail = f"was {file.found.value}" if isinstance(file.found, Standing) else ""
    return Recovery(path, "applied", detail)


def _recover_absent(disk: Disk, path: Path) -> Recovery | None:
    """A log or a remnant without its file: renamed, unborn, or deleted by somebody."""
    inode = inode_of_orphan(disk, path) if disk.identity_of(redo_path(path)) else None
    if inode is None:
        return _forget_unborn(disk, path)
    for name in disk.names(path.parent):
        identity = disk.identity_of(path.with_name(name))
        if identity is not None and identity[1] == inode:
            return _recover_present(disk, path.with_name(name))
    return Recovery(path, "orphan", f"{redo_path(path).name} belongs to a file that is gone")


def _forget_unborn(disk: Disk, path: Path) -> Recovery | None:
    leftovers = [p for p in (part_path(path), redo_path(path)) if disk.identity_of(p)]
    if not leftovers:
        return None
    log_fd = disk.open(redo_path(path), create=True)
    try:
        if not disk.lock(log_fd, exclusive=True):
            raise FileBusy(errno.EAGAIN, "another process is making it", str(path))
        _remove_remnant(disk, path)
        disk.unlink(redo_path(path))
    finally:
        disk.close(log_fd)
    return Recovery(path, "unborn", "its first transaction was not finished")


def _remove_remnant(disk: Disk, path: Path) -> None:
    """Remove the name that a new file had; the file itself may have its real name by now."""
    disk.unlink(part_path(path))


def _has_log(disk: Disk, path: Path) -> bool:
    if disk.identity_of(redo_path(path)):
        return True
    return any(disk.identity_of(p) is None for p in logged_files(disk, path.parent))


def _unborn(disk: Disk, directory: Path) -> list[Path]:
    names = disk.names(directory)
    hidden = [n for n in names if n.startswith(".") and n.endswith(".part") and len(n) > 6]
    return [directory / name[1 : -len(".part")] for name in hidden]
