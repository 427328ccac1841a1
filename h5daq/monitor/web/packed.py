"""Arrays in a JSON message: base64 of little-endian floats, which a page reads without parsing."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np

__all__ = ["doubles", "singles"]


def doubles(values: Any) -> str:
    """Float64, for times and for values on an axis.

    Examples
    --------
    >>> doubles([1.0])
    'AAAAAAAA8D8='
    """
    return base64.b64encode(np.ascontiguousarray(values, "<f8").tobytes()).decode()


def singles(values: Any) -> str:
    """Float32, for colours."""
    with np.errstate(over="ignore"):
        return base64.b64encode(np.ascontiguousarray(values, "<f4").tobytes()).decode()
