"""Every object of an HDF5 file, whatever shape it is in.

Groups are gone through one by one, each once, however many links lead to it; so links in a circle
do no harm. Soft and external links are told apart and never followed. Each error of HDF5 becomes a
finding about the object that it was met at, and the walk goes on beside it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Any

import h5py

from h5daq.files.verify.telling import HDF5_ERRORS, Limited

__all__ = ["Walked", "walk"]


@dataclass(slots=True)
class Walked:
    """An object that could be opened.

    Attributes
    ----------
    path : str
        Where it was found first.
    node : h5py.Group, h5py.Dataset or h5py.Datatype
        The object.
    attrs : dict
        Those of its attributes that could be read.
    members : dict of str to str
        Of a group: names, and ``"group"``, ``"dataset"``, ``"type"`` or ``"link"``.
    """

    path: str
    node: Any
    attrs: dict[str, Any] = field(default_factory=dict)
    members: dict[str, str] = field(default_factory=dict)

    @property
    def is_group(self) -> bool:
        """Whether it is a group."""
        return isinstance(self.node, h5py.Group)


def walk(file: h5py.File, limited: Limited, skip: Collection[str]) -> Iterator[Walked]:
    """All objects of a file that can be opened, the root first.

    Parameters
    ----------
    file : h5py.File
        Open for reading.
    limited : Limited
        Told what can't be opened or read.
    skip : collection of str
        Paths that are left out, since HDF5 crashed at them before.
    """
    seen: set[Any] = set()
    waiting: list[tuple[str, Any]] = [("/", file["/"])]
    while waiting:
        path, node = waiting.pop()
        limited.told.at(path)
        if not _is_new(node, path, seen, limited):
            continue
        found = Walked(path, node, _attributes(node, path, limited))
        if found.is_group:
            children = _children(found, limited, skip)
            waiting.extend(reversed(children))
        yield found


def _is_new(node: Any, path: str, seen: set[Any], limited: Limited) -> bool:
    try:
        info = h5py.h5o.get_info(node.id)
        key = (int(info.fileno), int(info.addr))
    except HDF5_ERRORS as error:
        limited.broken(path, "the object's header can't be read", error)
        return False
    new = key not in seen
    seen.add(key)
    return new


def _attributes(node: Any, path: str, limited: Limited) -> dict[str, Any]:
    try:
        names = list(node.attrs)
    except HDF5_ERRORS as error:
        limited.broken(path, "its attributes can't be listed", error)
        return {}
    found = {}
    for name in names:
        try:
            found[name] = node.attrs[name]
        except HDF5_ERRORS as error:
            limited.broken(path, f"its attribute {name!r} can't be read", error)
    return found


def _children(group: Walked, limited: Limited, skip: Collection[str]) -> list[tuple[str, Any]]:
    try:
        names = list(group.node)
    except HDF5_ERRORS as error:
        limited.broken(group.path, "its members can't be listed", error)
        return []
    children = []
    for name in names:
        path = f"{group.path.rstrip('/')}/{name}"
        if path in skip:
            continue
        limited.told.at(path)
        child = _child(group, name, path, limited)
        if child is not None:
            children.append((path, child))
    return children


def _child(group: Walked, name: str, path: str, limited: Limited) -> Any:
    try:
        link = group.node.get(name, getlink=True)
        if not isinstance(link, h5py.HardLink):
            group.members[name] = "link"
            return None
        node = group.node[name]
    except HDF5_ERRORS as error:
        limited.broken(path, "it can't be opened", error)
        return None
    kinds = ((h5py.Group, "group"), (h5py.Dataset, "dataset"))
    group.members[name] = next((k for t, k in kinds if isinstance(node, t)), "type")
    return node
