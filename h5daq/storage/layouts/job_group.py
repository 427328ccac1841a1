"""A job's group in a run file: one dataset per column, all of one length at every checkpoint.

The group is made with the job's first rows, as an NXdata that plots itself, or found again in a
file that an earlier writer left at a checkpoint. From then on rows go to its columns.
"""

from __future__ import annotations

from typing import Any

import h5py
import numpy as np

from h5daq.errors import FileDamaged
from h5daq.flow.batch import Batch, ColumnData
from h5daq.flow.chunks import chunk_rows, expected_rows, fill_value
from h5daq.flow.names import GROUP_ATTRIBUTES, is_own
from h5daq.flow.schema import TIME, Column, Schema
from h5daq.storage.filters import Filters
from h5daq.storage.layouts.attributes import clean_text, write_user_attributes
from h5daq.storage.layouts.columns import BinaryColumn, ChunkSink, TextColumn
from h5daq.storage.layouts.dimensions import TimeScale
from h5daq.storage.layouts.group_form import MOST_COMPACT
from h5daq.storage.layouts.groups import make_default, require_group
from h5daq.storage.layouts.heads import JobHead

__all__ = ["JobGroup", "expected"]

MAX_SCALED_LABELS = 1000
"""Attaching scales takes a time that grows with the square of their number."""

_LINK_BYTES, _ATTRIBUTE_BYTES = 26, 60
"""In a header, without their names."""

_PLOT_BYTES = 300
"""Of NX_class, signal, axes and auxiliary_signals, without the labels."""

_TEXT_BYTES = 16
"""Of each further text of a list; it stands elsewhere."""

_PLOTTED_KINDS = "iufc"
_NAN_KINDS = "fc"
_SINCE = {"f": "seconds since 1970-01-01 00:00:00", "i": "nanoseconds since 1970-01-01 00:00:00"}


def expected(head: JobHead, batch: Batch, write_period: float) -> int:
    """Rows that a few checkpoints will bring, judged by the job and its first batch."""
    times = batch.times()
    span = float(times[-1] - times[0])
    return expected_rows(batch.n, span, head.period, head.mode, write_period)


class JobGroup:
    """The datasets of one job.

    Parameters
    ----------
    schema : Schema
        The job's columns.
    columns : list of BinaryColumn or TextColumn
        In schema order.
    rows : int
        Rows that they have.
    """

    def __init__(self, schema: Schema, columns: list[BinaryColumn | TextColumn], rows: int) -> None:
        self.schema = schema
        self.rows = rows
        self.last_time: float | None = None
        self._columns = columns
        self._finished_rows = rows

    @classmethod
    def create(cls, file: h5py.File, head: JobHead, filters: Filters, expected: int) -> JobGroup:
        """Make the group and its datasets, empty.

        Parameters
        ----------
        file : h5py.File
            Open for writing.
        head : JobHead
            The job.
        filters : Filters
            Of all datasets but the text ones.
        expected : int
            Rows expected in a few checkpoints.
        """
        group = require_group(file, head.job, _room(head))
        write_user_attributes(group, head.attrs, GROUP_ATTRIBUTES)
        _make_plottable(file, group, head.schema)
        datasets = _create_all(file, group, head, filters, expected)
        pairs = zip(head.schema.columns, datasets, strict=True)
        return cls(head.schema, [_column(c, dataset, filters) for c, dataset in pairs], 0)

    @classmethod
    def load(cls, group: h5py.Group, schema: Schema, filters: Filters) -> JobGroup:
        """Find a job's datasets in a file, with their partial chunks.

        Raises
        ------
        ValueError
            If the job has other columns now.
        FileDamaged
            If the datasets differ in length.
        """
        _check_labels(group, schema)
        datasets = [_find(group, column) for column in schema.columns]
        lengths = {int(dataset.shape[0]) for dataset in datasets}
        if len(lengths) != 1:
            raise FileDamaged(f"group {group.name}: its datasets differ in length: {lengths}")
        pairs = zip(schema.columns, datasets, strict=True)
        columns = [_column(column, dataset, filters) for column, dataset in pairs]
        job = cls(schema, columns, lengths.pop())
        if job.rows:
            job.last_time = _seconds(datasets[0][job.rows - 1])
        return job

    @property
    def changed(self) -> bool:
        """Whether it has rows that no checkpoint holds."""
        return self.rows != self._finished_rows

    def append(self, batch: Batch, sink: ChunkSink) -> None:
        """Take rows; full chunks go on to `sink`.

        Raises
        ------
        ValueError
            If the batch can't be stored; then nothing of it was taken.
        """
        self._check(batch)
        for column, rows in zip(self._columns, batch.columns, strict=True):
            column.append(rows, sink)
        self.rows += batch.n
        self.last_time = batch.span.last

    def finish(self, file: h5py.File) -> None:
        """Bring all datasets to their common length, partial chunks included."""
        for column in self._columns:
            column.finish(file)
        self._finished_rows = self.rows

    def _check(self, batch: Batch) -> None:
        for column, rows in zip(self.schema.columns, batch.columns, strict=True):
            if len(rows) != batch.n:
                raise ValueError(f"label {column.label!r}: {len(rows)} rows in {batch.n}")
            if column.is_text:
                TextColumn.check(column.label, rows)
            elif (shape := _row_shape(rows)) != column.shape:
                raise ValueError(f"label {column.label!r}: rows of shape {shape}")


def _row_shape(rows: ColumnData) -> tuple[int, ...]:
    return rows.shape[1:] if isinstance(rows, np.ndarray) else np.shape(rows)[1:]


def _seconds(time: Any) -> float:
    return float(time) / 1e9 if np.asarray(time).dtype.kind == "i" else float(time)


# -- making and finding datasets ---------------------------------------------------------------


def _create_all(
    file: h5py.File, group: h5py.Group, head: JobHead, filters: Filters, expected: int
) -> list[h5py.Dataset]:
    """The datasets, each with all its attributes before the next one is made.

    The header of the newest object can still grow in its place; others grow in pieces elsewhere.
    """
    time, *others = head.schema.columns
    datasets = [_create(group, time, head, filters, expected)]
    scaled = len(others) <= MAX_SCALED_LABELS
    scale = TimeScale(file, datasets[0], len(others)) if scaled else None
    for column in others:
        datasets.append(_create(group, column, head, filters, expected))
        if scale:
            scale.attach(datasets[-1])
    if scale:
        scale.finish()
    return datasets


def _create(
    group: h5py.Group, column: Column, head: JobHead, filters: Filters, expected: int
) -> h5py.Dataset:
    rows = chunk_rows(column.row_bytes, expected, head.chunk_length, head.schema.row_bytes)
    options: dict[str, Any] = {"chunks": (rows, *column.shape), "maxshape": (None, *column.shape)}
    shape = (0, *column.shape)
    if column.is_text:
        # No filters: they would only see the references, and netCDF refuses them on strings.
        dataset = group.create_dataset(column.label, shape, h5py.string_dtype(), **options)
    else:
        options.update(filters.fit(column.dtype).dataset_options())
        if column.dtype.kind in _NAN_KINDS:
            # Zeros need no fill value of their own, and netCDF crashes on one of fixed bytes.
            options["fillvalue"] = fill_value(column)
        dataset = group.create_dataset(column.label, shape, column.dtype, **options)
    _describe(dataset, column)
    return dataset


def _column(column: Column, dataset: h5py.Dataset, filters: Filters) -> BinaryColumn | TextColumn:
    if column.is_text:
        return TextColumn(column, dataset)
    return BinaryColumn(column, dataset, filters.fit(column.dtype))


def _check_labels(group: h5py.Group, schema: Schema) -> None:
    found = {name for name in group if group.get(name, getclass=True) is h5py.Dataset}
    if found != set(schema.labels):
        different = ", ".join(sorted(found.symmetric_difference(schema.labels)))
        raise ValueError(
            f"group {group.name}: file and job don't have the same labels: {different}"
        )


def _find(group: h5py.Group, column: Column) -> h5py.Dataset:
    dataset = group.get(column.label)
    if not isinstance(dataset, h5py.Dataset) or not _matches(dataset, column):
        raise ValueError(
            f"group {group.name}: the file has other columns than the job now ({column.label!r})"
        )
    return dataset


def _matches(dataset: h5py.Dataset, column: Column) -> bool:
    is_text = h5py.check_string_dtype(dataset.dtype) is not None and dataset.dtype.kind == "O"
    same_type = is_text if column.is_text else dataset.dtype == column.dtype
    return same_type and dataset.shape[1:] == column.shape


# -- what other programs look at ---------------------------------------------------------------


def _describe(dataset: h5py.Dataset, column: Column) -> None:
    if column.label == TIME:
        dataset.attrs["units"] = _SINCE[column.dtype.kind]
        dataset.attrs["calendar"] = "proleptic_gregorian"
        dataset.attrs["standard_name"] = "time"
        dataset.attrs["long_name"] = "time (UTC)"
        return
    if column.unit:
        dataset.attrs["units"] = clean_text(column.unit)
    dataset.attrs["long_name"] = clean_text(column.description or column.label)


def _make_plottable(file: h5py.File, group: h5py.Group, schema: Schema) -> None:
    """Make the group an NXdata, reached from the root by a chain of ``default`` attributes."""
    plotted = [c for c in schema.columns[1:] if c.dtype.kind in _PLOTTED_KINDS]
    if not plotted:
        return
    signal = plotted[0]
    others = [c.label for c in plotted[1:] if c.shape == signal.shape]
    group.attrs["NX_class"] = "NXdata"
    group.attrs["signal"] = signal.label
    group.attrs["axes"] = _texts([TIME] + ["."] * len(signal.shape))
    if others:
        group.attrs["auxiliary_signals"] = _texts(others)
    path = group.name.strip("/")
    if not is_own(path):
        make_default(file, path)


def _room(head: JobHead) -> int | None:
    """Bytes that links and attributes will take in the header of the group, or a little more.

    None where the labels are too many for it.
    """
    labels = head.schema.labels
    if len(labels) > MOST_COMPACT:
        return None
    links = sum(_LINK_BYTES + len(label.encode()) for label in labels)
    users = sum(_ATTRIBUTE_BYTES + len(name) + _more(value) for name, value in head.attrs.items())
    return links + users + _PLOT_BYTES + _TEXT_BYTES * len(labels)


def _more(value: Any) -> int:
    """Bytes that a list takes."""
    return _TEXT_BYTES * len(value) if isinstance(value, list | tuple) else 0


def _texts(values: list[str]) -> Any:
    return np.array(values, dtype=h5py.string_dtype())
