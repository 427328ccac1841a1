"""Comments of a dataset: the guide's attribute, and a dataset for those that don't go into it.

An attribute is replaced as a whole, and what it held is lost space in the file; and its 64 KiB end
at 1,638 comments. So new comments go to the dataset ``/Comments`` beside, and the attribute takes
them in once they are worth it: it keeps the first ones, up to its limit, and the dataset those
that follow. Read one after the other they are in order.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import h5py
import numpy as np

from h5daq.storage.layouts.datavault_head import DATASET, text_of

__all__ = ["Comment", "add_comments", "gather_comments", "make_comments", "read_comments"]

MOST_IN_ATTRIBUTE = 1600
"""Comments that the attribute holds: 40 bytes each, and it has 64 KiB with its own description."""

SHARE = 16
"""The attribute takes in the others when they are more than this fraction (1/16) of its own."""

_CHUNK = 64
_NAME = "Comments"
_DTYPE = np.dtype(
    [("Timestamp", "<f8"), ("User", h5py.string_dtype()), ("Comment", h5py.string_dtype())]
)


class Comment(NamedTuple):
    """A comment, with its time in seconds since 1970-01-01 UTC."""

    time: float
    user: str
    comment: str


def make_comments(file: h5py.File) -> None:
    """The attribute, without comments."""
    file[DATASET].attrs.create(_NAME, np.zeros(0, dtype=_DTYPE))


def read_comments(file: h5py.File) -> list[Comment]:
    """All comments, in order."""
    found = [*file[DATASET].attrs.get(_NAME, ()), *_beside(file)]
    return [Comment(float(time), text_of(user), text_of(text)) for time, user, text in found]


def add_comments(file: h5py.File, comments: Sequence[Comment]) -> None:
    """Write comments behind those that are there."""
    held, beside = _held(file), len(_beside(file))
    if held < MOST_IN_ATTRIBUTE and (beside + len(comments)) * SHARE > held:
        _take_in(file, comments)
    else:
        _append(file, comments)


def gather_comments(file: h5py.File) -> bool:
    """Bring into the attribute what it can hold; True if that changed anything."""
    if _held(file) >= MOST_IN_ATTRIBUTE or not len(_beside(file)):
        return False
    _take_in(file, ())
    return True


def _held(file: h5py.File) -> int:
    attrs = file[DATASET].attrs
    return int(attrs.get_id(_NAME).shape[0]) if _NAME in attrs else 0


def _beside(file: h5py.File) -> Any:
    return file[_NAME][:] if _NAME in file else np.zeros(0, dtype=_DTYPE)


def _take_in(file: h5py.File, comments: Sequence[Comment]) -> None:
    every = [*read_comments(file), *comments]
    file[DATASET].attrs.create(_NAME, _array(every[:MOST_IN_ATTRIBUTE]))
    if _NAME in file:
        file[_NAME].resize((0,))
    if every[MOST_IN_ATTRIBUTE:]:
        _append(file, every[MOST_IN_ATTRIBUTE:])


def _append(file: h5py.File, comments: Sequence[Comment]) -> None:
    if _NAME not in file:
        file.create_dataset(_NAME, (0,), _DTYPE, maxshape=(None,), chunks=(_CHUNK,))
    dataset = file[_NAME]
    start = dataset.shape[0]
    dataset.resize((start + len(comments),))
    dataset[start:] = _array(comments)


def _array(comments: Sequence[Comment]) -> np.ndarray[Any, Any]:
    return np.array([tuple(comment) for comment in comments], dtype=_DTYPE)
