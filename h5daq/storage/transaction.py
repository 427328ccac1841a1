"""Changes of an HDF5 file that happen whole or not at all.

h5py accepts a Python file object, and ours knows which length of the file is committed: what
HDF5 writes beyond it goes straight to disk, what it writes below is kept aside in pages. A commit
syncs the new data, then writes those pages down as one redo record, the commit point, and then
applies them to the file. If the process dies, or the machine, the record is either whole and is
applied again, or torn and forgotten.

Readers come and go. As long as one holds the file open, it sees the state that it opened; what is
committed meanwhile waits in the redo log, safe, and the next transaction builds on it.

::

    begin ──▶ building ──commit──▶ [record synced] ──apply──▶ in the file
                 │                        └── a reader is inside: pending, tried again later
                 └──abort, error──▶ as before
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import Literal

import h5py

from h5daq.storage.recover import Recovery, recover, recover_directory, recover_tree
from h5daq.storage.transaction_file import OVERLAY_BYTES, CommitInfo, TransactionFile

__all__ = [
    "CommitInfo",
    "Recovery",
    "TransactionFile",
    "recover",
    "recover_directory",
    "recover_tree",
    "transaction",
]


@contextmanager
def transaction(
    path: str | PathLike[str],
    mode: Literal["a", "x", "r+"] = "a",
    *,
    libver: str | None = None,
    overlay_bytes: int = OVERLAY_BYTES,
    durable: bool = True,
) -> Iterator[h5py.File]:
    """Change any HDF5 file in one step: all of it on leaving the block, or nothing on an error.

    Parameters
    ----------
    path : path-like
        The file.
    mode : {"a", "x", "r+"}
        Change or make; only make; only change.
    libver : str, optional
        HDF5's ``libver`` for new objects; new files are made for HDF5 1.10 and later.
    overlay_bytes : int
        Changed pages held in memory, in bytes.
    durable : bool
        Whether the change outlives the loss of power.

    Yields
    ------
    h5py.File
        Closed at the end of the block.

    Raises
    ------
    StorageError
        If the file can't be opened or written; it is as before.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "any.h5"
    >>> with transaction(path) as f:
    ...     f["x"] = [1, 2, 3]
    >>> with h5py.File(path) as f:
    ...     f["x"][:].tolist()
    [1, 2, 3]
    """
    create = mode == "x" or (mode == "a" and not Path(path).exists())
    target = TransactionFile(
        path,
        overlay_bytes=overlay_bytes,
        libver=libver or ("v110" if create else None),
        create=create,
        durable=durable,
    )
    try:
        file = target.begin()
        try:
            yield file
        except Exception:
            # A full disk often shows as some error of HDF5's: the cause is what counts.
            target.check()
            raise
        target.commit()
    finally:
        target.close()
