"""Fewer points that look the same: what a screen can show, and no more goes over the wire. Pure.

Of a curve, each stretch keeps its least and its largest value, so a peak of one sample is seen; of
rows that become the lines of an image, neighbours are averaged.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Floats", "as_image", "as_lines", "averaged", "envelope", "joined", "real", "resized"]

Floats = NDArray[np.float64]

GAP_STEPS = 5.0
"""Rows that are further apart than so many steps have others between that are not known."""

MOST_LINES = 16
"""Curves of one row that are told apart; of more, the row is an image."""


def real(values: Any) -> Floats:
    """Numbers as float64: of complex ones the magnitude, of others NaN."""
    array = np.asarray(values)
    if array.dtype.kind == "c":
        array = np.abs(array)
    if array.dtype.kind in "biuf":
        return array.astype(np.float64)
    return np.full(array.shape, np.nan)


def envelope(x: Floats, ys: dict[str, Floats], points: int) -> tuple[Floats, dict[str, Floats]]:
    """At most about `points` points of curves over the same `x`.

    Each stretch becomes two points, at its ends, with the least and the largest value.

    Examples
    --------
    >>> x, ys = envelope(np.arange(100.0), {"y": np.eye(1, 100, 37)[0]}, 10)
    >>> len(x), float(ys["y"].max())
    (10, 1.0)
    """
    if len(x) <= points:
        return x, ys
    width = -(-len(x) // (points // 2))
    begins = np.arange(0, len(x), width)
    ends = np.minimum(begins + width, len(x)) - 1
    where = np.column_stack([x[begins], x[ends]]).ravel()
    return where, {label: _extremes(y, begins) for label, y in ys.items()}


def joined(
    past: Floats, before: dict[str, Floats], times: Floats, columns: dict[str, Floats]
) -> tuple[Floats, dict[str, Floats]]:
    """Rows that were kept, and behind them those that were heard of later ones.

    Where rows between are not known yet, a row of NaN keeps curves from being drawn across.

    Examples
    --------
    >>> x, ys = joined(np.arange(3.0), {}, np.array([2.0, 30.0, 31.0]), {"y": np.ones(3)})
    >>> x.tolist(), ys["y"].tolist()
    ([0.0, 1.0, 2.0, 2.0, 30.0, 31.0], [nan, nan, nan, nan, 1.0, 1.0])
    """
    last = np.nanmax(past)
    new = times > last
    # A lonely new row says nothing yet: of a job that is triggered it is the next one.
    steps = [float(np.median(np.diff(known))) for known in (past, times[new]) if len(known) > 1]
    far = np.count_nonzero(new) > 1 and times[new][0] - last > GAP_STEPS * max(steps)
    gap = [np.nan] if far else []
    found = {
        label: np.concatenate([before.get(label, np.full(len(past), np.nan)), gap, column[new]])
        for label, column in columns.items()
    }
    return np.concatenate([past, [last] if far else [], times[new]]), found


def _extremes(y: Floats, begins: NDArray[np.intp]) -> Floats:
    low, high = np.fmin.reduceat(y, begins), np.fmax.reduceat(y, begins)
    return np.column_stack([low, high]).ravel()


def averaged(values: Floats, most: int, axis: int) -> Floats:
    """At most `most` values along an axis: means of neighbours.

    Examples
    --------
    >>> averaged(np.arange(6.0), 3, 0).tolist()
    [0.5, 2.5, 4.5]
    """
    length = values.shape[axis]
    if length <= most:
        return values
    begins = np.arange(0, length, -(-length // most))
    counts = np.diff([*begins, length])
    shape = [1] * values.ndim
    shape[axis] = len(counts)
    sums: Floats = np.add.reduceat(values, begins, axis=axis) / counts.reshape(shape)
    return sums


def resized(values: Floats, shape: tuple[int, int]) -> Floats:
    """An image in just so many lines and columns: the nearest elements, after means of neighbours.

    Examples
    --------
    >>> resized(np.arange(6.0).reshape(2, 3), (4, 3)).tolist()
    [[0.0, 1.0, 2.0], [0.0, 1.0, 2.0], [3.0, 4.0, 5.0], [3.0, 4.0, 5.0]]
    """
    small = averaged(averaged(values, shape[0], 0), shape[1], 1)
    down, across = (np.arange(n) * have // n for n, have in zip(shape, small.shape, strict=True))
    picked: Floats = small[np.ix_(down, across)]
    return picked


def as_image(row: Floats, most: int) -> Floats:
    """One row of any shape as an image of at most `most` by `most`.

    Colours (a last axis of 3 or 4 behind two others) become grey; further axes go below each other.
    """
    if row.ndim == 3 and row.shape[2] in (3, 4):
        row = row[:, :, :3].mean(axis=2)
    flat = row.reshape(1, -1) if row.ndim < 2 else row.reshape(-1, row.shape[-1])
    return averaged(averaged(flat, most, 0), most, 1)


def as_lines(row: Floats, points: int) -> tuple[Floats, list[Floats]]:
    """One row as curves over the sample's number: one, or one for each of a few channels."""
    table = row.reshape(1, -1) if row.ndim < 2 else row.reshape(-1, row.shape[-1])
    lines = {str(i): line for i, line in enumerate(table[:MOST_LINES])}
    x, ys = envelope(np.arange(float(table.shape[1])), lines, points)
    return x, list(ys.values())
