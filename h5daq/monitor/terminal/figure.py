"""A job's column in characters: a curve over time, or the newest array as curves or an image.

Drawn by `h5daq.canvas`, as `h5daq plot` draws. Points beyond what the place can show are thinned
out before, to the least and the largest of each stretch.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.text import Text

from h5daq.canvas import Curve, Size, Ticks, draw, time_ticks
from h5daq.errors import ConfigError
from h5daq.monitor.job import JobPicture
from h5daq.monitor.thin import Floats, as_image, real, resized

__all__ = ["MOST_LINES", "Known", "figure", "image", "known"]

MOST_LINES = 8
"""Lines of a two-dimensional array that are drawn as curves; of more, the array is an image."""

MOST_PIXELS = 400


@dataclass(frozen=True, slots=True)
class Known:
    """What there is to draw of a column: an array, or values over time, or a note why not."""

    array: list[Any] | NDArray[Any] | None = None
    times: list[float] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    note: str = ""


def known(job: JobPicture, label: str) -> Known:
    """What is known of a column now; quick, for who holds the picture's lock."""
    array, history = job.array(label), job.histories.get(label)
    if array is not None:
        return Known(array)
    if label in job.shapes:
        return Known(note="waiting for the newest row")
    if history is None:
        return Known(note="only numbers are drawn, and of each job the first columns")
    return Known(None, *history.points())


def figure(column: Known, size: Size) -> Text:
    """The curve, or the note."""
    if column.note:
        return Text(column.note, "dim")
    try:
        if column.array is None:
            return Text.from_ansi(_over_time(column, size), no_wrap=True)
        values = _numbers(column.array)
        if values.ndim > 1 and values.size // values.shape[-1] > MOST_LINES:
            return image(values, size)
        return Text.from_ansi(_array(values, size), no_wrap=True)
    except ConfigError as error:
        return Text(str(error).strip(": "), "dim")


def _over_time(column: Known, size: Size) -> str:
    times, values = np.array(column.times), np.array(column.values)
    ticks = time_ticks(times, size.width, zone=None)
    return draw([Curve(times, values)], "", size, ticks=ticks)


def _numbers(array: list[Any] | NDArray[Any]) -> Floats:
    try:
        return real(array) if isinstance(array, np.ndarray) else np.array(array, np.float64)
    except (TypeError, ValueError) as error:
        raise ConfigError("only numbers are drawn") from error


def image(values: Floats, size: Size) -> Text:
    """Greys, two of them above each other in each character, in the image's own proportions.

    What is no number is left dark.
    """
    picture = as_image(values, MOST_PIXELS)
    high, wide = values.size // values.shape[-1], values.shape[-1]
    across = max(1, min(size.width, 2 * size.height * wide // high))
    down = 2 * max(1, min(size.height, round(across * high / wide / 2)))
    picture = resized(picture, (down, across))
    there = picture[np.isfinite(picture)]
    low, span = (there.min(), np.ptp(there) or 1.0) if there.size else (0.0, 1.0)
    grey = np.clip(np.nan_to_num(255.0 * ((picture - low) / span)), 0.0, 255.0).astype(int)
    lines = (_half_blocks(*pair) for pair in zip(grey[::2], grey[1::2], strict=True))
    return Text("\n", no_wrap=True).join(lines)


def _half_blocks(above: NDArray[Any], below: NDArray[Any]) -> Text:
    line = Text()
    for over, under in zip(above.tolist(), below.tolist(), strict=True):
        line.append("▀", f"rgb({over},{over},{over}) on rgb({under},{under},{under})")
    return line


def _array(values: Floats, size: Size) -> str:
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
