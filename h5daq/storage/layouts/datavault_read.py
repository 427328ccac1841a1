"""Reading a Data Vault dataset: rows as a structured array, parameters as their texts.

The functions take an open file, so that they serve the writer, which looks into its own
transaction, as well as anybody who opened the file to read it. `VaultReader` does that: it opens
the file for each look, so that nobody's checkpoints wait for a forgotten reader.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import h5py
import numpy as np
from numpy.typing import NDArray

from h5daq.errors import FileDamaged, StorageError
from h5daq.flow.variables import Columns
from h5daq.storage.layouts.datavault_comments import Comment, read_comments
from h5daq.storage.layouts.datavault_head import DATASET, DatasetHead, read_head, text_of
from h5daq.storage.opening import open_for_reading

__all__ = ["PARAMETER", "VaultReader", "holds_dataset", "read_parameters", "read_rows"]

PARAMETER = "Param."
"""How the names of parameters' attributes begin."""

T = TypeVar("T")


def read_rows(file: h5py.File, columns: Columns, start: int, stop: int) -> NDArray[Any]:
    """Rows ``start … stop-1``, as `Columns.dtype` says; fewer where the dataset ends."""
    found = file[DATASET][start:stop]
    rows = np.empty(len(found), dtype=columns.dtype)
    for name, field, column in zip(found.dtype.names, rows.dtype.names, columns.all, strict=True):
        values = found[name]
        if column.type == "s":
            rows[field] = np.array([text_of(value) for value in values], dtype=object)
        else:
            rows[field] = values.reshape(rows[field].shape)
    return rows


def read_parameters(file: h5py.File) -> dict[str, str]:
    """The texts of the parameters by name, in the order of their names."""
    attrs = file[DATASET].attrs
    names = sorted(name for name in attrs if name.startswith(PARAMETER))
    return {name[len(PARAMETER) :]: text_of(attrs[name]) for name in names}


def holds_dataset(path: Path) -> bool:
    """Whether a file holds a dataset of the Data Vault; False for what can't be read."""
    try:
        # Another program's lock says nothing about what is in it.
        with h5py.File(path, "r", locking=False) as file:
            return "Version" in file.attrs and DATASET in file
    except (OSError, KeyError, ValueError, RuntimeError):
        return False


class VaultReader:
    """A dataset's file, for reading only.

    Parameters
    ----------
    path : Path
        The file.
    patience : float
        Seconds to wait while it is busy.

    Raises
    ------
    FileDamaged
        If it holds no dataset of the Data Vault.
    FileBusy, StorageError
        If it can't be opened.
    """

    writable = False

    def __init__(self, path: Path, patience: float = 5.0) -> None:
        self.path, self._patience = path, patience
        self.head: DatasetHead = self._look(lambda file: read_head(file, path))

    @property
    def rows(self) -> int:
        """Rows in the file by now."""
        return self._look(lambda file: int(file[DATASET].shape[0]))

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """Rows ``start … stop-1``, or fewer."""
        return self._look(lambda file: read_rows(file, self.head.columns, start, stop))

    @property
    def parameters(self) -> dict[str, str]:
        """The texts of the parameters by name."""
        return self._look(read_parameters)

    @property
    def comments(self) -> list[Comment]:
        """All comments, in order."""
        return self._look(read_comments)

    def _look(self, at: Callable[[h5py.File], T]) -> T:
        with open_for_reading(self.path, self._patience) as file:
            try:
                return at(file)
            except StorageError:
                raise
            except (OSError, RuntimeError, KeyError) as error:
                text = f"HDF5 can't read what is in it: {error}"
                raise FileDamaged(errno.EIO, text, str(self.path)) from error
