"""The transaction that a run file is in, begun when it is first needed.

HDF5 reports most of what goes wrong on a disk as an error of its own, often a misleading one. So
whoever works in the session does it under one of its two guards: the disk's error, if there was
one, is raised in place of HDF5's.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from types import TracebackType

import h5py

from h5daq.errors import StorageError
from h5daq.storage.layouts.chunk_pool import ChunkPool
from h5daq.storage.transaction import CommitInfo, TransactionFile

__all__ = ["Session"]

_HDF5_ERRORS = (OSError, RuntimeError, ValueError, KeyError, TypeError)


class Session:
    """One transaction after the other on one file.

    Parameters
    ----------
    target : TransactionFile
        The file.

    Attributes
    ----------
    pool : ChunkPool
        Takes the full chunks.
    """

    def __init__(self, target: TransactionFile) -> None:
        self.target = target
        self.pool = ChunkPool(target)
        self._file: h5py.File | None = None

    @property
    def file(self) -> h5py.File:
        """The file, in a transaction."""
        if self._file is None:
            self._file = self.target.begin()
            self.pool.begin(self._file)
        return self._file

    def adding(self) -> AbstractContextManager[h5py.File]:
        """Work on the user's data: what HDF5 says against them is raised as it is."""
        return _Adding(self)

    @contextmanager
    def finishing(self) -> Iterator[h5py.File]:
        """Work on what was taken already: whatever goes wrong is a `StorageError`."""
        try:
            with self.adding() as file:
                yield file
        except StorageError:
            raise
        except _HDF5_ERRORS as error:
            raise self.failure(error) from error

    @contextmanager
    def or_close(self) -> Iterator[h5py.File]:
        """The first work on a file: if it goes wrong, nothing stays open."""
        try:
            yield self.file
        except BaseException:
            self.close()
            raise

    def commit(self) -> CommitInfo:
        """End the transaction for good."""
        self._let_go()
        return self.target.commit()

    def abort(self) -> None:
        """Forget the transaction, if there is one."""
        if self._file is not None:
            self._let_go()
            self.target.abort()

    def close(self) -> None:
        """Forget the transaction and let go of the file."""
        self.abort()
        self.pool.close()
        self.target.close()

    def _let_go(self) -> None:
        self.pool.end()
        self._file = None

    def failure(self, error: Exception) -> StorageError:
        """What is raised in place of an error of HDF5's."""
        return StorageError(errno.EIO, f"HDF5 can't write it: {error}", str(self.target.path))


class _Adding:
    """Guards what is done with rows. A class, since each batch comes by here."""

    __slots__ = ("_session",)

    def __init__(self, session: Session) -> None:
        self._session = session

    def __enter__(self) -> h5py.File:
        return self._session.file

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None or isinstance(error, _HDF5_ERRORS):
            self._session.target.check()
        if isinstance(error, OSError) and not isinstance(error, StorageError):
            raise self._session.failure(error) from error
