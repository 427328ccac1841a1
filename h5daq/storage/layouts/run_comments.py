"""Comments about a job, at its group: three attributes side by side, one entry per comment.

``Comments`` has the texts, ``Comments.User`` who said them, ``Comments.Timestamp`` when. The Data
Vault guide has one array of such triples; but on an attribute of that type netCDF4 gives up
the whole group, and a comment must not cost anybody the rows.

A replaced attribute of texts is lost room in the file, and 64 KiB are its end. So new comments go
to datasets beside, ``/.h5daq/Comments/<group>/``, and the attributes take them in once they are
worth it, and at the file's end. Of more than there is room for, the attributes keep the first.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import h5py
import numpy as np

from h5daq.flow.names import COMMENTS
from h5daq.storage.layouts.datavault_comments import Comment
from h5daq.storage.layouts.datavault_head import text_of

__all__ = ["ATTRIBUTES", "BESIDE", "add_comments", "gather_comments", "read_comments"]

MOST_IN_ATTRIBUTE = 4000
"""Comments in the attributes: a text takes 16 bytes of the 64 KiB that one may have."""

SHARE = 16
"""They take in the others when those are more than this fraction (1/16) of their own."""

_CHUNK = 64
BESIDE = "/.h5daq/Comments"
"""The group of the datasets beside."""
_TEXT = h5py.string_dtype()
_COLUMNS = {"Timestamp": np.dtype("<f8"), "User": _TEXT, "Comment": _TEXT}
ATTRIBUTES = (f"{COMMENTS}.Timestamp", f"{COMMENTS}.User", COMMENTS)
"""When, who, what."""


def read_comments(file: h5py.File, group: str) -> list[Comment]:
    """All comments about a group, in order."""
    return [*_held(file, group), *_beside(file, group)]


def add_comments(file: h5py.File, group: str, comments: Sequence[Comment]) -> None:
    """Write comments behind those that are there."""
    held, beside = len(_held(file, group)), len(_beside(file, group))
    if held < MOST_IN_ATTRIBUTE and (beside + len(comments)) * SHARE > held:
        _take_in(file, group, comments)
    else:
        _append(file, group, comments)


def gather_comments(file: h5py.File, group: str) -> None:
    """Bring into the attributes what they can hold."""
    if len(_held(file, group)) < MOST_IN_ATTRIBUTE and _beside(file, group):
        _take_in(file, group, ())


def _held(file: h5py.File, group: str) -> list[Comment]:
    attrs = file[group].attrs
    # A user's own attribute of such a name, in a file of another program, is none of ours.
    if not all(name in attrs for name in ATTRIBUTES):
        return []
    return _comments(attrs[name] for name in ATTRIBUTES)


def _beside(file: h5py.File, group: str) -> list[Comment]:
    found = file.get(_path(group))
    return [] if found is None else _comments(found[name][:] for name in _COLUMNS)


def _comments(columns: Any) -> list[Comment]:
    rows = zip(*map(np.atleast_1d, columns), strict=True)
    return [Comment(float(time), text_of(user), text_of(text)) for time, user, text in rows]


def _take_in(file: h5py.File, group: str, comments: Sequence[Comment]) -> None:
    every = [*read_comments(file, group), *comments]
    first, rest = every[:MOST_IN_ATTRIBUTE], every[MOST_IN_ATTRIBUTE:]
    for name, values in zip(ATTRIBUTES, _arrays(first), strict=True):
        file[group].attrs[name] = values
    for dataset in file[_path(group)].values() if _path(group) in file else ():
        dataset.resize((0,))
    if rest:
        _append(file, group, rest)


def _append(file: h5py.File, group: str, comments: Sequence[Comment]) -> None:
    beside = file.require_group(_path(group))
    for (name, dtype), values in zip(_COLUMNS.items(), _arrays(comments), strict=True):
        if name not in beside:
            # As columns have it: checksums, but none of references to texts.
            checked = dtype != _TEXT or None
            beside.create_dataset(
                name, (0,), dtype, maxshape=(None,), chunks=(_CHUNK,), fletcher32=checked
            )
        start = len(beside[name])
        beside[name].resize((start + len(values),))
        beside[name][start:] = values


def _arrays(comments: Sequence[Comment]) -> list[Any]:
    columns = zip(*comments, strict=True)
    return [np.array(v, d) for v, d in zip(columns, _COLUMNS.values(), strict=True)]


def _path(group: str) -> str:
    # One link: a path of groups could meet a dataset of the same name.
    return f"{BESIDE}/{group.replace('%', '%p').replace('/', '%f')}"
