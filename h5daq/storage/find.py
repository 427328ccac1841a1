"""Which run files lie in a directory, known by their ids rather than by their names.

Names change when a file is sealed, people rename files, and a name that a run needs may be taken;
the root attribute ``file_id`` stays. What is not ours is never touched: the next free name is
taken instead.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterator
from pathlib import Path

import h5py

from h5daq.errors import FileBusy, FileDamaged, StorageError
from h5daq.storage.disk import Disk
from h5daq.storage.redo import redo_path
from h5daq.storage.redo_files import inode_of_orphan, logged_files
from h5daq.storage.transaction import recover

__all__ = ["file_id_of", "find_files", "free_path", "numbered", "run_files"]

log = logging.getLogger("h5daq.storage.find")


def find_files(
    planned: Path, file_id: int, *, anywhere: bool, strange: set[Path] | None = None
) -> Iterator[Path]:
    """The run file of an id, recovered; several if one was damaged, and another took its place.

    Parameters
    ----------
    planned : Path
        The name that it was given.
    file_id : int
        Its id.
    anywhere : bool
        Look at the whole directory if it is not there under that name.
    strange : set of Path, optional
        Takes what has such a name and is another file, or damaged.

    Raises
    ------
    FileBusy
        If another program has it.
    """
    for path in numbered(planned):
        if not path.exists():
            break
        if _is_ours(path, file_id):
            yield path
        elif strange is not None:
            strange.add(path)
    if anywhere:
        _recover_all(planned.parent)
        elsewhere = run_files(planned.parent).get(file_id)
        if elsewhere is not None:
            yield elsewhere


def free_path(planned: Path, own: Path | None = None) -> Path:
    """`planned`, or the first of its numbered variants, that is free or `own`.

    Also another name of `own`: a kill in the middle of a rename can leave both.
    """
    return next(path for path in numbered(planned) if _is_free(path) or _is_same(path, own))


def _is_free(path: Path) -> bool:
    if path.exists() or not redo_path(path).exists():
        return not path.exists()
    try:
        # It may hold a change of a file that somebody has moved away.
        return inode_of_orphan(Disk(), path) is None
    except OSError as error:
        log.error("%s: %s", redo_path(path), error)
        return False


def _is_same(path: Path, own: Path | None) -> bool:
    if own is None or path == own:
        return path == own
    return own.exists() and path.exists() and path.samefile(own)


def run_files(directory: Path) -> dict[int, Path]:
    """Run files directly in `directory`, by ``file_id``; what can't be read as HDF5 is left out.

    Parameters
    ----------
    directory : Path
        Searched without its subdirectories.

    Raises
    ------
    StorageError
        If it can't be listed.
    """
    found: dict[int, Path] = {}
    try:
        paths = sorted(p for p in directory.iterdir() if p.is_file() and p.name[0] != ".")
    except OSError as error:
        text = f"the directory can't be listed: {error.strerror}"
        raise StorageError(error.errno, text, str(directory)) from error
    for path in paths:
        file_id = file_id_of(path)
        if file_id is not None:
            found[file_id] = path
    return found


def file_id_of(path: Path) -> int | None:
    """The ``file_id`` of a run file; None for what is no run file, or can't be read."""
    try:
        # Another program's lock says nothing about whose file it is.
        with h5py.File(path, "r", locking=False) as file:
            return int(file.attrs["file_id"])
    except (OSError, KeyError, ValueError, TypeError):
        return None


def numbered(planned: Path) -> Iterator[Path]:
    """A name, then its numbered variants, without end."""
    yield planned
    for number in itertools.count(1):
        yield planned.with_name(f"{planned.stem}-{number}{planned.suffix}")


def _recover_all(directory: Path) -> None:
    """A file that is half applied can't tell its id, whatever its name is by now."""
    for path in list(logged_files(Disk(), directory)):
        try:
            recover(path)
        except FileBusy:
            continue
        except FileDamaged as error:
            log.error("%s: %s", path, error)


def _is_ours(path: Path, file_id: int) -> bool:
    found = file_id_of(path) or _recovered_id(path)
    if found != file_id:
        log.error("%s is another file, or damaged: it is left alone, and its name not used", path)
    return found == file_id


def _recovered_id(path: Path) -> int | None:
    """The id of a file that can't be read as it is: a change of it may be half applied."""
    try:
        recover(path)
    except FileDamaged as error:
        log.error("%s: %s", path, error)
    return file_id_of(path)
