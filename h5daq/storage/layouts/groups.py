"""The tree of groups: made in order of creation, and pointing at what to plot first."""

from __future__ import annotations

import h5py
from h5py import h5g, h5p, h5t

from h5daq.storage.layouts.group_form import group_properties

__all__ = ["make_default", "require_group"]

_SOME_ROOM = 160
"""Bytes in the header of a group of groups: a few links, and the attribute ``default``."""


def require_group(file: h5py.File, path: str, room: int | None = _SOME_ROOM) -> h5py.Group:
    """The group at `path`; it and those above it are made where missing.

    Parameters
    ----------
    file : h5py.File
        Open for writing.
    path : str
        Names with slashes between them.
    room : int or None
        Bytes of links and attributes that are about to come into it, as for `group_properties`.

    Raises
    ------
    ValueError
        If something in the path is a dataset.
    """
    node: h5py.Group = file
    parts = path.split("/")
    for depth, part in enumerate(parts, start=1):
        child = node.get(part)
        if child is None:
            child = _new_group(node, part, room if depth == len(parts) else _SOME_ROOM)
        if not isinstance(child, h5py.Group):
            raise ValueError(f"{path!r}: {child.name!r} is a dataset, not a group")
        node = child
    return node


def make_default(file: h5py.File, path: str) -> None:
    """Let the chain of ``default`` attributes (NeXus) lead to `path`, unless it leads elsewhere."""
    node: h5py.Group = file
    for part in path.split("/"):
        node.attrs.setdefault("default", part)
        node = node[part]


def _new_group(node: h5py.Group, name: str, room: int | None) -> h5py.Group:
    link = h5p.create(h5p.LINK_CREATE)
    link.set_char_encoding(h5t.CSET_UTF8)
    return h5py.Group(h5g.create(node.id, name.encode(), lcpl=link, gcpl=group_properties(room)))
