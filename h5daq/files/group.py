"""A `Group`: the rows of one job over all files of a recording, read when they are asked for.

It is a view: slicing, `Group.between` and masks give another view and read nothing but, at most,
the times. The rows are those that were in the files when the view was made; rows that come later
stand behind them and are seen by a view made later.

Where the files of a run differ in their columns (a job was changed), a column is read with a dtype
that holds them all; where a file lacks it, floats are NaN, text is empty.
"""

from __future__ import annotations

import errno
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from h5daq.errors import ConfigError, ConfigKeyError, StorageError
from h5daq.files.times import Moment, as_seconds, seconds_of
from h5daq.storage.runs.catalog import Catalog
from h5daq.storage.runs.columns import filler, joined, read_values
from h5daq.storage.runs.contents import TIME, FileHead, GroupInfo

if TYPE_CHECKING:
    import pandas as pd  # type: ignore[import-untyped]
    import xarray as xr

__all__ = ["Group", "Piece"]

BLOCK_ROWS = 1 << 20
"""Rows whose times are looked at in one go."""

Rows = range | NDArray[np.int64]
"""Numbers of rows, ascending."""


@dataclass(frozen=True, slots=True)
class Piece:
    """The rows of one file: where they are, and the number of the first one in the whole."""

    head: FileHead
    info: GroupInfo
    first: int


class Group:
    """The rows of one job.

    Parameters
    ----------
    name : str
        The job's group.
    pieces : sequence of Piece
        Its part in each file, in order.
    catalog : Catalog
        Opens the files.
    rows : range or ndarray of int64, optional
        Numbers of the rows in view; all of them if left out.

    Attributes
    ----------
    columns : dict of str to ColumnInfo
        Label, dtype, shape of a row, unit and description; ``time`` first.
    attrs : dict
        Attributes of the group, as the newest file has them.
    """

    def __init__(
        self, name: str, pieces: Sequence[Piece], catalog: Catalog, rows: Rows | None = None
    ) -> None:
        self.name = name
        self._pieces, self._catalog = tuple(pieces), catalog
        last = pieces[-1]
        self._rows: Rows = range(last.first + last.info.rows) if rows is None else rows
        self.columns = joined([piece.info for piece in pieces])
        self.attrs: dict[str, Any] = {k: v for p in pieces for k, v in p.info.attrs.items()}

    def __len__(self) -> int:
        return len(self._rows)

    def __repr__(self) -> str:
        labels = ", ".join(self.columns)
        return f"<Group {self.name!r}: {len(self)} rows of {labels} in {len(self._pieces)} files>"

    def __contains__(self, label: object) -> bool:
        return label in self.columns

    def __getitem__(self, key: str | int | slice | NDArray[np.bool_]) -> Any:
        """A column by label, a row by number (a dict), a view by slice or by mask.

        Returns
        -------
        ndarray, dict or Group
            ``group["T"]`` has the shape ``(len(group), *shape of a row)``.
        """
        if isinstance(key, str):
            return self.read(key)[key]
        if isinstance(key, slice):
            return self._view(self._rows[_forward(key)])
        if isinstance(key, np.ndarray):
            return self._view(np.asarray(self._rows, np.int64)[_mask(key, len(self))])
        return self._row(key)

    @property
    def time(self) -> NDArray[Any]:
        """The column ``time`` as it is kept: float64 seconds, or int64 nanoseconds."""
        return self.read(TIME)[TIME]

    @property
    def times(self) -> NDArray[np.float64]:
        """UTC seconds since 1970-01-01 of each row, however they are kept."""
        return as_seconds(self.time)

    @property
    def lost(self) -> dict[str, int]:
        """Rows that could not be kept, by cause, over all runs in view."""
        return _over_runs([(piece.head, piece.info.lost) for piece in self._pieces])

    @property
    def late(self) -> int:
        """Rows that came after the file of their time was sealed, and stand in a later one."""
        counts = [(piece.head, {"late": piece.info.late}) for piece in self._pieces]
        return _over_runs(counts).get("late", 0)

    @property
    def restarts(self) -> list[tuple[float, str]]:
        """When the job's worker was started again (UTC seconds), and why."""
        return sorted({restart for piece in self._pieces for restart in piece.info.restarts})

    def between(self, start: Moment | None = None, end: Moment | None = None) -> Group:
        """The rows with ``start <= time < end``, in the order in which they were taken.

        Parameters
        ----------
        start, end : float, str, datetime or datetime64, optional
            UTC seconds since 1970, or a date; without a zone it is UTC. None is without end.

        Raises
        ------
        ConfigError
            If one of them can't be read as a time.
        """
        low = -np.inf if start is None else seconds_of(start)
        high = np.inf if end is None else seconds_of(end)
        # Every time is looked at: a clock that was set back leaves them out of order.
        chosen = [
            begin + np.flatnonzero((times >= low) & (times < high))
            for begin, times in self._time_blocks()
        ]
        return self._chosen(np.concatenate(chosen) if chosen else np.empty(0, np.int64))

    def read(self, *labels: str) -> dict[str, NDArray[Any]]:
        """Several columns in one pass through the files.

        Parameters
        ----------
        *labels : str
            Which ones; all if none is named.

        Returns
        -------
        dict of str to ndarray
            Each of shape ``(len(group), *shape of a row)``; text as objects of type ``str``.

        Raises
        ------
        ConfigKeyError
            If there is no such column.
        StorageError
            If a file can't be read, or a column changed its shape between two files.
        """
        wanted = labels or tuple(self.columns)
        found = {label: self._room(label) for label in wanted}
        for piece, target, source in self._parts():
            with self._catalog.open(piece.head) as file:
                for label in [label for label in wanted if label in piece.info.columns]:
                    dataset = file[piece.info.name][label]
                    found[label][target] = read_values(dataset, piece.info.columns[label], source)
        return found

    def blocks(self, rows: int = BLOCK_ROWS) -> Iterator[Group]:
        """The view in pieces of at most `rows` rows, for what does not fit into memory."""
        return (self[begin : begin + rows] for begin in range(0, len(self), rows))

    def to_xarray(self) -> xr.Dataset:
        """All columns in memory, with ``time`` as ``datetime64[ns]`` (UTC) and units.

        Raises
        ------
        MissingExtra
            If xarray is not installed.
        """
        from h5daq.files.frames import to_xarray

        return to_xarray(self)

    def to_pandas(self) -> pd.DataFrame:
        """All columns in memory, one row per time (UTC); arrays stand in the cells as they are.

        Raises
        ------
        MissingExtra
            If pandas is not installed.
        """
        from h5daq.files.frames import to_pandas

        return to_pandas(self)

    # -- rows ----------------------------------------------------------------------------------

    def _view(self, rows: Rows) -> Group:
        return Group(self.name, self._pieces, self._catalog, rows)

    def _chosen(self, places: NDArray[np.int64]) -> Group:
        if len(places) and len(places) == places[-1] - places[0] + 1:
            return self[int(places[0]) : int(places[-1]) + 1]  # type: ignore[no-any-return]
        return self._view(np.asarray(self._rows, np.int64)[places])

    def _row(self, number: int) -> dict[str, Any]:
        index = range(len(self))[number]
        return {k: v[0] for k, v in self._view(self._rows[index : index + 1]).read().items()}

    def _time_blocks(self) -> Iterator[tuple[int, NDArray[np.float64]]]:
        for number, block in enumerate(self.blocks()):
            yield number * BLOCK_ROWS, block.times

    def _parts(self) -> Iterator[tuple[Piece, slice, slice | NDArray[np.int64]]]:
        """For each file: where its rows go to, and where they are in it."""
        for piece in self._pieces:
            begin = bisect_left(self._rows, piece.first)
            end = bisect_left(self._rows, piece.first + piece.info.rows)
            if end > begin:
                yield piece, slice(begin, end), _local(self._rows[begin:end], piece.first)

    def _room(self, label: str) -> NDArray[Any]:
        if label not in self.columns:
            known = ", ".join(self.columns)
            raise ConfigKeyError(f"group {self.name!r} has no column {label!r}; it has: {known}")
        column = self.columns[label]
        for piece in self._pieces:
            here = piece.info.columns.get(label)
            if here is not None and here.shape != column.shape:
                raise StorageError(
                    errno.EINVAL,
                    f"column {label!r} has rows of shape {here.shape}, later {column.shape}: read "
                    "the files one by one",
                    str(piece.head.path),
                )
        return np.full((len(self), *column.shape), filler(column.dtype), column.dtype)


def _over_runs(counts: Sequence[tuple[FileHead, dict[str, int]]]) -> dict[str, int]:
    """Within a run counts go on from file to file: its largest is the run's; runs add up."""
    runs: dict[tuple[str | None, float | None], dict[str, int]] = {}
    for head, here in counts:
        run = runs.setdefault((head.run_id, head.run_start), {})
        run.update({cause: max(n, run.get(cause, 0)) for cause, n in here.items()})
    causes = dict.fromkeys(cause for run in runs.values() for cause in run)
    return {cause: sum(run.get(cause, 0) for run in runs.values()) for cause in causes}


def _forward(rows: slice) -> slice:
    if rows.step is not None and rows.step < 1:
        raise ConfigError(f"rows are read forwards: a step of {rows.step} is not possible")
    return rows


def _mask(mask: NDArray[Any], rows: int) -> NDArray[np.bool_]:
    if mask.dtype != np.bool_ or mask.shape != (rows,):
        raise ConfigError(
            f"a mask is one bool per row, {rows} here, not {mask.dtype} of shape {mask.shape}"
        )
    return mask


def _local(rows: Rows, first: int) -> slice | NDArray[np.int64]:
    if isinstance(rows, range):
        return slice(rows[0] - first, rows[-1] - first + 1, rows.step)
    return rows - first
