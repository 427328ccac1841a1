"""What an exported block becomes: text for everybody, Parquet for tables, netCDF for arrays.

A `Format` is a file that is open for writing: `begin` a group, `add` its blocks, leave the
``with``. CSV is written by Python's own module; Parquet and netCDF by pyarrow and h5netcdf, which
are imported when they are first needed.
"""

from __future__ import annotations

import csv
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from itertools import product
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from h5daq.errors import ConfigError
from h5daq.files.extras import optional
from h5daq.files.times import as_datetime64
from h5daq.storage.runs.contents import TIME, ColumnInfo

__all__ = ["FORMATS", "Csv", "Format", "NetCdf", "Parquet"]

MOST_CELLS = 4096
"""Cells of a CSV row at most: more is no table for people."""

Columns = Mapping[str, ColumnInfo]
Block = Mapping[str, NDArray[Any]]


class Format(ABC):
    """A file of some format, open for writing.

    Attributes
    ----------
    suffix : str
        What such files are called.
    many : bool
        Whether one file can hold several groups.
    """

    suffix: ClassVar[str]
    many: ClassVar[bool] = False

    def __init__(self, path: Path) -> None:
        self.path = path

    @abstractmethod
    def begin(self, name: str, columns: Columns, attrs: Mapping[str, Any], /) -> None:
        """The blocks of a group follow."""

    @abstractmethod
    def add(self, block: Block) -> None:
        """Some rows of that group, all columns of the same length."""

    @abstractmethod
    def close(self) -> None:
        """It is complete, or given up."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class Csv(Format):
    """One line of labels, then one per row; floats with all their digits, `time` as it is kept.

    An array has one cell per element: ``wave[0]``, ``wave[1]`` and so on.
    """

    suffix = ".csv"

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._file = path.open("w", newline="", encoding="utf-8")
        self._writer = csv.writer(self._file)

    def begin(self, name: str, columns: Columns, _attrs: Mapping[str, Any], /) -> None:
        """Write the line of labels."""
        labels = [cell for column in columns.values() for cell in _cells(column)]
        if len(labels) > MOST_CELLS:
            raise ConfigError(
                f"group {name!r}: a row has {len(labels):,} values, and CSV gets at most "
                f"{MOST_CELLS:,} cells: choose columns, or export to Parquet or netCDF"
            )
        self._writer.writerow(labels)

    def add(self, block: Block) -> None:
        """Write a line per row."""
        parts: list[Iterable[Any]] = []
        for values in block.values():
            flat = values.reshape(len(values), -1)
            parts += [_plain(flat[:, k]) for k in range(flat.shape[1])]
        self._writer.writerows(zip(*parts, strict=True))

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _cells(column: ColumnInfo) -> list[str]:
    if not column.shape:
        return [column.label]
    places = product(*map(range, column.shape))
    return [f"{column.label}[{','.join(map(str, place))}]" for place in places]


def _plain(values: NDArray[Any]) -> list[Any]:
    if values.dtype.kind == "S":
        return [value.decode("utf-8", "replace") for value in values.tolist()]
    plain: list[Any] = values.tolist()
    return plain


class Parquet(Format):
    """A table: times as UTC timestamps, arrays as lists of fixed length, units as metadata."""

    suffix = ".parquet"

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._arrow = optional("pyarrow", "parquet")
        self._parquet = optional("pyarrow.parquet", "parquet")
        self._writer: Any = None

    def begin(self, name: str, columns: Columns, attrs: Mapping[str, Any], /) -> None:
        """Make the file with its columns."""
        fields = [self._field(column) for column in columns.values()]
        metadata = {"h5daq_group": name, **{f"attr_{k}": str(v) for k, v in attrs.items()}}
        self._schema = self._arrow.schema(fields, metadata=metadata)
        self._writer = self._parquet.ParquetWriter(str(self.path), self._schema)

    def add(self, block: Block) -> None:
        """Write a row group."""
        types = [field.type for field in self._schema]
        arrays = [self._array(k, v, t) for (k, v), t in zip(block.items(), types, strict=True)]
        self._writer.write_table(self._arrow.Table.from_arrays(arrays, schema=self._schema))

    def close(self) -> None:
        """Write the end of the file."""
        if self._writer is not None:
            self._writer.close()

    def _field(self, column: ColumnInfo) -> Any:
        # A timestamp knows its own unit.
        unit = "" if column.label == TIME else column.unit
        texts = {"units": unit, "long_name": column.description}
        metadata = {key: text for key, text in texts.items() if text}
        return self._arrow.field(column.label, self._type(column), metadata=metadata)

    def _type(self, column: ColumnInfo) -> Any:
        if column.label == TIME:
            return self._arrow.timestamp("ns", tz="UTC")
        if column.is_text or column.dtype.kind == "S":
            element = self._arrow.string()
        elif column.dtype.kind == "c":
            raise ConfigError(f"column {column.label!r} is complex: Parquet has no such numbers")
        else:
            element = self._arrow.from_numpy_dtype(column.dtype)
        for size in reversed(column.shape):
            element = self._arrow.list_(element, size)
        return element

    def _array(self, label: str, values: NDArray[Any], kind: Any) -> Any:
        if label == TIME:
            return self._arrow.array(as_datetime64(values)).cast(kind)
        flat = _plain(values.ravel()) if values.dtype.kind == "S" else values.ravel()
        array = self._arrow.array(flat)
        for size in reversed(values.shape[1:]):
            array = self._arrow.FixedSizeListArray.from_arrays(array, size)
        return array.cast(kind)


class NetCdf(Format):
    """A netCDF-4 file with a group per job, as CF has it: `time` with units, an unlimited axis."""

    suffix = ".nc"
    many = True

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._file = optional("h5netcdf", "xarray").File(str(path), "w")
        self._group: Any = None
        self._rows = 0

    def begin(self, name: str, columns: Columns, attrs: Mapping[str, Any], /) -> None:
        """Make the group with its dimensions and variables."""
        self._group, self._rows = self._file.create_group(name), 0
        self._group.dimensions[TIME] = None
        for key, value in attrs.items():
            if isinstance(value, str | int | float | np.ndarray):
                self._group.attrs[key] = value
        for column in columns.values():
            self._make(column)

    def _make(self, column: ColumnInfo) -> None:
        if column.dtype.kind == "c":
            raise ConfigError(f"column {column.label!r} is complex: netCDF has no such numbers")
        inner = [f"{column.label}_{axis}" for axis in range(len(column.shape))]
        for dimension, size in zip(inner, column.shape, strict=True):
            self._group.dimensions[dimension] = size
        text = column.is_text or column.dtype.kind == "S"
        dtype = _string_dtype() if text else _numeric(column.dtype)
        variable = self._group.create_variable(column.label, (TIME, *inner), dtype)
        for key, value in (("units", column.unit), ("long_name", column.description)):
            if value:
                variable.attrs[key] = value
        if column.label == TIME:
            variable.attrs["calendar"] = "proleptic_gregorian"

    def add(self, block: Block) -> None:
        """Append to each variable."""
        count = len(next(iter(block.values())))
        self._group.resize_dimension(TIME, self._rows + count)
        for label, values in block.items():
            plain = np.array(_plain(values.ravel()), object).reshape(values.shape)
            kept = plain if values.dtype.kind in "SO" else values.astype(_numeric(values.dtype))
            self._group.variables[label][self._rows : self._rows + count] = kept
        self._rows += count

    def close(self) -> None:
        """Write the end of the file."""
        self._file.close()


def _numeric(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The type that netCDF has for it: no bool, and no half-precision floats."""
    known: dict[str, np.dtype[Any]] = {"e": np.dtype("<f4"), "?": np.dtype("i1")}
    return known.get(dtype.char, dtype)


def _string_dtype() -> Any:
    import h5py

    return h5py.string_dtype()


FORMATS: dict[str, type[Format]] = {"csv": Csv, "parquet": Parquet, "netcdf": NetCdf}
"""By the names that people give them."""
