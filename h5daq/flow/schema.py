"""The columns of a job: label, dtype, shape of one row, unit; and all of them as a `Schema`.

A schema is what a worker's hello says of its rows and what a file's datasets are made from. It is
checked once, when it is made: whoever holds a `Schema` needs no further look at names or kinds.

``time`` is always the first column: UTC seconds since 1970-01-01 as float64, or int64 nanoseconds.
Numbers are little-endian; text columns have the dtype ``object`` and hold variable-length UTF-8.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any

import msgpack
import numpy as np
from numpy.typing import DTypeLike

from h5daq.errors import JobTypeError, JobValueError, WireError

__all__ = [
    "MAX_COLUMNS",
    "MAX_ROW_BYTES",
    "MAX_TEXT_BYTES",
    "TIME",
    "Column",
    "Schema",
    "check_group",
    "check_label",
]

TIME = "time"
"""Label of the first column of every job; users can't take it."""

MAX_COLUMNS = 16384
"""Most columns of one job."""

MAX_ROW_BYTES = 48 * 1024 * 1024
"""Most bytes of one row, so that each row fits into one message."""

MAX_NAME_BYTES = 255
"""Most bytes of a label or of one part of a group, in UTF-8."""

MAX_GROUP_BYTES = 1024
"""Most bytes of a whole group path, in UTF-8."""

MAX_TEXT_BYTES = 12 * 1024 * 1024
"""Most bytes of all texts of one row, in UTF-8."""

MAX_TEXT = 4096
"""Most characters of a unit or a description."""

_MAX_DIMENSIONS = 16
_OWN = ".h5daq"
# In all its cases: some file systems make no difference, and the lookup costs nothing so.
_NO_NAMES = {"", ".", "..", *map("".join, product(*((c, c.upper()) for c in _OWN)))}
_TEXT = "text"
_TEXT_ESTIMATE = 8
_NAMED_DTYPE = re.compile(r"<[iu][248]|<f[248]|<c(8|16)|\|[iub]1|\|S[1-9][0-9]{0,7}")


def check_label(label: object) -> str:
    """A label as it may name a dataset.

    Raises
    ------
    JobTypeError
        If it is no string.
    JobValueError
        If it is empty, too long, has a ``/`` or NUL, or is one of the reserved ``time`` and
        ``.h5daq``.
    """
    name = _check_name(label, "label")
    if "/" in name:
        raise JobValueError(f"label {name!r} has a '/'; put the path into the job's group")
    if name == TIME:
        raise JobValueError(f"label {TIME!r} is reserved: every job gets it as its first column")
    return name


def check_group(group: object) -> str:
    """A group path without slashes at its ends, e.g. ``"tank/temperature"``.

    Raises
    ------
    JobTypeError
        If it is no string.
    JobValueError
        If a part of the path is empty, ``.``, ``..`` or ``.h5daq``, has a NUL or is too long.
    """
    if not isinstance(group, str):
        raise JobTypeError(f"group must be a string, not {type(group).__name__}")
    path = group.strip("/")
    # First, as it may be anybody's text of any length.
    if len(path) > MAX_GROUP_BYTES:
        raise _too_long(path)
    for part in path.split("/"):
        _check_name(part, f"group {group!r}: part")
    if len(path.encode()) > MAX_GROUP_BYTES:
        raise _too_long(path)
    return path


def _too_long(path: str) -> JobValueError:
    return JobValueError(f"group {path[:40]!r}… is longer than {MAX_GROUP_BYTES} bytes")


def _check_name(name: object, what: str) -> str:
    if not isinstance(name, str):
        raise JobTypeError(f"{what} must be a string, not {type(name).__name__}")
    if name in _NO_NAMES or "\0" in name:
        raise JobValueError(
            f"{what} {name!r}: it must not be empty, '.', '..' or {_OWN!r}, or have a NUL"
        )
    if _utf8_bytes(name, what) > MAX_NAME_BYTES:
        raise JobValueError(f"{what} {name[:40]!r}… is longer than {MAX_NAME_BYTES} bytes")
    return name


def _utf8_bytes(text: str, what: str) -> int:
    try:
        return len(text.encode())
    except UnicodeEncodeError as error:
        raise JobValueError(f"{what} {text!r} can't be written as UTF-8") from error


@dataclass(frozen=True, slots=True)
class Column:
    """One dataset of a job.

    Parameters
    ----------
    label : str
        Its name.
    dtype : dtype-like
        Integer, float, complex, bool or ``S<n>``; made little-endian. ``str``, ``"text"``, ``U``
        and ``object`` give a text column.
    shape : tuple of int
        Shape of one row; ``()`` for a single value.
    unit, description : str
        Free text for the file's attributes.

    Attributes
    ----------
    is_text : bool
        Whether its values are strings of any length.
    row_bytes : int
        Bytes of one row; an estimate for text.

    Raises
    ------
    JobValueError, JobTypeError
        If the column can't be stored.
    """

    label: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...] = ()
    unit: str = ""
    description: str = ""
    is_text: bool = field(init=False, compare=False, repr=False)
    row_bytes: int = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        dtype, shape = _normal_dtype(self.label, self.dtype), _normal_shape(self.label, self.shape)
        is_text = dtype.kind == "O"
        size = _TEXT_ESTIMATE if is_text else int(dtype.itemsize) * math.prod(shape)
        object.__setattr__(self, "dtype", dtype)
        object.__setattr__(self, "shape", shape)
        object.__setattr__(self, "is_text", is_text)
        object.__setattr__(self, "row_bytes", size)
        if self.is_text and self.shape:
            raise JobValueError(f"label {self.label!r}: a text column has one string per row")
        for text in (self.unit, self.description):
            if not isinstance(text, str):
                raise JobTypeError(f"label {self.label!r}: unit and description must be strings")
            if len(text) > MAX_TEXT or "\0" in text:
                raise JobValueError(f"label {self.label!r}: a text over {MAX_TEXT}, or with a NUL")
            _utf8_bytes(text, "unit or description")

    def to_wire(self) -> dict[str, Any]:
        """The column as a map; empty texts are left out."""
        dtype = _TEXT if self.is_text else self.dtype.str
        wire: dict[str, Any] = {"label": self.label, "dtype": dtype, "shape": list(self.shape)}
        if self.unit:
            wire["unit"] = self.unit
        if self.description:
            wire["desc"] = self.description
        return wire


def _normal_dtype(label: str, wanted: DTypeLike) -> np.dtype[Any]:
    if isinstance(wanted, str) and wanted == _TEXT:
        return np.dtype(object)
    try:
        dtype = np.dtype(wanted)
    except (TypeError, ValueError) as error:
        raise JobTypeError(f"label {label!r}: {wanted!r} is no dtype: {error}") from error
    if dtype.kind in "OU":
        return np.dtype(object)
    # By its name: a dtype that was told its byte order explicitly exports no plain memoryview.
    dtype = np.dtype(dtype.newbyteorder("<").str) if dtype.fields is None else dtype
    if not _NAMED_DTYPE.fullmatch(dtype.str):
        raise JobTypeError(
            f"label {label!r}: dtype {dtype} can't be stored; use an integer, a float of up to 8 "
            "bytes, complex, bool, S<n> or str"
        )
    return dtype


def _normal_shape(label: str, shape: Sequence[int]) -> tuple[int, ...]:
    if not isinstance(shape, tuple | list):
        raise JobTypeError(f"label {label!r}: shape must be a tuple, not {type(shape).__name__}")
    sizes = [int(s) if isinstance(s, int | np.integer) else -1 for s in shape]
    if len(sizes) > _MAX_DIMENSIONS or any(not 0 < s <= MAX_ROW_BYTES for s in sizes):
        raise JobValueError(
            f"label {label!r}: shape of a row {tuple(shape)}: up to {_MAX_DIMENSIONS} whole "
            f"numbers from 1 to {MAX_ROW_BYTES}"
        )
    return tuple(sizes)


@dataclass(frozen=True, slots=True)
class Schema:
    """The columns of a job, ``time`` first.

    Parameters
    ----------
    columns : tuple of Column
        ``time`` (float64 seconds or int64 nanoseconds), then one per label.

    Attributes
    ----------
    row_bytes : int
        Bytes of one row; text counts as 8.
    labels : tuple of str
        All labels, ``time`` included.
    text, binary : tuple of Column
        The text columns, and the others, ``time`` first; both in order.

    Raises
    ------
    JobValueError, JobTypeError
        If the columns can't stand beside each other.
    """

    columns: tuple[Column, ...]
    row_bytes: int = field(init=False, compare=False, repr=False)
    labels: tuple[str, ...] = field(init=False, compare=False, repr=False)
    text: tuple[Column, ...] = field(init=False, compare=False, repr=False)
    binary: tuple[Column, ...] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        columns = tuple(self.columns)
        object.__setattr__(self, "columns", columns)
        object.__setattr__(self, "row_bytes", sum(c.row_bytes for c in columns))
        object.__setattr__(self, "labels", tuple(c.label for c in columns))
        object.__setattr__(self, "text", tuple(c for c in columns if c.is_text))
        object.__setattr__(self, "binary", tuple(c for c in columns if not c.is_text))
        self._check()

    @classmethod
    def of(cls, columns: Sequence[Column], time_dtype: DTypeLike = "<f8") -> Schema:
        """A schema of the user's columns, with ``time`` put in front."""
        time = Column(TIME, np.dtype(time_dtype))
        return cls((time, *columns))

    def _check(self) -> None:
        if not self.columns or self.columns[0].label != TIME:
            raise JobValueError(f"the first column must be {TIME!r}")
        time = self.columns[0]
        if time.dtype.str not in ("<f8", "<i8") or time.shape:
            raise JobValueError(f"{TIME!r} must be float64 or int64, one value per row")
        if len(self.columns) > MAX_COLUMNS:
            raise JobValueError(f"{len(self.columns)} columns; at most {MAX_COLUMNS} in one job")
        _check_distinct([check_label(c.label) for c in self.columns[1:]])
        if self.row_bytes > MAX_ROW_BYTES:
            raise JobValueError(
                f"a row has {self.row_bytes} bytes, at most {MAX_ROW_BYTES} fit into a message: "
                "make its arrays smaller, or send a part at a time with extend_mode"
            )

    @property
    def fingerprint(self) -> str:
        """16 hex digits that are equal for equal schemas, on every machine."""
        packed: bytes = msgpack.packb(self.to_wire())
        return hashlib.blake2b(packed, digest_size=8).hexdigest()

    def to_wire(self) -> list[dict[str, Any]]:
        """The columns as a list of maps (see PROTOCOL.md)."""
        return [column.to_wire() for column in self.columns]

    @classmethod
    def from_wire(cls, wire: object) -> Schema:
        """The schema that a message describes.

        Raises
        ------
        WireError
            With the cause ``"schema"``, for anything that `to_wire` could not have made.
        """
        if not isinstance(wire, list) or len(wire) > MAX_COLUMNS:
            raise WireError(f"a schema is a list of up to {MAX_COLUMNS} columns", cause="schema")
        try:
            return cls(tuple(_column_from_wire(column) for column in wire))
        except (JobValueError, JobTypeError) as error:
            raise WireError(f"schema: {error}", cause="schema") from error


def _check_distinct(labels: list[str]) -> None:
    if len(set(labels)) != len(labels):
        twice = sorted(label for label, count in Counter(labels).items() if count > 1)
        raise JobValueError(f"labels must differ; more than once: {', '.join(twice)}")


def _column_from_wire(wire: object) -> Column:
    if not isinstance(wire, Mapping):
        raise WireError("schema: a column is a map", cause="schema")
    label, dtype, shape = wire.get("label"), wire.get("dtype"), wire.get("shape", [])
    if not isinstance(label, str) or not isinstance(dtype, str) or not isinstance(shape, list):
        raise WireError("schema: a column has label, dtype and shape", cause="schema")
    if len(label) > MAX_NAME_BYTES or len(shape) > _MAX_DIMENSIONS:
        # What follows says them in full.
        raise WireError(f"schema: label {label[:40]!r}… or its shape is too long", cause="schema")
    # Only the names of the list go to numpy: its parser also takes records and whole structures.
    if dtype != _TEXT and not _NAMED_DTYPE.fullmatch(dtype):
        raise WireError(f"schema: unknown dtype {dtype[:40]!r}", cause="schema")
    if not all(type(size) is int for size in shape):
        raise WireError("schema: a shape is a list of whole numbers", cause="schema")
    kind = np.dtype(object) if dtype == _TEXT else np.dtype(dtype)
    return Column(label, kind, tuple(shape), wire.get("unit", ""), wire.get("desc", ""))
