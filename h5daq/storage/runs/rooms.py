"""Where the columns of a page are read to: memory that is asked for once, not for each of them.

Fresh memory costs as much as what is read into it. So the columns of a reply lie one after the
other in one piece, from which they are sent; and where each is only to be copied on to elsewhere,
they have one place in turn.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Room", "row_of_rooms", "same_room"]

Room = Callable[[np.dtype[Any], tuple[int, ...]], NDArray[Any] | None]
"""Gives an array of a dtype and shape to read into; None if there is no place for it."""


def row_of_rooms(size: int) -> Room:
    """Arrays one after the other in `size` bytes.

    Examples
    --------
    >>> room = row_of_rooms(20)
    >>> first, second = room(np.dtype("f8"), (1,)), room(np.dtype("i4"), (3,))
    >>> first.base is second.base, second[1:].shape
    (True, (2,))
    >>> room(np.dtype("u1"), (1,))
    """
    whole, end = np.empty(size, np.uint8), 0

    def room(dtype: np.dtype[Any], shape: tuple[int, ...]) -> NDArray[Any] | None:
        nonlocal end
        begin, end = end, end + dtype.itemsize * math.prod(shape)
        if end > size or begin % dtype.alignment:
            return None
        return whole[begin:end].view(dtype).reshape(shape)

    return room


def same_room(size: int) -> Room:
    """Arrays in the same `size` bytes: each is overwritten by the next."""
    whole = np.empty(size, np.uint8)

    def room(dtype: np.dtype[Any], shape: tuple[int, ...]) -> NDArray[Any] | None:
        length = dtype.itemsize * math.prod(shape)
        return whole[:length].view(dtype).reshape(shape) if length <= size else None

    return room
