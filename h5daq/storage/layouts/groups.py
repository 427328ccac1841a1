"""The tree of groups: made in order of creation, and pointing at what to plot first."""

from __future__ import annotations

import h5py
from h5py import h5g, h5p, h5t

__all__ = ["make_default", "require_group"]

_MOST_IN_HEADER = 65535
"""Attributes; HDF5 takes no larger number."""


def require_group(file: h5py.File, path: str) -> h5py.Group:
    """The group at `path`; it and those above it are made where missing.

    Raises
    ------
    ValueError
        If something in the path is a dataset.
    """
    node: h5py.Group = file
    for part in path.split("/"):
        child = node.get(part)
        if child is None:
            child = _new_group(node, part)
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


def _new_group(node: h5py.Group, name: str) -> h5py.Group:
    """A group whose attributes all stand in its header.

    By default HDF5 moves more than eight of them to a heap, and in there (seen with 1.14 and 2.0)
    it spoils its own state when one that grows, as the times of restarts do, is written some sixty
    times: from then on the file can't be closed any more. In the header that does not happen.
    """
    in_order = h5p.CRT_ORDER_TRACKED | h5p.CRT_ORDER_INDEXED
    properties = h5p.create(h5p.GROUP_CREATE)
    properties.set_link_creation_order(in_order)
    properties.set_attr_creation_order(in_order)
    properties.set_attr_phase_change(_MOST_IN_HEADER, 0)
    link = h5p.create(h5p.LINK_CREATE)
    link.set_char_encoding(h5t.CSET_UTF8)
    return h5py.Group(h5g.create(node.id, name.encode(), lcpl=link, gcpl=properties))
