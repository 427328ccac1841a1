"""The newest value of one large array, small enough to be looked at again and again. Pure.

A live picture need not be the stored one: of an array that is larger than `MOST_BYTES` every
second, third … element along its longest axes is picked, which costs no more than copying these,
whatever the array's size. The numbers are not changed, and travel as bytes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from h5daq.errors import WireError
from h5daq.flow.batch import Batch
from h5daq.flow.schema import Schema

__all__ = ["MOST_BYTES", "glimpse_of", "read_glimpse", "strides"]

MOST_BYTES = 2 << 20
"""An image of 512 by 512 float64 goes whole; of larger ones elements are picked."""

_NUMBERS = "biufc"


def strides(shape: Sequence[int], most: int) -> list[int]:
    """Steps along each axis by which at most `most` elements are picked, large along long axes.

    Examples
    --------
    >>> strides((512, 512), 262_144), strides((2048, 1024, 3), 262_144), strides((10_000,), 4_000)
    ([1, 1], [7, 4, 1], [3])
    """
    steps = [1] * len(shape)
    while math.prod(sizes := [-(-n // step) for n, step in zip(shape, steps, strict=True)]) > most:
        steps[sizes.index(max(sizes))] += 1
    return steps


def glimpse_of(batch: Batch, schema: Schema, label: str) -> dict[str, Any] | None:
    """The newest value of a column of numbers, to be sent; None where there is none.

    Parameters
    ----------
    batch : Batch
        The newest rows.
    schema : Schema
        Of the job.
    label : str
        Which column.
    """
    if not batch.n or label not in schema.labels:
        return None
    column = schema.columns[schema.labels.index(label)]
    if column.is_text or column.dtype.kind not in _NUMBERS:
        return None
    value = np.asarray(batch.columns[schema.labels.index(label)][batch.n - 1])
    steps = strides(value.shape, MOST_BYTES // value.itemsize)
    picked = value[tuple(slice(None, None, step) for step in steps)]
    return {
        "time": float(batch.times()[-1]), "dtype": picked.dtype.str, "shape": list(picked.shape),
        "whole": list(value.shape), "data": picked.tobytes(),
    }  # fmt: skip


def read_glimpse(told: Mapping[str, Any]) -> tuple[float, NDArray[Any], tuple[int, ...]]:
    """Time (UTC seconds), the elements that were picked, and the shape of the whole array.

    Raises
    ------
    WireError
        If it is no glimpse.
    """
    try:
        dtype = np.dtype(str(told["dtype"]))
        if dtype.kind not in _NUMBERS:
            raise ValueError(f"{dtype} is no type of numbers")
        shape, whole = ([int(n) for n in told[name]] for name in ("shape", "whole"))
        picked = np.frombuffer(bytes(told["data"]), dtype).reshape(shape)
        return float(told["time"]), picked, tuple(whole)
    except (KeyError, TypeError, ValueError) as error:
        raise WireError(f"no glimpse of an array: {error}", cause="field") from error
