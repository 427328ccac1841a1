"""Columns of time as seconds, whichever way a job or a file keeps them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["as_seconds"]


def as_seconds(time: NDArray[Any]) -> NDArray[np.float64]:
    """A ``time`` column, of float seconds or integer nanoseconds, as float64 seconds."""
    if time.dtype.kind in "iu":
        return np.asarray(time / 1e9, np.float64)
    return np.asarray(time, np.float64)
