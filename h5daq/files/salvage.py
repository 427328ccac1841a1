"""A readable copy of an HDF5 file that some program left open when it died.

Two things can be wrong. Only the superblock: then the copy is the same file with a mended one, and
everything that HDF5 had written is in it. Or objects and chunks as well, since HDF5 had not
written them yet, the file was cut, or something wrote over it: then the copy is made anew of what
can be read. Everything is read once to tell the two apart, in a process of its own, so that a
crash of libhdf5 costs no more than what it crashed on.

The file itself is opened for reading only.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import h5py

from h5daq.errors import FileBusy, FileDamaged, StorageError
from h5daq.files.mending import Mend, mend
from h5daq.files.salvage_copy import Copier
from h5daq.files.salvage_link import ReaderLink, Unreadable
from h5daq.storage.disk import Disk
from h5daq.storage.ondisk import naming
from h5daq.storage.redo import redo_path

__all__ = ["Salvaged", "salvage"]


@dataclass(slots=True)
class Salvaged:
    """What was made of a file.

    Attributes
    ----------
    path, output : Path
        The file, and its copy.
    mended : list of str
        What was put right in the superblock.
    rebuilt : bool
        Whether the copy was made anew, as not all of the file could be read.
    groups, datasets : int
        How many are in the copy, whole or not.
    lost : list of (str, str)
        Objects, and what of them could not be read and why.
    """

    path: Path
    output: Path
    mended: list[str] = field(default_factory=list)
    rebuilt: bool = False
    groups: int = 0
    datasets: int = 0
    lost: list[tuple[str, str]] = field(default_factory=list)


def salvage(path: str | os.PathLike[str], output: str | os.PathLike[str] | None = None) -> Salvaged:
    """Make a readable copy of a file that HDF5 refuses, or that is damaged.

    Chunks without a filter or checksum can't be told from damaged ones; they are copied as they
    are. Virtual datasets and region references are not carried over into a copy that is made anew.

    Parameters
    ----------
    path : path-like
        The file; never changed.
    output : path-like, optional
        The copy; must not be there. ``NAME.salvaged.EXT`` beside the file by default.

    Raises
    ------
    FileDamaged
        If nothing can be read.
    FileBusy
        If some program has the file locked for writing, or an h5daq transaction of it is pending.
    StorageError
        If there is no such file, the copy is there already, or can't be written.

    Examples
    --------
    >>> import tempfile, pathlib, h5py
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "any.h5"
    >>> with h5py.File(path, "w") as file:
    ...     file["x"] = [1, 2, 3]
    >>> found = salvage(path)
    >>> found.output.name, found.datasets, found.lost
    ('any.salvaged.h5', 1, [])
    """
    path = Path(path)
    target = Path(output) if output else path.with_name(f"{path.stem}.salvaged{path.suffix}")
    if target.exists():
        raise StorageError(errno.EEXIST, "is there already; give another --output", str(target))
    with naming(path, "can't be salvaged"), _held(path):
        found = Salvaged(path, target)
        with _opened(path) as (link, mended):
            found.mended = list(mended.notes)
            _count(found, Copier(link))
            with _published(target) as part:
                _copy(found, link, mended, part)
    return found


def _copy(found: Salvaged, link: ReaderLink, mended: Mend, part: Path) -> None:
    if not found.lost:
        shutil.copyfile(found.path, part)
        with part.open("r+b") as file:
            file.seek(mended.offset)
            file.write(mended.raw)
            file.truncate(mended.length)
        return
    found.rebuilt = True
    try:
        with h5py.File(part, "w", libver=("v110", "v110")) as file:
            _count(found, Copier(link, file))
    except (OSError, RuntimeError) as error:
        raise StorageError(f"{found.output}: the copy can't be written: {error}") from error


def _count(found: Salvaged, copier: Copier) -> None:
    copier.walk()
    found.lost = copier.lost
    found.groups, found.datasets = copier.groups, copier.datasets


@contextmanager
def _opened(path: Path) -> Iterator[tuple[ReaderLink, Mend]]:
    """A reader that has the file open, by the superblock with which that works."""
    why = ""
    for without_extension in (False, True):
        mended = mend(path, without_extension=without_extension)
        with ReaderLink(path, mended) as link:
            try:
                link.open()
                link.ask("links", "/")
            except Unreadable as error:
                why = why or str(error)
                continue
            yield link, mended
            return
    raise FileDamaged(f"{path}: nothing in it can be read: {why}")


@contextmanager
def _held(path: Path) -> Iterator[None]:
    """Keep writers that lock away for as long as it is read."""
    if redo_path(path).exists():
        text = "a change by h5daq is pending; `h5daq recover` without --salvage finishes it"
        raise FileBusy(errno.EBUSY, text, str(path))
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            text = "is being written by another program; end that first"
            raise FileBusy(errno.EAGAIN, text, str(path)) from None
        yield


@contextmanager
def _published(target: Path) -> Iterator[Path]:
    """A name to write to; it becomes the target when all is written, and goes if not."""
    part, disk = target.with_name(f".{target.name}.salvaging"), Disk()
    try:
        yield part
        with part.open("rb") as file:
            os.fsync(file.fileno())
        disk.publish(part, target)
        disk.sync_directory(target.absolute().parent)
    finally:
        part.unlink(missing_ok=True)
