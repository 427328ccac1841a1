"""The exam of a file layout: what the writer's checkpoints rely on, whatever the file looks like.

`check_layout` drives a layout through a run: rows of several jobs in batches of awkward lengths,
checkpoints, a writer that dies between two of them, a successor that goes on, a seal. After each
step the file is read by plain h5py, and it must hold exactly the rows of the last checkpoint, with
all columns of a job of one length. A layout of your own passes it, or can't be trusted with rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import h5py
import numpy as np

from h5daq.flow.batch import Batch, ColumnData
from h5daq.flow.schema import TIME, Column, Schema
from h5daq.storage.layouts.heads import JobHead

__all__ = ["Layout", "check_layout", "check_rows", "sample_batch", "sample_jobs"]

_LENGTHS = (1, 3, 50, 4, 7, 64, 1, 30)
"""Rows of the batches: within a chunk, across one, several chunks at once."""


class Layout(Protocol):
    """The part of `h5daq.storage.layouts.run.RunFile` that the exam knows."""

    @property
    def lsn(self) -> int:
        """Position of the last checkpoint."""
        ...

    @property
    def last_time(self) -> float | None:
        """Seconds of the newest row."""
        ...

    def rows(self, job: str) -> int:
        """Rows of a job."""
        ...

    def append(self, job: JobHead, batch: Batch) -> None:
        """Take rows."""
        ...

    def checkpoint(
        self,
        lsn: int,
        *,
        losses: Mapping[str, Mapping[str, int]] | None = None,
        restarts: Iterable[tuple[str, float, str]] = (),
        jumps: Mapping[str, Sequence[Sequence[float]]] | None = None,
    ) -> Any:
        """Bring all rows into the file."""
        ...

    def seal(
        self,
        *,
        run_end: float | None,
        file_end: float,
        following_file_id: int,
        interrupted: bool = False,
        new_path: Path,
    ) -> Path | None:
        """End the file."""
        ...

    def abort(self) -> None:
        """Give up what no checkpoint holds."""
        ...


def sample_jobs() -> list[JobHead]:
    """Jobs with every kind of column, nested, with chunks of few rows.

    Returns
    -------
    list of JobHead
        Their ``chunk_length`` is small, so that short runs fill chunks.
    """
    kinds = ("?", "i1", "u2", "i8", "u8", "f2", "f4", "f8", "c8", "c16", "S5")
    scalars = [Column(f"of {kind}", np.dtype(kind)) for kind in kinds]
    arrays = [Column("wave", np.dtype("f4"), (7,)), Column("image", np.dtype("u1"), (2, 3))]
    return [
        JobHead("tank", Schema.of([Column("T", np.dtype("f8"), unit="K")]), chunk_length=8),
        JobHead(
            "tank/inner/all",
            Schema.of([*scalars, Column("text", np.dtype(object))]),
            chunk_length=10,
        ),
        JobHead("camera", Schema.of(arrays, "i8"), chunk_length=5),
    ]


def check_layout(
    create: Callable[[Path], Layout], reopen: Callable[[Path], Layout], directory: Path
) -> None:
    """Examine a layout.

    Parameters
    ----------
    create, reopen : callable
        Make a file at a path that is free, and go on with one at its last checkpoint.
    directory : Path
        Empty, for the exam's files.

    Raises
    ------
    AssertionError
        Naming the job and the column that is not as it should be.
    """
    path, jobs, last = directory / "exam.hdf5", sample_jobs(), directory / "sealed.hdf5"
    counts = dict.fromkeys((job.job for job in jobs), 0)
    layout = create(path)
    for step, n in enumerate(_LENGTHS, start=1):
        _append(layout, jobs, counts, n)
        layout.checkpoint(step)
        _check(path, jobs, counts)
        layout = _die_and_return(layout, reopen, path, jobs, counts, step)
    assert layout.last_time == max(_time(job, counts[job.job] - 1) for job in jobs)
    sealed = layout.seal(run_end=1.0, file_end=1.0, following_file_id=0, new_path=last)
    assert sealed == last, f"sealed as {sealed}"
    assert [found.name for found in directory.iterdir()] == [last.name]
    _check(last, jobs, counts)


def _die_and_return(
    layout: Layout,
    reopen: Callable[[Path], Layout],
    path: Path,
    jobs: list[JobHead],
    counts: dict[str, int],
    step: int,
) -> Layout:
    """Every other time, rows without a checkpoint are lost, and a successor takes over."""
    if step % 2:
        return layout
    _append(layout, jobs, dict(counts), 40)
    layout.abort()
    _check(path, jobs, counts)
    again = reopen(path)
    assert again.lsn == step, f"reopened at {again.lsn}, the last checkpoint was {step}"
    for name, count in counts.items():
        assert again.rows(name) == count, f"{name}: {again.rows(name)} rows, {count} expected"
    return again


def _append(layout: Layout, jobs: list[JobHead], counts: dict[str, int], n: int) -> None:
    for job in jobs:
        layout.append(job, sample_batch(job, counts[job.job], n))
        counts[job.job] += n


def _check(path: Path, jobs: list[JobHead], counts: dict[str, int]) -> None:
    with h5py.File(path, "r") as file:
        for job in jobs:
            check_rows(file[job.job], job, counts[job.job])


def sample_batch(job: JobHead, first: int, n: int) -> Batch:
    """Rows ``first … first + n - 1`` of a job, whose values tell their number.

    ``time`` is the number itself (seconds or nanoseconds), numbers are it modulo 100.
    """
    columns = tuple(_values(column, first, n) for column in job.schema.columns)
    return Batch(job.job, 1, first, n, columns)


def check_rows(group: h5py.Group, job: JobHead, n: int) -> None:
    """Make sure that `group` holds the first `n` rows of `sample_batch`, and no others.

    Raises
    ------
    AssertionError
        Naming the dataset.
    """
    for column in job.schema.columns:
        _check_column(group[column.label], column, n)


def _check_column(dataset: h5py.Dataset, column: Column, n: int) -> None:
    assert dataset.maxshape[0] is None, f"{dataset.name}: its first axis can't grow"
    found = dataset.asstr()[:] if column.is_text else dataset[:]
    np.testing.assert_array_equal(found, _values(column, 0, n), err_msg=dataset.name)


def _values(column: Column, first: int, n: int) -> ColumnData:
    """Rows that tell their number."""
    if column.is_text:
        return [f"row {i}: \N{DEGREE SIGN}" for i in range(first, first + n)]
    numbers = np.arange(first, first + n)
    if column.dtype.kind == "S":
        return np.array([f"{i % 100}".encode() for i in numbers], column.dtype)
    rows = numbers if column.label == TIME else numbers % 100
    shape = (n, *(1 for _ in column.shape))
    return np.tile(rows.astype(column.dtype).reshape(shape), (1, *column.shape))


def _time(job: JobHead, row: int) -> float:
    return row / 1e9 if job.schema.columns[0].dtype.kind == "i" else float(row)
