"""A Data Vault dataset's file, open for writing: what was taken waits, and a checkpoint writes it.

Rows, parameters and comments are kept in memory until the checkpoint, which brings all of them
into the file in one transaction: after a crash it is as after one checkpoint or as after the one
before. What is asked meanwhile joins the file and what waits. The format is in the modules beside:
`datavault_head`, `datavault_comments`, `datavault_read`.

A file that h5daq makes differs from the original's in nothing that a reader of the format sees.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from h5daq.errors import BadArgument, StorageError
from h5daq.storage.layouts.datavault_comments import (
    Comment,
    add_comments,
    gather_comments,
    make_comments,
    read_comments,
)
from h5daq.storage.layouts.datavault_head import (
    DATASET,
    DatasetHead,
    read_head,
    write_head,
)
from h5daq.storage.layouts.datavault_read import PARAMETER, read_parameters, read_rows
from h5daq.storage.layouts.datavault_rows import Places, write_rows
from h5daq.storage.layouts.session import Session
from h5daq.storage.layouts.waiting import Waiting
from h5daq.storage.transaction import CommitInfo, TransactionFile

__all__ = ["VaultFile"]

_LSN = "journal_lsn"


class VaultFile:
    """A dataset's file that is open for writing. Made by `create` or `reopen`; one thread owns it.

    Attributes
    ----------
    head : DatasetHead
        Its columns and the rest that never changes, and the times of the last checkpoint.
    rows : int
        Rows, with those that wait.
    lsn : int
        The journal entry up to which the last checkpoint reaches; 0 without a journal.
    """

    writable = True

    def __init__(self, session: Session, head: DatasetHead, rows: int, lsn: int) -> None:
        self._session = session
        self.head, self.rows, self.lsn = head, rows, lsn
        self._stored = rows
        self._waiting, self._places = Waiting(head.columns.dtype), Places(head.columns)
        self._new_parameters: dict[str, str] = {}
        self._new_comments: list[Comment] = []
        self._parameters: dict[str, str] | None = None
        self._comments: list[Comment] | None = None
        self._commented = False

    @classmethod
    def create(
        cls,
        path: Path,
        head: DatasetHead,
        *,
        lsn: int = 0,
        durable: bool = True,
        overlay_bytes: int = 64 << 20,
    ) -> VaultFile:
        """Make a new file; if that fails, nothing is left of it.

        Parameters
        ----------
        path : Path
            Where; nothing may be there.
        head : DatasetHead
            What it is.
        lsn : int
            The journal entry that asks for it.
        durable : bool
            Whether a checkpoint waits for the disk.
        overlay_bytes : int
            Most bytes of changed pages in memory.

        Raises
        ------
        BadArgument
            If HDF5 can't hold these columns.
        StorageError
            If the name is taken, or the file can't be written.
        """
        target = TransactionFile(path, overlay_bytes=overlay_bytes, create=True, durable=durable)
        session = Session(target)
        try:
            with session.or_close(), session.adding() as file:
                write_head(file, head)
                make_comments(file)
                _write_lsn(file, lsn)
            session.commit()
        except (ValueError, TypeError, RuntimeError) as error:
            count = len(head.columns.all)
            raise BadArgument(f"HDF5 can't hold these {count} columns in a row: {error}") from error
        except StorageError:
            session.close()
            raise
        return cls(session, head, 0, lsn)

    @classmethod
    def reopen(
        cls, path: Path, *, durable: bool = True, overlay_bytes: int = 64 << 20
    ) -> VaultFile:
        """Go on with a file at its last checkpoint; the arguments are those of `create`.

        Raises
        ------
        FileDamaged
            If it holds no dataset of the Data Vault.
        FileBusy
            If another program writes it.
        """
        target = TransactionFile(path, libver=None, overlay_bytes=overlay_bytes, durable=durable)
        session = Session(target)
        with session.or_close(), session.finishing() as file:
            head = read_head(file, target.path)
            rows, lsn = int(file[DATASET].shape[0]), int(file.attrs.get(_LSN, 0))
        session.abort()
        return cls(session, head, rows, lsn)

    # -- what it is ------------------------------------------------------------------------------

    @property
    def path(self) -> Path:
        """Its name."""
        return self._session.target.path

    @property
    def pending(self) -> bool:
        """Whether a finished checkpoint waits for a reader to let go of the file."""
        return self._session.target.pending

    @property
    def waiting_bytes(self) -> int:
        """Bytes of rows that wait for a checkpoint; texts count as their references."""
        return self._waiting.nbytes

    @property
    def changed(self) -> bool:
        """Whether anything waits for a checkpoint."""
        return bool(self._waiting.count or self._new_parameters or self._new_comments)

    @property
    def parameters(self) -> dict[str, str]:
        """The texts of the parameters by name, in the order of their names."""
        if self._parameters is None:
            self._parameters = self._look(read_parameters)
        return dict(sorted({**self._parameters, **self._new_parameters}.items()))

    @property
    def comments(self) -> list[Comment]:
        """All comments, in order."""
        if self._comments is None:
            self._comments = self._look(read_comments)
        return self._comments + self._new_comments

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """Rows ``start … stop-1``, or fewer, as `Columns.dtype` says."""
        first = self._stored
        waiting = self._waiting.read(start - first, stop - first)
        if start >= first:
            return waiting
        stored = self._look(lambda file: self._read_stored(file, start, min(stop, first)))
        return np.concatenate([stored, waiting]) if len(waiting) else stored

    def _read_stored(self, file: h5py.File, start: int, stop: int) -> NDArray[Any]:
        rows = self._places.read(file, self._session.target.read_at, start, stop)
        return read_rows(file, self.head.columns, start, stop) if rows is None else rows

    def _look(self, at: Any) -> Any:
        with self._session.finishing() as file:
            return at(file)

    # -- changes ---------------------------------------------------------------------------------

    def append(self, rows: NDArray[Any]) -> None:
        """Take rows that were checked: of `Columns.dtype`, or scalar floats as (rows, columns)."""
        self._waiting.append(rows)
        self.rows += len(rows)

    def append_row(self, data: bytes) -> None:
        """Take one row that was checked, as it lies in memory. Not where there are texts."""
        self._waiting.append_row(data)
        self.rows += 1

    def add_parameters(self, texts: Mapping[str, str]) -> None:
        """Take parameters, whose names are new."""
        self._new_parameters.update(texts)

    def add_comments(self, comments: Sequence[Comment]) -> None:
        """Take comments."""
        self._new_comments += comments

    def checkpoint(self, now: float, lsn: int = 0) -> CommitInfo:
        """Bring what waits into the file, in one transaction; without news nothing is written.

        Parameters
        ----------
        now : float
            Time of the change, in seconds since 1970-01-01 UTC.
        lsn : int
            The journal entry that the changes reach to; 0 without a journal.

        Raises
        ------
        StorageError
            If the file can't be written; it is as at its last checkpoint, and all still waits.
        """
        if not self.changed:
            self._session.abort()
            return CommitInfo(0, 0, not self.pending, 0.0)
        try:
            with self._session.finishing() as file:
                self._write(file, now)
                _write_lsn(file, lsn)
            info = self._session.commit()
        except StorageError:
            self._session.abort()
            raise
        self._note(lsn)
        return info

    def _write(self, file: h5py.File, now: float) -> None:
        dataset = file[DATASET]
        dataset.attrs.modify("Modification Time", np.float64(now))
        dataset.attrs.modify("Access Time", np.float64(now))
        if self._waiting.count:
            write_rows(file, self.head.columns, self._stored, self._waiting)
        for name, text in self._new_parameters.items():
            dataset.attrs[PARAMETER + name] = text
        if self._new_comments:
            add_comments(file, self._new_comments)

    def _note(self, lsn: int) -> None:
        """What waited is in the file now."""
        self.lsn = lsn or self.lsn
        self._stored = self.rows
        if self._parameters is not None:
            self._parameters.update(self._new_parameters)
        if self._comments is not None:
            self._comments += self._new_comments
        self._commented = self._commented or bool(self._new_comments)
        self._waiting = Waiting(self._waiting.dtype)
        self._new_parameters, self._new_comments = {}, []

    def renumber(self, lsn: int) -> None:
        """Say that the file reaches to entry `lsn`: its journal is gone, and a new one has begun.

        Raises
        ------
        StorageError
            If the file can't be written.
        """
        try:
            with self._session.finishing() as file:
                _write_lsn(file, lsn)
            self._session.commit()
        except StorageError:
            self._session.abort()
            raise
        self.lsn = lsn

    def apply_pending(self) -> bool:
        """Bring a waiting checkpoint into the file, if nobody holds it open any more."""
        # Between checkpoints a transaction is only there to look into.
        self._session.abort()
        return self._session.target.apply_pending()

    def close(self) -> None:
        """Let go of the file as it is at its last checkpoint; its attribute has the comments."""
        try:
            if self._commented:
                self._gather()
        finally:
            self._session.close()

    def _gather(self) -> None:
        self._commented = False
        with self._session.finishing() as file:
            moved = gather_comments(file)
        if moved:
            self._session.commit()

    def abort(self) -> None:
        """Let go of the file at once; what waits is forgotten."""
        self._session.close()


def _write_lsn(file: h5py.File, lsn: int) -> None:
    if lsn:
        file.attrs[_LSN] = np.int64(lsn)
