"""Comments of a dataset: the guide's attribute, and a dataset for those that don't go into it.

An attribute is replaced as a whole, and what it held is lost space in the file; and its 64 KiB end
at 1,638 comments. So new comments go to the dataset ``/Comments`` beside, and the attribute takes
them in once they are worth it: it keeps the first ones, up to its limit, and the dataset those
that follow. Read one after the other they are in order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import h5py
import numpy as np

from h5daq.storage.layouts.datavault_head import DATASET, text_of

__all__ = [
    "Comment",
    "CommentPlace",
    "add_comments",
    "gather_comments",
    "make_comments",
    "read_comments",
]

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


@dataclass(frozen=True, slots=True)
class CommentPlace:
    """Where comments stand in a file: paths of what has the attribute, and of the dataset."""

    holder: str = DATASET
    beside: str = _NAME


_VAULT = CommentPlace()


def make_comments(file: h5py.File, place: CommentPlace = _VAULT) -> None:
    """The attribute, without comments."""
    file[place.holder].attrs.create(_NAME, np.zeros(0, dtype=_DTYPE))


def read_comments(file: h5py.File, place: CommentPlace = _VAULT) -> list[Comment]:
    """All comments, in order."""
    found = [*file[place.holder].attrs.get(_NAME, ()), *_beside(file, place)]
    return [Comment(float(time), text_of(user), text_of(text)) for time, user, text in found]


def add_comments(
    file: h5py.File, comments: Sequence[Comment], place: CommentPlace = _VAULT
) -> None:
    """Write comments behind those that are there."""
    held, beside = _held(file, place), len(_beside(file, place))
    if held < MOST_IN_ATTRIBUTE and (beside + len(comments)) * SHARE > held:
        _take_in(file, comments, place)
    else:
        _append(file, comments, place)


def gather_comments(file: h5py.File, place: CommentPlace = _VAULT) -> bool:
    """Bring into the attribute what it can hold; True if that changed anything."""
    if _held(file, place) >= MOST_IN_ATTRIBUTE or not len(_beside(file, place)):
        return False
    _take_in(file, (), place)
    return True


def _held(file: h5py.File, place: CommentPlace) -> int:
    attrs = file[place.holder].attrs
    return int(attrs.get_id(_NAME).shape[0]) if _NAME in attrs else 0


def _beside(file: h5py.File, place: CommentPlace) -> Any:
    return file[place.beside][:] if place.beside in file else np.zeros(0, dtype=_DTYPE)


def _take_in(file: h5py.File, comments: Sequence[Comment], place: CommentPlace) -> None:
    every = [*read_comments(file, place), *comments]
    file[place.holder].attrs.create(_NAME, _array(every[:MOST_IN_ATTRIBUTE]))
    if place.beside in file:
        file[place.beside].resize((0,))
    if every[MOST_IN_ATTRIBUTE:]:
        _append(file, every[MOST_IN_ATTRIBUTE:], place)


def _append(file: h5py.File, comments: Sequence[Comment], place: CommentPlace) -> None:
    if place.beside not in file:
        file.create_dataset(place.beside, (0,), _DTYPE, maxshape=(None,), chunks=(_CHUNK,))
    dataset = file[place.beside]
    start = dataset.shape[0]
    dataset.resize((start + len(comments),))
    dataset[start:] = _array(comments)


def _array(comments: Sequence[Comment]) -> np.ndarray[Any, Any]:
    return np.array([tuple(comment) for comment in comments], dtype=_DTYPE)
