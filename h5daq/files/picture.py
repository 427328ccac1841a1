"""A plot of a column as a PNG, by matplotlib.

It draws the same points as the plot in the terminal (`h5daq.files.plot`), so a picture of a year
is as small as that of a minute, and no peak is missing.
"""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import numpy as np

from h5daq.errors import StorageError
from h5daq.files.extras import optional
from h5daq.files.group import Group
from h5daq.files.plot import checked_column, series, waveforms
from h5daq.files.times import iso
from h5daq.storage.runs.contents import ColumnInfo

__all__ = ["save_png"]

_INCHES, _DOTS = (10.0, 5.0), 120
_STRETCHES = 1200


def save_png(group: Group, label: str, path: Path) -> None:
    """Draw a column into a PNG file: scalars over time, of arrays the newest row.

    Parameters
    ----------
    group : Group
        The rows.
    label : str
        The column.
    path : Path
        The picture; replaced if it is there.

    Raises
    ------
    ConfigError
        If there is nothing that can be drawn.
    MissingExtra
        If matplotlib is not installed.
    StorageError
        If the file can't be written.
    """
    column = checked_column(group, label)
    figure_type = optional("matplotlib.figure", "plot").Figure
    figure = figure_type(figsize=_INCHES, dpi=_DOTS, layout="constrained")
    axes = figure.add_subplot()
    (_draw_waveforms if column.shape else _draw_series)(axes, group, column)
    axes.set_ylabel(f"{label} [{column.unit}]" if column.unit else label)
    axes.grid(alpha=0.3)
    try:
        figure.savefig(path, format="png")
    except OSError as error:
        text = f"can't be written: {error.strerror or error}"
        raise StorageError(error.errno or errno.EIO, text, str(path)) from error


def _draw_series(axes: Any, group: Group, column: ColumnInfo) -> None:
    curve = series(group, column.label, _STRETCHES)
    times = (curve.x * 1e3).astype("datetime64[ms]")
    axes.plot(times, curve.y, linewidth=1)
    axes.set_title(f"{group.name}: {len(group):,} rows")
    axes.set_xlabel("UTC")


def _draw_waveforms(axes: Any, group: Group, column: ColumnInfo) -> None:
    for number, curve in enumerate(waveforms(group, column.label)):
        axes.plot(np.asarray(curve.x), curve.y, linewidth=1, label=str(number))
    if len(axes.lines) > 1:
        axes.legend(fontsize="small")
    axes.set_title(f"{group.name}: row of {iso(float(group[-1:].times[0]))}")
    axes.set_xlabel("index")
