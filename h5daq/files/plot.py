"""A column as a plot of characters: a time series, or the newest waveform of an array column.

However many rows there are, as many points are drawn as the terminal can show: each stretch of
time gives its least and its largest value, so that a single spike in ten million rows is still to
be seen. Rows are read in blocks; memory stays small.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from h5daq.canvas import Curve, Size, draw, time_ticks
from h5daq.errors import ConfigError
from h5daq.files.group import Group
from h5daq.files.times import as_seconds, iso
from h5daq.storage.runs.contents import TIME, ColumnInfo

__all__ = ["checked_column", "plot_column", "series", "waveforms"]

MOST_CURVES = 8
"""Lines of a two-dimensional waveform that are drawn."""


def plot_column(
    group: Group, label: str, *, width: int = 80, height: int = 20, color: bool = True
) -> str:
    """A plot of a column, as lines of text.

    Parameters
    ----------
    group : Group
        The rows; a view made by `Group.between` gives a part.
    label : str
        The column: scalars are plotted over time, of arrays the newest row over its index.
    width, height : int
        Size in characters.
    color : bool
        Whether to colour the curves by escape sequences.

    Raises
    ------
    ConfigError
        If there is nothing that can be drawn.
    """
    column = checked_column(group, label)
    unit = f" [{column.unit}]" if column.unit else ""
    name = f"{group.name}/{label}{unit}"
    if column.shape:
        title = f"{name}  row of {iso(float(group[-1:].times[0]))}"
        return draw(waveforms(group, label), title, Size(width, height), color=color)
    curve = series(group, label, 2 * width)
    title = f"{name}  {len(group):,} rows"
    ticks = time_ticks(curve.x[np.isfinite(curve.y)], width)
    return draw([curve], title, Size(width, height), ticks=ticks, color=color)


def checked_column(group: Group, label: str) -> ColumnInfo:
    """The column, if it can be drawn; else a `ConfigError`."""
    if label not in group.columns:
        raise ConfigError(f"no column {label!r} in {group.name!r}: {', '.join(group.columns)}")
    column = group.columns[label]
    if column.dtype.kind not in "fiub":
        kind = "text" if column.is_text else str(column.dtype)
        raise ConfigError(f"column {label!r} is {kind}: only real numbers can be plotted")
    if not len(group):
        raise ConfigError(f"group {group.name!r} has no rows in that time")
    return column


# -- points ----------------------------------------------------------------------------------------


def series(group: Group, label: str, stretches: int) -> Curve:
    """A scalar column over time in at most ``2 * stretches`` points.

    The time between the first and the last row is cut into equal stretches; of each remain the
    least and the largest value, in the order in which they came. A stretch that has rows but no
    finite value among them is a gap: one NaN.
    """
    first, last = _span(group)
    width = (last - first) / stretches or 1.0
    extremes = _Extremes(stretches)
    for block in group.blocks():
        found = block.read(TIME, label)
        times, values = as_seconds(found[TIME]), found[label].astype(np.float64)
        extremes.add(np.clip((times - first) / width, 0, stretches - 1), times, values)
    return extremes.curve()


def _span(group: Group) -> tuple[float, float]:
    ends = [(t.min(), t.max()) for block in group.blocks() if np.isfinite(t := block.times).any()]
    if not ends:
        raise ConfigError(f"group {group.name!r} has no times that are numbers")
    lows, highs = zip(*ends, strict=True)
    return float(np.nanmin(lows)), float(np.nanmax(highs))


class _Extremes:
    """Least and largest value of each stretch, and when they were."""

    def __init__(self, stretches: int) -> None:
        self._low = np.full(stretches, np.inf)
        self._high = np.full(stretches, -np.inf)
        self._low_at, self._high_at = np.full(stretches, np.nan), np.full(stretches, np.nan)
        self._rows = np.zeros(stretches, bool)

    def add(self, place: NDArray[Any], times: NDArray[Any], values: NDArray[Any]) -> None:
        timed = np.isfinite(times)
        self._rows[place[timed].astype(np.intp)] = True
        known = timed & np.isfinite(values)
        index, times, values = place[known].astype(np.intp), times[known], values[known]
        np.minimum.at(self._low, index, values)
        np.maximum.at(self._high, index, values)
        is_low, is_high = values == self._low[index], values == self._high[index]
        self._low_at[index[is_low]] = times[is_low]
        self._high_at[index[is_high]] = times[is_high]

    def curve(self) -> Curve:
        gap = self._rows & (self._low > self._high)
        low, high = np.where(gap, np.nan, self._low), np.where(gap, np.nan, self._high)
        x = np.stack([self._low_at, self._high_at], axis=1)[self._rows]
        y = np.stack([low, high], axis=1)[self._rows]
        order = np.argsort(x, axis=1, kind="stable")
        x = np.take_along_axis(x, order, 1).ravel()
        y = np.take_along_axis(y, order, 1).ravel()
        # A stretch with a single value is one point, and a gap needs no place on the axis.
        once = np.append(True, (np.diff(x) != 0) | (np.diff(y) != 0))
        return Curve(x[once], y[once])


def waveforms(group: Group, label: str) -> list[Curve]:
    """The newest row of an array column: a curve for each line along its last axis.

    Raises
    ------
    ConfigError
        If these are more lines than can be told apart.
    """
    newest = group[-1:].read(label)[label][0].astype(np.float64)
    lines = newest.reshape(-1, newest.shape[-1])
    if len(lines) > MOST_CURVES:
        raise ConfigError(
            f"a row of {label!r} has the shape {newest.shape}, that is {len(lines)} lines; at most "
            f"{MOST_CURVES} can be plotted"
        )
    return [Curve(np.arange(len(line), dtype=np.float64), line) for line in lines]
