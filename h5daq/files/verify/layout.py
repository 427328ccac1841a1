"""A run file against the layout that h5daq gives it: root attributes, jobs, columns, plots.

A job is a group with a ``time`` in it. All its columns have one length, are as the layout makes
them, and point at each other as other programs expect it: units and calendar, NXdata, dimension
scales. Losses, restarts and an interrupted run are no damage; they are told as notes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import h5py
import numpy as np

from h5daq.files.times import iso
from h5daq.files.verify.plots import check_plot, check_scales
from h5daq.files.verify.report import ERROR, NOTE, WARNING
from h5daq.files.verify.telling import HDF5_ERRORS, Limited
from h5daq.files.verify.walk import Walked
from h5daq.flow.names import ROOT_ATTRIBUTES
from h5daq.storage.layouts.run_attrs import LAYOUT_VERSION
from h5daq.storage.layouts.run_comments import ATTRIBUTES, BESIDE
from h5daq.storage.runs.contents import LATE, LOST, TIME, lost_in

__all__ = ["check_groups", "check_root", "head_of", "is_dataset", "is_run_file", "real", "whole"]

_OWN = ("h5daq_version", "layout_version", "journal_lsn")
"""Root attributes that no other program sets."""

_OPTIONAL = {"default", "interrupted"}
_IDS = ("file_id", "previous_file_id", "following_file_id")
_TIMES = ("run_start", "file_start", "file_end")
_FILE_ATTRS = ("run_id", "name", "interrupted", "durability", "h5daq_version", "journal_lsn")
_UNITS = {"f": "seconds since 1970-01-01 00:00:00", "i": "nanoseconds since 1970-01-01 00:00:00"}
_COPY = "restore the file from a copy, or set the attribute again with h5py"
_RESTORE = "restore the file from a copy"


def is_run_file(attrs: Mapping[str, Any]) -> bool:
    """Whether a file with these root attributes holds a run of h5daq's."""
    return any(name in attrs for name in _OWN) and not is_dataset(attrs)


def is_dataset(attrs: Mapping[str, Any]) -> bool:
    """Whether it holds a dataset of the Data Vault, which lie beside runs."""
    return "Version" in attrs and not any(name in attrs for name in ("file_id", "layout_version"))


def whole(value: Any) -> int | None:
    """A whole number out of an attribute; None where it is something else."""
    return int(value) if isinstance(value, int | np.integer) else None


def real(value: Any) -> float | None:
    """A number out of an attribute; None where it is something else, also for NaN."""
    if not isinstance(value, int | float | np.integer | np.floating) or value != value:
        return None
    return float(value)


def head_of(attrs: Mapping[str, Any]) -> dict[str, Any]:
    """The file's place in its run, as plain values; None where an attribute is no good."""
    head: dict[str, Any] = {name: whole(attrs.get(name)) for name in _IDS}
    head |= {name: real(attrs.get(name)) for name in (*_TIMES, "run_end")}
    for name in _FILE_ATTRS:
        value = attrs.get(name)
        head[name] = value.item() if isinstance(value, np.generic) else value
        if not isinstance(head[name], str | int | float | None):
            head[name] = None
    return head


def check_root(attrs: Mapping[str, Any], limited: Limited) -> None:
    """The attributes of the root: all there, and of the right kind."""
    for name in sorted(ROOT_ATTRIBUTES - _OPTIONAL - set(attrs)):
        limited.add(ERROR, "attribute", f"the root attribute {name!r} is missing", "/", _COPY)
    for name in (*_IDS, "journal_lsn", "layout_version"):
        number = whole(attrs.get(name))
        if name in attrs and (number is None or number < 0):
            _wrong(limited, name, attrs[name], "a whole number from 0 on")
    for name in _TIMES:
        if name in attrs and real(attrs[name]) is None:
            _wrong(limited, name, attrs[name], "a time in seconds")
    if whole(attrs.get("file_id")) == 0:
        _wrong(limited, "file_id", 0, "a number other than 0")
    if (whole(attrs.get("layout_version")) or 0) > LAYOUT_VERSION:
        text = f"its layout has the version {attrs['layout_version']}, newer than this h5daq knows"
        limited.add(NOTE, "version", text, "/", "verify it with the h5daq that wrote it")
    _check_order(attrs, limited)
    if attrs.get("durability") == "none":
        text = "the run kept no journal: rows between the last checkpoint and a crash are lost"
        limited.add(NOTE, "durability", text)


def _wrong(limited: Limited, name: str, value: Any, right: str) -> None:
    text = f"the root attribute {name!r} is {str(value)[:40]!r}, and should be {right}"
    limited.add(ERROR, "attribute", text, "/", _COPY)


def _check_order(attrs: Mapping[str, Any], limited: Limited) -> None:
    start, end = real(attrs.get("file_start")), real(attrs.get("file_end"))
    if start is not None and end is not None and end < start:
        text = f"it ends ({iso(end)}) before it begins ({iso(start)})"
        limited.add(WARNING, "time", text, "/", "look whether the writer's clock was set back")


# -- jobs ----------------------------------------------------------------------------------------


def check_groups(objects: Mapping[str, Walked], limited: Limited) -> dict[str, int]:
    """All groups of a run file.

    Returns
    -------
    dict of str to int
        Rows by job.
    """
    rows = {}
    for path, group in objects.items():
        if not group.is_group:
            continue
        _note_links(group, limited)
        if path.startswith(f"{BESIDE}/"):
            _check_beside(group, objects, limited)
        elif path != "/":
            _check_comments(group, limited)
            _note_losses(group, limited)
            count = _try_job(group, objects, limited)
            if count is not None:
                rows[path.strip("/")] = count
    _check_default(objects, limited)
    return rows


def _note_links(group: Walked, limited: Limited) -> None:
    for name, kind in group.members.items():
        if kind == "link":
            text = f"the link {name!r} was put in by another program; what it leads to is not read"
            limited.add(NOTE, "link", text, group.path)


def _try_job(group: Walked, objects: Mapping[str, Walked], limited: Limited) -> int | None:
    try:
        return _check_job(group, objects, limited)
    except HDF5_ERRORS as error:
        limited.broken(group.path, "its columns can't be looked at", error)
        return None


def _check_job(group: Walked, objects: Mapping[str, Walked], limited: Limited) -> int | None:
    labels = [name for name, kind in group.members.items() if kind == "dataset"]
    if not labels:
        return None
    if TIME not in labels:
        text = f"the group has columns ({', '.join(labels[:5])}), but no {TIME!r}"
        limited.add(ERROR, "time", text, group.path, _RESTORE)
        return None
    prefix = group.path.rstrip("/")
    columns = {label: objects[f"{prefix}/{label}"] for label in labels
               if f"{prefix}/{label}" in objects}  # fmt: skip
    if TIME not in columns:
        return None
    for label, column in columns.items():
        _check_column(label, column, limited)
    check_plot(group, columns, limited)
    check_scales(columns, limited)
    return _check_lengths(group, columns, limited)


def _check_lengths(group: Walked, columns: Mapping[str, Walked], limited: Limited) -> int | None:
    lengths = {label: int(c.node.shape[0]) for label, c in columns.items() if c.node.shape}
    if len(set(lengths.values())) > 1:
        rows = lengths.get(TIME)
        other = {label: n for label, n in lengths.items() if n != rows}
        told = ", ".join(f"{label} has {n:,}" for label, n in list(other.items())[:5])
        text = f"its columns differ in length: {TIME} has {rows} rows, {told}"
        mend = "only the first {:,} rows are whole; restore the rest from a copy"
        limited.add(ERROR, "length", text, group.path, mend.format(min(lengths.values())))
    return lengths.get(TIME)


def _check_column(label: str, column: Walked, limited: Limited) -> None:
    dataset: h5py.Dataset = column.node
    trouble = _wrong_shape(dataset) or (_wrong_time(dataset) if label == TIME else "")
    if trouble:
        limited.add(ERROR, "column", trouble, column.path, _RESTORE)
    wanted = ["long_name"]
    if label == TIME:
        wanted += ["units", "calendar", "standard_name"]
    for name in wanted:
        if name not in column.attrs:
            text = f"its attribute {name!r} is missing"
            limited.add(ERROR, "attribute", text, column.path, _COPY)
    units = _UNITS.get(dataset.dtype.kind)
    if label == TIME and "units" in column.attrs and column.attrs["units"] != units:
        text = f"its units are {str(column.attrs['units'])[:60]!r}, and should be {units!r}"
        limited.add(ERROR, "units", text, column.path, _COPY)


def _wrong_shape(dataset: h5py.Dataset) -> str:
    kinds = "biufcS" if dataset.dtype.kind != "O" else "O"
    text = h5py.check_string_dtype(dataset.dtype)
    if dataset.dtype.kind not in kinds or (dataset.dtype.kind == "O" and text is None):
        return f"its dtype {dataset.dtype} is none that h5daq writes"
    if not dataset.shape or dataset.maxshape[0] is not None or dataset.chunks is None:
        return "its first axis can't grow, so it is no column"
    if dataset.chunks[1:] != dataset.shape[1:]:
        return f"its chunks {dataset.chunks} do not fit rows of shape {dataset.shape[1:]}"
    return ""


def _wrong_time(dataset: h5py.Dataset) -> str:
    if dataset.dtype.str in ("<f8", "<i8") and dataset.ndim == 1:
        return ""
    return f"it is {dataset.dtype} with {dataset.ndim} axes, and should be float64 or int64 with 1"


# -- what people noted ---------------------------------------------------------------------------


def _check_comments(group: Walked, limited: Limited) -> None:
    """The attributes with comments are there together, and of one length."""
    there = [name for name in ATTRIBUTES if name in group.attrs]
    lengths = {name: len(np.atleast_1d(group.attrs[name])) for name in there}
    if there and (len(there) < len(ATTRIBUTES) or len(set(lengths.values())) > 1):
        told = ", ".join(f"{name} has {n:,}" for name, n in lengths.items())
        text = f"the attributes with comments do not fit each other: {told}"
        limited.add(ERROR, "comments", text, group.path, _COPY)


def _check_beside(group: Walked, objects: Mapping[str, Walked], limited: Limited) -> None:
    """The datasets with more comments are of one length."""
    found = {name: objects.get(f"{group.path}/{name}") for name in group.members}
    shapes = {k: one.node.shape for k, one in found.items() if one and not one.is_group}
    lengths = {name: shape[0] for name, shape in shapes.items() if shape}
    if len(set(lengths.values())) > 1:
        told = ", ".join(f"{name} has {n:,}" for name, n in lengths.items())
        limited.add(ERROR, "comments", f"its datasets differ in length: {told}", group.path, _COPY)


def _check_default(objects: Mapping[str, Walked], limited: Limited) -> None:
    for path, group in objects.items():
        name = group.attrs.get("default") if group.is_group else None
        if isinstance(name, str) and name not in group.members:
            text = f"its attribute 'default' names {name!r}, which is not there"
            limited.add(ERROR, "nexus", text, path, _COPY)


# -- what the run itself recorded ----------------------------------------------------------------


def _note_losses(group: Walked, limited: Limited) -> None:
    counts = {k: whole(v) for k, v in group.attrs.items() if k.startswith(LOST)}
    for name, count in counts.items():
        if count is None or count < 0:
            text = f"its attribute {name!r} is no count"
            limited.add(ERROR, "attribute", text, group.path, _COPY)
            return
    for cause, count in lost_in(counts).items():
        text = f"{count:,} rows were lost since the run began: {cause}"
        limited.add(NOTE, "lost", text, group.path)
    late = counts.get(LOST + LATE)
    if late:
        text = f"{late:,} rows came after the file of their time was sealed (all are kept)"
        limited.add(NOTE, "late", text, group.path)
    _note_restarts(group, limited)


def _note_restarts(group: Walked, limited: Limited) -> None:
    if "restart_times" not in group.attrs:
        return
    times = np.atleast_1d(group.attrs["restart_times"])
    causes = np.atleast_1d(group.attrs.get("restart_causes", ()))
    if len(times) != len(causes) or times.dtype.kind != "f":
        text = f"{len(times)} times and {len(causes)} causes of restarts"
        limited.add(ERROR, "attribute", text, group.path, _COPY)
    elif len(times):
        plural = "time" if len(times) == 1 else "times"
        text = f"its worker was started again {len(times)} {plural}, last at {iso(times[-1])}"
        limited.add(NOTE, "restarts", f"{text}: {str(causes[-1])[:80]}", group.path)
