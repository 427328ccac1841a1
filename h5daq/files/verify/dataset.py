"""A dataset of the Data Vault against its format: columns as described, notes that can be read.

The vault's own reader looks at it, so what passes here opens there. A file that has nothing but its
version is what the LabRAD project's server leaves behind a creation that it refuses.
"""

from __future__ import annotations

from pathlib import Path

import h5py

from h5daq.errors import FileDamaged, LabradError
from h5daq.files.verify.report import ERROR, WARNING
from h5daq.files.verify.telling import HDF5_ERRORS, Limited
from h5daq.flow.variables import Columns, Variable
from h5daq.storage.layouts.datavault_comments import read_comments
from h5daq.storage.layouts.datavault_head import DATASET, read_head
from h5daq.storage.layouts.datavault_read import read_parameters
from h5daq.vault.legacy import parameter_value

__all__ = ["check_dataset"]

_WHERE = f"/{DATASET}"
_RESTORE = "restore the file from a copy"


def check_dataset(file: h5py.File, path: Path, limited: Limited) -> None:
    """Look at an open dataset's file and tell what is wrong with it."""
    if DATASET not in file:
        text = "it has a version and no rows: somebody was refused a dataset here"
        limited.add(WARNING, "dataset", text, "/", "it can be removed")
        return
    try:
        head = read_head(file, path)
    except FileDamaged as error:
        limited.add(ERROR, "dataset", str(error.strerror), _WHERE, _RESTORE)
        return
    _check_types(file[DATASET], head.columns, limited)
    for what, look in (("parameters", _check_parameters), ("comments", _check_comments)):
        try:
            look(file, limited)
        except HDF5_ERRORS as error:
            limited.broken(_WHERE, f"its {what} can't be read", error)


def _check_types(dataset: h5py.Dataset, columns: Columns, limited: Limited) -> None:
    names = dataset.dtype.names or ()
    for name, column in zip(names, columns.all, strict=True):
        if not _fits(dataset.dtype[name], column):
            text = f"column {column.label!r} is said to be {column.type!r}, and is "
            text += str(dataset.dtype[name])
            limited.add(ERROR, "column", text, _WHERE, _RESTORE)


def _fits(dtype: object, column: Variable) -> bool:
    if column.type == "s":
        return h5py.check_string_dtype(dtype) is not None
    return getattr(dtype, "base", None) == column.dtype.base


def _check_parameters(file: h5py.File, limited: Limited) -> None:
    for name, text in read_parameters(file).items():
        try:
            parameter_value(text)
        except LabradError as error:
            limited.add(ERROR, "parameter", f"parameter {name!r}: {error}", _WHERE, _RESTORE)


def _check_comments(file: h5py.File, _limited: Limited) -> None:
    read_comments(file)
