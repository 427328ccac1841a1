"""The tree of groups: made in order of creation, and pointing at what to plot first."""

from __future__ import annotations

import h5py

__all__ = ["make_default", "require_group"]


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
            child = node.create_group(part, track_order=True)
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
