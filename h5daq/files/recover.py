"""Recovery for people with files: a run's directory, or single files; for show, or in earnest.

A directory gets what the next writer in it would do first (`h5daq.storage.recovery`), for the
runs as for the Data Vault. A single
file only gets its own pending transaction finished or forgotten: rows in the journal of its
directory are for the directory's recovery. Files that other programs left open are another matter,
`h5daq.files.salvage`.
"""

from __future__ import annotations

import os
from pathlib import Path

from h5daq.errors import StorageError
from h5daq.storage.foresee import foresee
from h5daq.storage.lock import DirectoryLock
from h5daq.storage.ondisk import naming
from h5daq.storage.recovery import Progress, Recovered, journal_directory, recover_run
from h5daq.storage.shadow import ShadowDisk
from h5daq.storage.superblock import LONGEST, find_superblock
from h5daq.storage.transaction import Recovery
from h5daq.storage.transaction import recover as recover_transaction
from h5daq.vault.foreseen import foresee_vault
from h5daq.vault.replay import replay_vault

__all__ = ["UNDONE", "Recovered", "Recovery", "recover"]

UNDONE = frozenset({"busy", "damaged", "left open"})
"""Actions of a `Recovery` that say that something could not be done."""


def recover(
    path: str | os.PathLike[str], *, dry_run: bool = False, progress: Progress | None = None
) -> Recovered:
    """Finish what a process that died has left in a directory, or in one HDF5 file.

    Parameters
    ----------
    path : path-like
        The directory of a run, or a file.
    dry_run : bool
        Only say what would be done. Nothing on the disk is changed, no time stamp either.
    progress : callable, optional
        ``progress(done, total)``, in bytes of the journal that are read again.

    Returns
    -------
    Recovered
        What was done, or would be. An `action` in `UNDONE` among its `verdicts` means that a file
        is still not as it should be, and why.

    Raises
    ------
    FileBusy
        While a writer has the directory; names its process.
    FileDamaged
        If the journal lacks what was synced, or another program changed the file meanwhile.
    StorageError
        If there is no such path, or the disk is full or fails.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     recover(folder, dry_run=True).sealed
    []
    """
    path = Path(path)
    if path.is_dir():
        if dry_run:
            return foresee(path, progress, foresee_vault)
        return recover_run(path, progress, replay_vault)
    if not path.exists() and not path.with_name(f".{path.name}.part").exists():
        raise StorageError(f"{path} is no directory and no file: there is nothing to recover")
    return _recover_file(path, dry_run)


def _recover_file(path: Path, dry_run: bool) -> Recovered:
    lock = DirectoryLock(path.absolute().parent)
    lock.acquire_untouched()
    try:
        found = recover_transaction(path, disk=ShadowDisk() if dry_run else None)
        found = found or _left_open(path)
    finally:
        lock.let_go()
    verdicts = [] if found is None else [found]
    return Recovered(verdicts=verdicts, finished=[found.path for found in verdicts])


def _left_open(path: Path) -> Recovery | None:
    """A file that no transaction of ours concerns, and that HDF5 won't open all the same."""
    with naming(path, "can't be read"):
        size = path.stat().st_size
        with path.open("rb") as file:
            found = find_superblock(lambda at, n: _read(file.fileno(), at, min(n, LONGEST)), size)
    if found is None:
        return Recovery(path, "damaged", "no superblock of HDF5; `--salvage` may find more")
    if found.open_for_write or found.end > size:
        what = "marked as open for writing" if found.open_for_write else "shorter than it says"
        return Recovery(path, "left open", f"{what}: `h5daq recover --salvage` makes a copy")
    return None


def _read(fd: int, offset: int, length: int) -> bytes:
    return os.pread(fd, length, offset)


def has_journal(path: Path) -> bool:
    """Whether the directory of a file has a journal, which may hold rows for it."""
    return journal_directory(path.absolute().parent).is_dir()
