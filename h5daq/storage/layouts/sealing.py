"""The end of a file: looked at once more as a reader would, then given its final name."""

from __future__ import annotations

import errno
import time
from collections.abc import Mapping
from pathlib import Path

import h5py

from h5daq.errors import FileBusy, FileDamaged
from h5daq.storage.layouts.session import Session
from h5daq.storage.layouts.survey import group_rows
from h5daq.storage.redo import redo_path
from h5daq.storage.transaction import TransactionFile

__all__ = ["give_name", "remove", "verify", "wait_for_readers"]

_PATIENCE = 2.0
"""Seconds that a seal waits for readers to let go, before it leaves the last pages to recovery."""

_PAUSE = 0.02
"""Seconds between two looks."""


def wait_for_readers(target: TransactionFile) -> None:
    """Bring a waiting checkpoint into the file, if its readers let go of it in time."""
    deadline = time.monotonic() + _PATIENCE
    while not target.apply_pending() and time.monotonic() < deadline:
        time.sleep(_PAUSE)


def verify(session: Session, wanted: Mapping[str, int]) -> None:
    """Compare the rows in the file with those that were written to it.

    Parameters
    ----------
    session : Session
        The file; looked at through it where a reader keeps the last pages waiting.
    wanted : mapping of str to int
        Rows by job.

    Raises
    ------
    FileDamaged
        If a job has more or fewer, or columns of different length.
    """
    path = session.target.path
    if session.target.pending:
        found = {name: group_rows(session.file, name, path) for name in wanted}
        session.abort()
    else:
        with h5py.File(path, "r") as file:
            found = {name: group_rows(file, name, path) for name in wanted}
    if found != wanted:
        text = f"rows by job: {dict(wanted)} were written, {found} are in the file"
        raise FileDamaged(errno.EIO, text, str(path))


def give_name(target: TransactionFile, new_path: Path) -> None:
    """Rename the file, never over another one.

    Raises
    ------
    FileBusy
        If the name is taken.
    """
    if new_path == target.path:
        return
    if new_path.exists() and not new_path.samefile(target.path):
        raise FileBusy(errno.EEXIST, "another file has the final name", str(new_path))
    target.rename(new_path)


def remove(session: Session) -> None:
    """Close the file and remove it."""
    path = session.target.path
    session.close()
    path.unlink()
    redo_path(path).unlink(missing_ok=True)
