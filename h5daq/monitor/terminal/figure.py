"""A job's column as a curve of characters: over time, or of an array the newest one.

Drawn by `h5daq.canvas`, as `h5daq plot` draws. Points beyond what the place can show are thinned
out before, to the least and the largest of each stretch.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.text import Text

from h5daq.canvas import Curve, Size, Ticks, draw, time_ticks
from h5daq.errors import ConfigError
from h5daq.monitor.job import JobPicture

__all__ = ["MOST_LINES", "figure"]

MOST_LINES = 8
"""Lines of a two-dimensional array that are drawn."""


def figure(job: JobPicture, label: str, size: Size) -> Text:
    """What is known of a column, or why there is nothing to draw."""
    array = job.array(label)
    if array is None and label in job.shapes:
        return Text("waiting for the newest row; arrays over 8,192 elements are not sent", "dim")
    try:
        drawn = _over_time(job, label, size) if array is None else _array(array, size)
    except ConfigError as error:
        return Text(str(error).partition(": ")[2], "dim")
    return Text.from_ansi(drawn, no_wrap=True)


def _over_time(job: JobPicture, label: str, size: Size) -> str:
    history = job.histories.get(label)
    if history is None:
        known = job.last.get(label)
        kind = "no value yet" if known is None else "only numbers are drawn"
        raise ConfigError(f"{label}: {kind}; of each job the first columns are followed")
    times, values = (np.array(part) for part in history.points())
    ticks = time_ticks(times, size.width, zone=None)
    return draw([Curve(times, values)], "", size, ticks=ticks)


def _array(array: list[Any], size: Size) -> str:
    try:
        values = np.array(array, np.float64)
    except (TypeError, ValueError) as error:
        raise ConfigError("array: only numbers are drawn") from error
    lines = values.reshape(-1, values.shape[-1])[:MOST_LINES]
    curves = [_thin(line, 2 * size.width) for line in lines]
    return draw(curves, "", size, ticks=_index_ticks(lines.shape[-1], size.width))


def _index_ticks(length: int, width: int) -> Ticks:
    """Round places along the axis."""
    room = max(2, width // 10)
    scale = 10.0 ** np.arange(10)
    step = next(s for s in np.outer(scale, (1, 2, 5)).ravel() if length / s <= room)
    positions = [float(place) for place in np.arange(0, length, step)]
    return Ticks(positions, [f"{place:.0f}" for place in positions])


def _thin(line: NDArray[np.float64], most: int) -> Curve:
    """Least and largest of each stretch, if there are more points than that."""
    step = -(-len(line) // most) * 2
    index = np.arange(len(line), dtype=np.float64)
    if step <= 2:
        return Curve(index, line)
    blocks = np.pad(line, (0, -len(line) % step), mode="edge").reshape(-1, step)
    x = index[::step].repeat(2)
    x[1::2] += step / 2
    return Curve(x, np.stack([blocks.min(axis=1), blocks.max(axis=1)], axis=1).ravel())
