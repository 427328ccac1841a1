"""What other programs go by: NXdata for plots, dimension scales for xarray and netCDF.

A group whose numbers can be plotted names its signal, axes and further signals; each name must
stand for a column of the right shape. ``time`` is the scale of the first axis of all columns,
unless there are so many that attaching it would have taken too long.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import h5py
import numpy as np

from h5daq.files.verify.report import ERROR
from h5daq.files.verify.telling import HDF5_ERRORS, Limited, brief
from h5daq.files.verify.walk import Walked
from h5daq.storage.layouts.job_group import MAX_SCALED_LABELS
from h5daq.storage.runs.contents import TIME

__all__ = ["check_plot", "check_scales"]

_PLOTTED_KINDS = "iufc"
_MEND = "values and times are whole; restore the file from a copy, or set it again with h5py"


def check_plot(group: Walked, columns: Mapping[str, Walked], limited: Limited) -> None:
    """The NXdata attributes of a job's group."""

    def wrong(text: str) -> None:
        limited.add(ERROR, "nexus", text, group.path, _MEND)

    plotted = [k for k, c in columns.items() if k != TIME and c.node.dtype.kind in _PLOTTED_KINDS]
    if not plotted:
        return
    missing = [name for name in ("NX_class", "signal", "axes") if name not in group.attrs]
    for name in missing:
        wrong(f"its attribute {name!r} is missing")
    if missing:
        return
    signal = str(group.attrs["signal"])
    if signal not in columns:
        wrong(f"its attribute 'signal' names {signal!r}, which is no column")
        return
    _check_axes(columns[signal].node, _texts(group.attrs["axes"]), wrong)
    _check_others(columns, signal, _texts(group.attrs.get("auxiliary_signals", [])), wrong)


def _check_axes(signal: h5py.Dataset, axes: list[str], wrong: Any) -> None:
    expected = [TIME] + ["."] * (signal.ndim - 1)
    if axes != expected:
        wrong(f"its attribute 'axes' is {axes[:8]}, and should be {expected[:8]}")


def _check_others(
    columns: Mapping[str, Walked], signal: str, others: list[str], wrong: Any
) -> None:
    shape = columns[signal].node.shape[1:]
    for label in others:
        if label not in columns:
            wrong(f"its attribute 'auxiliary_signals' names {label!r}, which is no column")
        elif columns[label].node.shape[1:] != shape:
            wrong(f"its auxiliary signal {label!r} has another shape than {signal!r}")


def _texts(value: Any) -> list[str]:
    return [str(element) for element in np.atleast_1d(np.asarray(value, dtype=object))]


def check_scales(columns: Mapping[str, Walked], limited: Limited) -> None:
    """``time`` is the scale of the first axis of all columns, and the others have one too."""
    if len(columns) > MAX_SCALED_LABELS + 1:
        return
    time = columns[TIME]
    if "REFERENCE_LIST" not in time.attrs and len(columns) > 1:
        text = "it is attached to no column as a dimension scale"
        limited.add(ERROR, "scale", text, time.path, _MEND)
        return
    for label, column in columns.items():
        trouble = _scale_trouble(column, time) if label != TIME else ""
        if trouble:
            limited.add(ERROR, "scale", trouble, column.path, _MEND)


def _scale_trouble(column: Walked, time: Walked) -> str:
    lists = column.attrs.get("DIMENSION_LIST")
    if lists is None:
        return f"{TIME!r} is not attached to it as a dimension scale"
    try:
        counts = [len(references) for references in lists]
        if len(counts) != column.node.ndim or not all(counts):
            return "an axis of it has no dimension scale"
        first = column.node.file[lists[0][0]]
    except HDF5_ERRORS as error:
        return f"its dimension scales can't be followed: {brief(error)}"
    return "" if first == time.node else f"the scale of its first axis is not {TIME!r}"
