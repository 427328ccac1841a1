"""The tree of an HDF5 file: groups, columns with dtype, shape and unit, rows, times, losses.

`describe` reads it once into plain records and closes the file; `as_tree` draws them with rich,
`as_lines` as plain text, `as_dict` for JSON. Any HDF5 file has a tree; run files say more.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
from rich.filesize import decimal
from rich.text import Text
from rich.tree import Tree

from h5daq.files.times import iso
from h5daq.storage.opening import open_for_reading
from h5daq.storage.runs.contents import (
    ColumnInfo,
    GroupInfo,
    column_info,
    lost_in,
    read_attrs,
    read_group,
)

__all__ = ["FileTree", "Node", "as_dict", "as_lines", "as_tree", "describe"]


_LAST_JUMPS = 3
"""Of a clock that was set more often, these are enough to see it."""


@dataclass(slots=True)
class Node:
    """A group: what it has as a job (None if it is none), its other datasets, its subgroups.

    A job that lost all its rows has losses, but no columns.
    """

    name: str
    info: GroupInfo | None
    lost: dict[str, int] = field(default_factory=dict)
    datasets: list[tuple[ColumnInfo, tuple[int, ...]]] = field(default_factory=list)
    groups: list[Node] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class FileTree:
    """A file: path, size in bytes, attributes of the root, and the root group."""

    path: Path
    size: int
    attrs: dict[str, Any]
    root: Node


def describe(path: str | os.PathLike[str], patience: float = 5.0) -> FileTree:
    """Read the tree of a file, also of one that a run is writing.

    Raises
    ------
    StorageError
        If the file can't be opened.
    """
    with open_for_reading(path, patience) as file:
        return FileTree(Path(path), Path(path).stat().st_size, read_attrs(file), _node(file, file))


def _node(file: h5py.File, group: h5py.Group) -> Node:
    info = read_group(file, group.name) if group.name != "/" else None
    node = Node(group.name.rpartition("/")[2], info, lost_in(read_attrs(group)))
    columns = info.columns if info else {}
    for name in group:
        if not isinstance(group.get(name, getlink=True), h5py.HardLink):
            continue
        item = group[name]
        if isinstance(item, h5py.Group):
            node.groups.append(_node(file, item))
        elif isinstance(item, h5py.Dataset) and name not in columns:
            node.datasets.append((column_info(name, item), item.shape or ()))
    return node


# -- the words -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Line:
    """One line of the tree: a name, what it is, a remark, a warning."""

    name: str
    kind: str = ""
    remark: str = ""
    warning: str = ""


def _file_line(tree: FileTree) -> _Line:
    attrs = tree.attrs
    parts = [decimal(tree.size)]
    if attrs.get("name"):
        parts.append(f"run {attrs['name']!r}")
    if _is_time(attrs.get("run_start")):
        parts.append(f"since {iso(attrs['run_start'])}")
    interrupted = "interrupted" if attrs.get("interrupted") else ""
    return _Line(str(tree.path), "", ", ".join(parts), interrupted)


def _is_time(value: object) -> bool:
    return isinstance(value, int | float) and value == value


def _group_line(node: Node) -> _Line:
    info = node.info
    warnings = [f"lost {n:,} ({cause})" for cause, n in node.lost.items()]
    if info is None:
        return _Line(node.name + "/", warning=", ".join(warnings))
    span = f"{iso(info.first_time)} … {iso(info.last_time)}" if info.rows else ""
    if info.late:
        warnings.append(f"{info.late:,} late")
    if info.restarts:
        warnings.append(f"{len(info.restarts)} restarts")
    if info.clock_jumps:
        sizes = ", ".join(f"{size:+.4g} s" for _, size in info.clock_jumps[-_LAST_JUMPS:])
        warnings.append(f"clock set {sizes}")
    rows = f"{info.rows:,} row{'' if info.rows == 1 else 's'}"
    return _Line(node.name + "/", rows, span, ", ".join(warnings))


def _column_line(column: ColumnInfo) -> _Line:
    shape = " × ".join(str(size) for size in column.shape)
    dtype = "text" if column.is_text else str(column.dtype)
    unit = f"[{_unit(column)}]" if column.unit else ""
    return _Line(column.label, " ".join(p for p in (dtype, shape, unit) if p), column.description)


def _unit(column: ColumnInfo) -> str:
    # CF spells out since when; that is long, and the same in every run file.
    seconds, _, since = column.unit.partition(" since 1970-01-01")
    short = {"seconds": "s", "nanoseconds": "ns"}.get(seconds, seconds)
    return short if since else column.unit


def _dataset_line(column: ColumnInfo, shape: tuple[int, ...]) -> _Line:
    dtype = "text" if column.is_text else str(column.dtype)
    return _Line(column.label, f"{dtype} {shape}" if shape else dtype, column.description)


def _children(node: Node) -> Iterator[tuple[_Line, Node | None]]:
    for column in node.info.columns.values() if node.info else ():
        yield _column_line(column), None
    for column, shape in node.datasets:
        yield _dataset_line(column, shape), None
    for group in node.groups:
        yield _group_line(group), group


# -- the pictures --------------------------------------------------------------------------------


def as_tree(tree: FileTree) -> Tree:
    """The tree for a ``rich`` console."""
    drawn = Tree(_text(_file_line(tree)), guide_style="dim")
    _grow(drawn, tree.root)
    return drawn


def _grow(branch: Tree, node: Node) -> None:
    for line, group in _children(node):
        child = branch.add(_text(line))
        if group is not None:
            _grow(child, group)


def _text(line: _Line) -> Text:
    bold = line.name.endswith("/")
    text = Text(_clean(line.name), "bold" if bold else "")
    for part, style in ((line.kind, "cyan"), (line.remark, "dim"), (line.warning, "red")):
        if part:
            text.append("  ").append(_clean(part), style)
    return text


def as_lines(tree: FileTree) -> list[str]:
    """The tree as plain text, indented by two spaces per level."""
    lines: list[str] = []

    def put(line: _Line, depth: int) -> None:
        parts = [line.name, line.kind, line.remark, line.warning]
        lines.append("  " * depth + "  ".join(_clean(part) for part in parts if part))

    put(_file_line(tree), 0)
    _walk(tree.root, 1, put)
    return lines


def _walk(node: Node, depth: int, put: Callable[[_Line, int], None]) -> None:
    for line, group in _children(node):
        put(line, depth)
        if group is not None:
            _walk(group, depth + 1, put)


def _clean(text: str) -> str:
    # Names and units are text of other people: they must not move the cursor.
    return "".join(c if c.isprintable() else "·" for c in text)


def as_dict(tree: FileTree) -> dict[str, Any]:
    """The tree as plain values, for JSON."""
    attrs = {key: _plain(value) for key, value in tree.attrs.items()}
    return {"path": str(tree.path), "size": tree.size, "attrs": attrs, **_node_dict(tree.root)}


def _node_dict(node: Node) -> dict[str, Any]:
    told: dict[str, Any] = {"lost": node.lost} if node.lost else {}
    if node.info is not None:
        info = node.info
        told = {
            "rows": info.rows, "first_time": info.first_time, "last_time": info.last_time,
            "lost": info.lost, "late": info.late, "restarts": len(info.restarts),
            "clock_jumps": info.clock_jumps,
            "columns": {c.label: _column_dict(c) for c in info.columns.values()},
        }  # fmt: skip
    if node.datasets:
        told["datasets"] = {c.label: {**_column_dict(c), "shape": list(shape)}
                            for c, shape in node.datasets}  # fmt: skip
    if node.groups:
        told["groups"] = {group.name: _node_dict(group) for group in node.groups}
    return told


def _column_dict(column: ColumnInfo) -> dict[str, Any]:
    dtype = "text" if column.is_text else column.dtype.str
    return {
        "dtype": dtype, "shape": list(column.shape), "unit": column.unit,
        "description": column.description,
    }  # fmt: skip


def _plain(value: Any) -> Any:
    if isinstance(value, float) and value != value:
        return None
    if isinstance(value, str | int | float | bool | None):
        return value
    return value.tolist() if hasattr(value, "tolist") else str(value)
