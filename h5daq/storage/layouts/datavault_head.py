"""What a Data Vault dataset's file says of itself: version, title, times, columns.

::

    /             Version int32[3], journal_lsn (only where a journal feeds the file)
    /DataVault    rows: a compound of f0, f1 … ; and as its attributes
                  Title; Creation Time, Modification Time, Access Time (float64, Unix seconds)
                  IndependentK.label .shape .datatype .unit           K from 0
                  DependentK.label .legend .shape .datatype .unit
                  Comments (Timestamp, User, Comment)[]; Param.<name>
    /Comments     comments that are not in the attribute: see `datavault_comments`

The numbers of a version mean one thing in the Data Vault guide and another in the LabRAD
project's server; both are read. Where the same number means two things, the columns decide: a
simple dataset has none but scalar floats, with int64 shapes, an extended one has int32 shapes.
"""

from __future__ import annotations

import errno
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import h5py
import numpy as np

from h5daq.errors import BadArgument, FileDamaged
from h5daq.flow.variables import Columns, Variable

__all__ = ["DATASET", "DatasetHead", "Versions", "file_dtype", "read_head", "text_of", "write_head"]

DATASET = "DataVault"
"""The dataset that holds the rows."""

Versions = Literal["guide", "server"]
"""Whose version numbers are written."""

VERSIONS: dict[tuple[str, bool], tuple[int, int, int]] = {
    ("guide", False): (1, 0, 0),
    ("guide", True): (2, 0, 0),
    ("server", False): (2, 0, 0),
    ("server", True): (3, 0, 0),
}
"""Version by (whose numbers, extended)."""

CHUNK_BYTES = 32 << 10
"""Bytes of rows in a chunk: small, since a checkpoint writes the last one again."""

_DAMAGED = (KeyError, IndexError, ValueError, TypeError, BadArgument)


@dataclass(frozen=True, slots=True)
class DatasetHead:
    """A dataset without its rows, parameters and comments.

    Attributes
    ----------
    title : str
        Its title.
    columns : Columns
        Its columns.
    extended : bool
        Whether its rows are clusters; simple ones are all floats.
    version : tuple of int
        As the file says it.
    created, modified, accessed : float
        Seconds since 1970-01-01 UTC.
    """

    title: str
    columns: Columns
    extended: bool
    version: tuple[int, ...]
    created: float = 0.0
    modified: float = 0.0
    accessed: float = 0.0

    @classmethod
    def new(
        cls,
        title: str,
        columns: Columns,
        *,
        extended: bool,
        now: float,
        versions: Versions = "guide",
    ) -> DatasetHead:
        """Of a dataset that is made now.

        Raises
        ------
        BadArgument
            If it shall be simple, and its columns are not.
        """
        if not extended and not columns.plain:
            raise BadArgument("a simple dataset has columns of type v and shape [1] only")
        return cls(title, columns, extended, VERSIONS[versions, extended], now, now, now)


def file_dtype(columns: Columns) -> np.dtype[Any]:
    """The dtype of a row in HDF5: texts are of variable length, in UTF-8."""
    text = h5py.string_dtype()
    kinds = (text if column.type == "s" else column.dtype for column in columns.all)
    return np.dtype([(f"f{k}", kind) for k, kind in enumerate(kinds)])


def write_head(file: h5py.File, head: DatasetHead) -> None:
    """Make the dataset, with no rows in it, in a new file."""
    file.attrs.create("Version", np.array(head.version, dtype=np.int32))
    dtype = file_dtype(head.columns)
    rows = max(1, CHUNK_BYTES // dtype.itemsize)
    dataset = file.create_dataset(DATASET, (0,), dtype, maxshape=(None,), chunks=(rows,))
    dataset.attrs["Title"] = head.title
    for name, seconds in _times(head).items():
        dataset.attrs[name] = np.float64(seconds)
    for kind, variables in _sides(head.columns).items():
        for k, variable in enumerate(variables):
            _write_variable(dataset, f"{kind}{k}", variable, head.extended)


def _times(head: DatasetHead) -> dict[str, float]:
    return {
        "Access Time": head.accessed,
        "Modification Time": head.modified,
        "Creation Time": head.created,
    }


def _sides(columns: Columns) -> dict[str, tuple[Variable, ...]]:
    return {"Independent": columns.independents, "Dependent": columns.dependents}


def _write_variable(dataset: h5py.Dataset, name: str, variable: Variable, extended: bool) -> None:
    dataset.attrs[f"{name}.label"] = variable.label
    if name.startswith("Dependent"):
        dataset.attrs[f"{name}.legend"] = variable.legend
    shape = np.array(variable.shape, dtype=np.int32 if extended else np.int64)
    dataset.attrs.create(f"{name}.shape", shape)
    dataset.attrs[f"{name}.datatype"] = variable.type
    dataset.attrs[f"{name}.unit"] = variable.unit


# -- reading ------------------------------------------------------------------------------------


def read_head(file: h5py.File, path: Path) -> DatasetHead:
    """What the file at `path` says of itself.

    Raises
    ------
    FileDamaged
        If it holds no dataset of the Data Vault.
    """
    try:
        version = tuple(int(number) for number in np.ravel(file.attrs["Version"]))
        dataset = file[DATASET]
        columns = Columns(_read_side(dataset, "Independent"), _read_side(dataset, "Dependent"))
        _check_columns(dataset, columns)
        return DatasetHead(
            text_of(dataset.attrs["Title"]),
            columns,
            _is_extended(version, dataset, columns),
            version,
            *(float(dataset.attrs.get(f"{what} Time", 0)) for what in _TIMES),
        )
    except _DAMAGED as error:
        text = f"holds no dataset of the Data Vault, or half of one: {error}"
        raise FileDamaged(errno.EINVAL, text, str(path)) from error


_TIMES = ("Creation", "Modification", "Access")


def _read_side(dataset: h5py.Dataset, kind: str) -> tuple[Variable, ...]:
    found: list[Variable] = []
    while f"{kind}{len(found)}.label" in dataset.attrs:
        found.append(_read_variable(dataset, f"{kind}{len(found)}"))
    return tuple(found)


def _read_variable(dataset: h5py.Dataset, name: str) -> Variable:
    shape = tuple(int(length) for length in np.ravel(dataset.attrs[f"{name}.shape"]))
    return Variable(
        text_of(dataset.attrs[f"{name}.label"]),
        text_of(dataset.attrs.get(f"{name}.legend", "")),
        # The original makes columns of shape [], which hold one value.
        shape or (1,),
        text_of(dataset.attrs[f"{name}.datatype"]),
        text_of(dataset.attrs.get(f"{name}.unit", "")),
    )


def _check_columns(dataset: h5py.Dataset, columns: Columns) -> None:
    names = dataset.dtype.names or ()
    if dataset.ndim != 1 or len(names) != len(columns.all):
        raise ValueError(f"{len(columns.all)} columns are described, and it has {len(names)}")
    for name, column in zip(names, columns.all, strict=True):
        shape = dataset.dtype[name].shape or (1,)
        if shape != column.shape:
            raise ValueError(
                f"column {column.label!r} is said to be {column.shape}, and is {shape}"
            )


def _is_extended(version: tuple[int, ...], dataset: h5py.Dataset, columns: Columns) -> bool:
    if not columns.plain or version[0] >= 3:
        return True
    if version[0] < 2:
        return False
    shapes = (dataset.attrs[name] for name in dataset.attrs if name.endswith(".shape"))
    return all(np.asarray(shape).dtype == np.int32 for shape in shapes)


def text_of(value: Any) -> str:
    """Text from an attribute or a column, whoever wrote it; what is no UTF-8 is replaced."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return str(value).encode("utf-8", "surrogateescape").decode("utf-8", "replace")
