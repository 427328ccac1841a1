"""What one HDF5 file holds, read into plain records: its head, its groups, their columns.

A group of columns is any group that has a one-dimensional dataset ``time``; so files that other
programs made in this manner are read as well. Nothing here keeps the file open.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from h5daq.flow.seconds import as_seconds

__all__ = [
    "ColumnInfo",
    "FileHead",
    "GroupInfo",
    "column_info",
    "group_names",
    "lost_in",
    "read_attrs",
    "read_group",
    "read_head",
]

TIME = "time"

LOST = "lost_"
"""What the attributes with loss counts begin with; the cause follows."""

LATE = "late"
"""The one cause that is no loss: such rows are kept, but in a later file than their time's."""

_SCALE_ATTRS = {"CLASS", "NAME", "DIMENSION_LIST", "REFERENCE_LIST", "_Netcdf4Dimid"}


@dataclass(frozen=True, slots=True)
class ColumnInfo:
    """One column as the file describes it.

    Parameters
    ----------
    label : str
        Name of the dataset.
    dtype : numpy.dtype
        ``object`` for text.
    shape : tuple of int
        Shape of one row.
    unit, description : str
        From the attributes ``units`` and ``long_name``; empty where there are none.
    """

    label: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...] = ()
    unit: str = ""
    description: str = ""

    @property
    def is_text(self) -> bool:
        """Whether its values are strings of any length."""
        return bool(self.dtype == object)


@dataclass(frozen=True, slots=True)
class GroupInfo:
    """One job in one file: columns, count of rows, first and last time, attributes."""

    name: str
    rows: int
    columns: dict[str, ColumnInfo]
    attrs: dict[str, Any]
    first_time: float | None = None
    last_time: float | None = None

    @property
    def lost(self) -> dict[str, int]:
        """Rows that could not be kept, by cause; since the run began."""
        return lost_in(self.attrs)

    @property
    def late(self) -> int:
        """Rows that came after the file of their time was sealed; since the run began."""
        return int(self.attrs.get(LOST + LATE, 0))

    @property
    def restarts(self) -> list[tuple[float, str]]:
        """When the job's worker was started again, and why."""
        times = np.atleast_1d(self.attrs.get("restart_times", ()))
        causes = np.atleast_1d(self.attrs.get("restart_causes", ()))
        return [(float(time), str(cause)) for time, cause in zip(times, causes, strict=False)]

    @property
    def clock_jumps(self) -> list[tuple[float, float]]:
        """When the clock of the job's host was set while it was read, and by how many seconds."""
        jumps = np.reshape(self.attrs.get("clock_jumps", ()), (-1, 2))
        return [(float(time), float(size)) for time, size in jumps]


@dataclass(frozen=True, slots=True)
class FileHead:
    """A file's place in its run, from the attributes of its root; None where they are missing."""

    path: Path
    file_id: int | None
    previous_id: int | None
    following_id: int | None
    run_id: str | None
    run_start: float | None
    file_start: float | None
    name: str
    attrs: dict[str, Any]

    @property
    def key(self) -> int | Path:
        """What stays the same when the file gets another name."""
        return self.path if self.file_id is None else self.file_id


def read_head(file: h5py.File, path: Path) -> FileHead:
    """The head of an open file, whose name is `path`."""
    attrs = read_attrs(file)
    return FileHead(
        path=path,
        file_id=_whole(attrs, "file_id"),
        previous_id=_whole(attrs, "previous_file_id"),
        following_id=_whole(attrs, "following_file_id"),
        run_id=str(attrs["run_id"]) if "run_id" in attrs else None,
        run_start=_real(attrs, "run_start"),
        file_start=_real(attrs, "file_start"),
        name=str(attrs.get("name", "")),
        attrs=attrs,
    )


def _whole(attrs: Mapping[str, Any], key: str) -> int | None:
    value = _real(attrs, key)
    # Through float only to see whether it is a number: an id has 64 bits, a float 53.
    return None if value is None or not attrs[key] else int(attrs[key])


def _real(attrs: Mapping[str, Any], key: str) -> float | None:
    value = attrs.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value:
        return None
    return float(value)


def read_attrs(item: h5py.HLObject) -> dict[str, Any]:
    """Attributes as plain Python values and arrays, without the bookkeeping of scales."""
    found = {}
    for key in item.attrs:
        if key not in _SCALE_ATTRS:
            found[key] = _plain(item.attrs[key])
    return found


def lost_in(attrs: Mapping[str, Any]) -> dict[str, int]:
    """The counts of losses among the attributes of a group, by cause."""
    counts = ((k.removeprefix(LOST), v) for k, v in attrs.items() if k.startswith(LOST))
    return {cause: int(count) for cause, count in counts if count and cause != LATE}


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, np.generic):
        return _plain(value.item())
    if isinstance(value, np.ndarray) and value.dtype.kind in "OS":
        return [_plain(element) for element in value.tolist()]
    return None if isinstance(value, h5py.Empty) else value


def group_names(file: h5py.Group, above: str = "") -> Iterator[str]:
    """Paths of all groups that have a ``time``, in the file's order."""
    if above and _is_time(file):
        yield above
    for name in file:
        if file.get(name, getclass=True, default=None) is h5py.Group and _is_hard(file, name):
            yield from group_names(file[name], f"{above}/{name}".lstrip("/"))


def _is_hard(group: h5py.Group, name: str) -> bool:
    # Soft links may lead round in a circle.
    return isinstance(group.get(name, getlink=True), h5py.HardLink)


def _is_time(group: h5py.Group) -> bool:
    time = group.get(TIME)
    return isinstance(time, h5py.Dataset) and time.ndim == 1 and time.dtype.kind in "fiu"


def read_group(file: h5py.File, name: str) -> GroupInfo | None:
    """The group of that path, or None if the file has no columns there."""
    group = file.get(name)
    if not isinstance(group, h5py.Group) or not _is_time(group):
        return None
    datasets = dict(_columns(group))
    rows = min(len(dataset) for dataset in datasets.values())
    first, last = _ends(group[TIME], rows)
    columns = {label: column_info(label, dataset) for label, dataset in datasets.items()}
    return GroupInfo(name.strip("/"), rows, columns, read_attrs(group), first, last)


def _columns(group: h5py.Group) -> Iterator[tuple[str, h5py.Dataset]]:
    """``time`` first, then what grows with it or is as long; a lone calibration table is not."""
    time = group[TIME]
    yield TIME, time
    for label in group:
        item = group.get(label)
        if label == TIME or not isinstance(item, h5py.Dataset) or not item.ndim:
            continue
        if len(item) == len(time) or item.maxshape[0] is None:
            yield label, item


def column_info(label: str, dataset: h5py.Dataset) -> ColumnInfo:
    """How a dataset describes itself; its first axis counts rows."""
    text = h5py.check_string_dtype(dataset.dtype)
    dtype = np.dtype(object) if text is not None and text.length is None else dataset.dtype
    attrs = dataset.attrs
    unit, description = (str(_plain(attrs.get(key, ""))) for key in ("units", "long_name"))
    # The layout gives the label where the user described nothing, for other programs' plots.
    description = "" if description == label else description
    return ColumnInfo(label, dtype, (dataset.shape or ())[1:], unit, description)


def _ends(time: h5py.Dataset, rows: int) -> tuple[float | None, float | None]:
    if not rows:
        return None, None
    first, last = as_seconds(np.stack([time[0], time[rows - 1]]))
    return float(first), float(last)
