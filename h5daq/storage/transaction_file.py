"""One HDF5 file, open for transactions: begin, change it through h5py, commit or abort.

This is where h5py meets the rest. While a transaction is open, HDF5 works on a file object of
ours; at its end the HDF5 file is closed first, so that all its buffers have come down, and what
went wrong on the way is raised here, once. See `h5daq.storage.transaction` for the idea.
"""

from __future__ import annotations

import errno
import logging
import time
import traceback
from contextlib import AbstractContextManager
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from h5daq.errors import FileDamaged, StorageError
from h5daq.storage.committed import CommittedFile
from h5daq.storage.disk import Disk
from h5daq.storage.large import Fill
from h5daq.storage.newfile import NewFile
from h5daq.storage.ondisk import naming
from h5daq.storage.overlay import Overlay
from h5daq.storage.paged import PagedFile

__all__ = ["OVERLAY_BYTES", "CommitInfo", "TransactionFile"]

log = logging.getLogger("h5daq.storage.transaction")

OVERLAY_BYTES = 64 << 20
"""Changed pages held in memory unless said otherwise, in bytes."""

_HDF5_ERRORS = (OSError, RuntimeError, ValueError, KeyError, TypeError)


@dataclass(frozen=True, slots=True)
class CommitInfo:
    """What a commit did.

    Attributes
    ----------
    pages : int
        Pages of 4 KiB that changed below the committed length.
    bytes : int
        Bytes that went straight to disk.
    applied : bool
        False while the change waits in the redo log because somebody holds the file open.
    seconds : float
        How long it took.
    """

    pages: int
    bytes: int
    applied: bool
    seconds: float


class TransactionFile:
    """An HDF5 file that is changed in transactions only.

    Parameters
    ----------
    path : path-like
        The file. What a crash left pending is recovered here.
    overlay_bytes : int
        Changed pages held in memory; more are spilled into the redo log. Also what may wait for
        a reader before it is applied in spite of him.
    libver : str or None
        HDF5's ``libver`` for what is written, as lower and upper bound; None leaves it to h5py.
    create : bool
        Make the file; it must not exist. It gets its name with the first commit.
    durable : bool
        Whether commits wait for the medium (power loss) or only outlive the process.
    disk : Disk, optional
        In place of the operating system's files, for tests.

    Raises
    ------
    StorageError
        If the file can't be opened or made.
    FileBusy
        If another program writes it.
    FileDamaged
        If it is no whole HDF5 file.

    Notes
    -----
    Not thread-safe: one thread owns it.
    """

    def __init__(
        self,
        path: str | PathLike[str],
        *,
        overlay_bytes: int = OVERLAY_BYTES,
        libver: str | None = "v110",
        create: bool = False,
        durable: bool = True,
        disk: Disk | None = None,
    ) -> None:
        self._overlay_bytes = overlay_bytes
        self._libver = libver
        self._file: h5py.File | None = None
        self._paged: PagedFile | None = None
        self._overlay: Overlay | None = None
        self._closed = False
        self._disk = disk or Disk()
        self._store: NewFile | CommittedFile
        with naming(Path(path), "can't be made" if create else "can't be opened"):
            make = NewFile if create else CommittedFile.open
            self._store = make(self._disk, self._disk.real_path(Path(path)), durable=durable)
        self.apply_pending()

    @property
    def path(self) -> Path:
        """The file's name."""
        return self._store.path

    @property
    def pending(self) -> bool:
        """Whether a finished transaction waits because somebody holds the file open."""
        return isinstance(self._store, CommittedFile) and self._store.pending

    @property
    def committed_bytes(self) -> int:
        """Length of the newest committed state."""
        return self._store.length

    @property
    def size_bytes(self) -> int:
        """Length of the file with what the open transaction has added."""
        return self._paged.length if self._paged else self._store.length

    @property
    def file(self) -> h5py.File | None:
        """The open transaction's file, if there is one."""
        return self._file

    def begin(self) -> h5py.File:
        """Open the file for changes.

        Returns
        -------
        h5py.File
            Valid until `commit` or `abort`, which close it.

        Raises
        ------
        FileBusy
            If a foreign writer has come in.
        FileDamaged
            If the file was replaced, cut or changed behind our back.
        """
        if self._file is not None:
            raise RuntimeError(f"{self.path}: a transaction is open already")
        with naming(self.path, "can't be changed"):
            if isinstance(self._store, CommittedFile):
                self._store.prepare()
            self._overlay = self._store.overlay(self._overlay_bytes)
            self._paged = PagedFile(
                self._store.on_disk, self._overlay, self._store.barrier, self._store.length
            )
            self._file = self._open_hdf5(self._paged)
        return self._file

    def read_at(self, offset: int, buffer: memoryview) -> None:
        """Fill `buffer` with the file's bytes as the open transaction sees them.

        What HDF5 has in its caches is not seen. What goes wrong is raised by `check`.
        """
        if self._paged is None:
            raise RuntimeError(f"{self.path}: no transaction is open")
        self._paged.seek(offset)
        self._paged.readinto(buffer)

    def later(self, nbytes: int, fill: Fill) -> AbstractContextManager[NDArray[np.uint8]]:
        """Have a place given to bytes that a thread puts together; see `PagedFile.later`."""
        if self._paged is None:
            raise RuntimeError(f"{self.path}: no transaction is open")
        return self._paged.later(nbytes, fill)

    def check(self) -> None:
        """Raise what has gone wrong in the open transaction so far; it can only be aborted then."""
        if self._paged is not None and self._paged.error is not None:
            self._raise(self._paged.error)

    def commit(self) -> CommitInfo:
        """Make the changes of the open transaction permanent.

        Raises
        ------
        StorageError
            With path and cause, if anything could not be written. The file is as before.
        """
        start = time.perf_counter()
        paged = self._finish()
        try:
            self.check()
            with naming(self.path, "can't be committed"):
                paged.settle()
                pages = self._commit()
        except BaseException:
            self._discard()
            raise
        self._forget()
        applied = self.apply_pending()
        return CommitInfo(pages, paged.direct_bytes, applied, time.perf_counter() - start)

    def abort(self) -> None:
        """Forget the open transaction; the file is as before. Without one, do nothing."""
        if self._file is None or self._paged is None:
            return
        self._paged.fail()
        self._finish()
        self._discard()

    def apply_pending(self) -> bool:
        """Bring a waiting transaction into the file, if nobody holds it open.

        When more than ``overlay_bytes`` wait, it is done in spite of readers, and logged.

        Returns
        -------
        bool
            Whether nothing waits any more.
        """
        store = self._store
        if isinstance(store, NewFile) or not store.pending:
            return True
        if self._file is not None:
            return False
        try:
            return self._apply(store)
        except OSError as error:
            # It is committed all the same; the next begin tries again, and raises.
            log.error("%s: a finished transaction waits: %s", self.path, error)
            return False

    def overdue(self) -> bool:
        """Whether a waiting transaction has outstayed its readers: only the open one is in its way.

        Raises
        ------
        FileBusy
            If a foreign writer has come in.
        """
        store = self._store
        if isinstance(store, NewFile) or not store.pending or self._file is None:
            return False
        return store.readers_gone()

    def rename(self, new_path: str | PathLike[str]) -> None:
        """Give the file another name, with what waits for it.

        Raises
        ------
        StorageError
            If the name is taken.
        """
        if not isinstance(self._store, CommittedFile):
            raise StorageError(errno.ENOENT, "has no finished transaction yet", str(self.path))
        with naming(self.path, f"can't be renamed to {new_path}"):
            self._store.rename(Path(new_path).absolute())

    def close(self) -> None:
        """Abort what is open, apply what waits if nobody reads, and let go of the file."""
        if self._closed:
            return
        self._closed = True
        self.abort()
        self.apply_pending()
        with naming(self.path, "can't be closed"):
            self._store.close()

    # -- inside -----------------------------------------------------------------------------

    def _open_hdf5(self, paged: PagedFile) -> h5py.File:
        options: dict[str, Any] = {"libver": _bounds(self._libver)}
        if isinstance(self._store, NewFile):
            # Freed space is used again, also by later transactions.
            options |= {"fs_strategy": "fsm", "fs_persist": True, "track_order": True}
        mode = "w" if isinstance(self._store, NewFile) else "r+"
        try:
            return h5py.File(paged, mode, **options)
        except _HDF5_ERRORS as error:
            # h5py's frames hold the access list; HDF5 would free it after Python's end, and crash.
            traceback.clear_frames(error.__traceback__)
            self._discard()
            if paged.error is not None:
                self._raise(paged.error)
            raise FileDamaged(f"{self.path}: HDF5 can't open it: {error}") from error

    def _finish(self) -> PagedFile:
        """Close the HDF5 file, and with it every object in it."""
        if self._file is None or self._paged is None:
            raise RuntimeError(f"{self.path}: no transaction is open")
        file, self._file = self._file, None
        try:
            file.close()
        except _HDF5_ERRORS as error:
            self._paged.fail(error)
        return self._paged

    def _commit(self) -> int:
        if isinstance(self._store, NewFile):
            self._store = self._store.publish()
            return 0
        assert self._overlay is not None
        assert self._paged is not None
        return self._store.commit(self._overlay, self._paged.length)

    def _discard(self) -> None:
        failed = self._paged is not None and self._paged.sync_failed
        if failed and isinstance(self._store, CommittedFile):
            self._store.fail("the disk failed to keep what was written")
        self._forget()
        self._store.log.abandon()
        try:
            self._store.cut()
        except OSError as error:
            # Nothing refers to what is left; the next transaction begins by cutting it off.
            log.warning("%s: can't be cut back yet: %s", self.path, error)

    def _forget(self) -> None:
        self._file = self._paged = self._overlay = None

    def _raise(self, error: BaseException) -> None:
        if isinstance(error, OSError):
            with naming(self.path, "can't be written"):
                raise error
        if isinstance(error, Exception):
            raise StorageError(f"{self.path}: HDF5 failed: {error}") from error
        raise error

    def _apply(self, store: CommittedFile) -> bool:
        force = store.pending_bytes > self._overlay_bytes
        if store.apply():
            return True
        if force:
            log.warning(
                "%s: %d bytes waited for a reader and are applied under it",
                self.path,
                store.pending_bytes,
            )
            store.apply(force=True)
        return force


def _bounds(libver: str | None) -> str | tuple[str, str] | None:
    """Older libraries than `libver` are not meant to read it, newer features are not to be used.

    "earliest" and "latest" name no version: HDF5 takes them for one bound only.
    """
    return (libver, libver) if libver and libver.startswith("v") else libver
