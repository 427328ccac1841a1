"""From a damaged file into a new one: each object that can be read, each chunk that is whole.

The walk asks a reader in another process (`h5daq.files.salvage_link`) and writes what it answers.
Chunks are carried over as they are stored. Without a target it only looks, and notes what would
be lost.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import h5py
import numpy as np
from h5py import h5a, h5d, h5p, h5s, h5t

from h5daq.files.salvage_link import ReaderLink, Unreadable

__all__ = ["Copier"]

_BLOCK_BYTES = 8 << 20
_BLOCK_OBJECTS = 1024
_LEAF_BYTES = 4096
_MOST_DEATHS = 16
"""So often may libhdf5 crash or hang on parts of one dataset before the rest of it is given up."""

_MOST_LOST = 5
"""Lost chunks of a dataset that are told one by one."""

_OF_SCALES = ("DIMENSION_LIST", "REFERENCE_LIST")
_WRITING = (OSError, RuntimeError, ValueError, TypeError, KeyError)


class Copier:
    """Walks through a file.

    Parameters
    ----------
    link : ReaderLink
        Who reads.
    target : h5py.File, optional
        Where to; without it nothing is copied.

    Attributes
    ----------
    lost : list of (str, str)
        Objects, and what of them could not be read and why.
    groups, datasets : int
        How many were found.
    """

    def __init__(self, link: ReaderLink, target: h5py.File | None = None) -> None:
        self._link, self._target = link, target
        self.lost: list[tuple[str, str]] = []
        self.groups = self.datasets = 0
        self._known: dict[int, str] = {}
        self._later: list[tuple[str, str, Any]] = []

    def walk(self) -> None:
        """Go through all of it, from the root on."""
        self._attributes("/")
        pending = ["/"]
        while pending:
            pending += self._group(pending.pop(0))
        for path, name, value in self._later:
            self._refer(path, name, value)

    # -- groups --------------------------------------------------------------------------------

    def _group(self, path: str) -> list[str]:
        """Copy what a group holds; the groups in it."""
        self.groups += path != "/"
        try:
            links = self._link.ask("links", path)
        except Unreadable as error:
            self._lose(path, f"what the group holds: {error}")
            return []
        found = []
        for name, kind, what in links:
            inner = f"{path.rstrip('/')}/{name}"
            if self._entry(inner, kind, what):
                found.append(inner)
        return found

    def _entry(self, path: str, kind: str, what: Any) -> bool:
        """Copy one link and what it leads to; whether that is a group to go into."""
        if kind == "lost":
            self._lose(path, str(what))
        elif kind == "soft":
            self._put(path, h5py.SoftLink(what))
        elif kind == "external":
            self._put(path, h5py.ExternalLink(*what))
        elif what in self._known:
            self._put_again(path, self._known[what])
        else:
            self._known[what] = path
            return self._object(path, kind)
        return False

    def _object(self, path: str, kind: str) -> bool:
        if kind == "group":
            if self._target is not None:
                self._target.create_group(path)
        elif kind == "dataset":
            self.datasets += 1
            if not self._dataset(path):
                return False
        else:
            self._type(path)
        self._attributes(path)
        return kind == "group"

    def _put(self, path: str, link: Any) -> None:
        if self._target is not None:
            self._target[path] = link

    def _put_again(self, path: str, known: str) -> None:
        """A second name of one object."""
        if self._target is not None and known in self._target:
            self._target[path] = self._target[known]

    def _type(self, path: str) -> None:
        try:
            encoded = self._link.ask("type", path)
            if self._target is not None:
                h5t.decode(encoded).commit(self._target.id, path.encode())
        except (Unreadable, *_WRITING) as error:
            self._lose(path, f"the type: {error}")

    # -- attributes ----------------------------------------------------------------------------

    def _attributes(self, path: str) -> None:
        try:
            found = self._link.ask("attributes", path)
        except Unreadable as error:
            self._lose(path, f"its attributes: {error}")
            return
        for name, value in found:
            if value[0] == "lost":
                if name not in _OF_SCALES:
                    self._lose(f"{path}@{name}", str(value[1]))
            elif self._target is not None:
                self._attribute(path, name, value)

    def _attribute(self, path: str, name: str, value: Any) -> None:
        if value[0] in ("references", "reference lists"):
            # What they refer to may not be there yet.
            self._later.append((path, name, value))
            return
        try:
            self._write_attribute(path, name, *value)
        except _WRITING as error:
            self._lose(f"{path}@{name}", str(error))

    def _write_attribute(
        self, path: str, name: str, form: str, encoded: bytes, shape: Any, data: Any
    ) -> None:
        assert self._target is not None
        kind, owner = h5t.decode(encoded), self._target[path]
        if form == "values":
            owner.attrs.create(name, data.reshape(shape), shape=shape, dtype=kind.dtype)
            return
        space = h5s.create(h5s.NULL) if shape is None else _space(shape)
        attr = h5a.create(owner.id, name.encode(), kind, space)
        if shape is not None:
            attr.write(np.frombuffer(data, f"V{kind.get_size()}").reshape(shape), mtype=kind)

    def _refer(self, path: str, name: str, value: Any) -> None:
        assert self._target is not None
        form, shape, targets = value
        try:
            if form == "reference lists":
                self._scales(path, name, targets)
                return
            refs = np.empty(len(targets), h5py.ref_dtype)
            refs[:] = [self._target[t].ref if t else h5py.Reference() for t in targets]
            self._target[path].attrs.create(name, refs.reshape(shape), dtype=h5py.ref_dtype)
        except _WRITING as error:
            self._lose(f"{path}@{name}", str(error))

    def _scales(self, path: str, name: str, targets: list[list[str | None]]) -> None:
        assert self._target is not None
        if name != "DIMENSION_LIST":
            raise TypeError("lists of references can't be carried over")
        for dimension, scales in enumerate(targets):
            for scale in filter(None, scales):
                self._target[path].dims[dimension].attach_scale(self._target[scale])

    # -- datasets ------------------------------------------------------------------------------

    def _dataset(self, path: str) -> bool:
        """Copy a dataset; False if not even an empty one could be made."""
        try:
            about = self._link.ask("dataset", path)
            if about["virtual"]:
                raise Unreadable("it is virtual: its data lie in other files")
            made = None if self._target is None else self._make(path, about)
        except (Unreadable, *_WRITING) as error:
            self._lose(path, f"the whole dataset: {error}")
            return False
        if about["shape"] is None:
            return True
        if about["chunks"] and not about["objects"]:
            self._chunks(path, made)
        else:
            self._rows(path, about, made)
        return True

    def _make(self, path: str, about: dict[str, Any]) -> h5py.Dataset:
        assert self._target is not None
        kind, plist = h5t.decode(about["type"]), h5p.create(h5p.DATASET_CREATE)
        if about["chunks"]:
            plist.set_chunk(about["chunks"])
        for code, flags, values in about["filters"]:
            plist.set_filter(code, flags, tuple(values))
        if about["fill"] is not None:
            plist.set_fill_value(np.frombuffer(about["fill"], kind.dtype).reshape(()))
        shape = about["shape"]
        maxshape = about["maxshape"] if about["chunks"] else shape
        space = h5s.create(h5s.NULL) if shape is None else _space(shape, maxshape)
        h5d.create(self._target.id, path.encode(), kind, space, plist)
        return self._target[path]

    def _chunks(self, path: str, made: h5py.Dataset | None) -> None:
        try:
            count = len(self._link.ask("places", path))
        except Unreadable as error:
            self._lose(path, f"all data: {error}")
            return
        bad, first = [], 0
        while first < count:
            following, found = self._some_chunks(path, first, made is not None)
            for place, mask, raw in found:
                if mask is None:
                    bad.append((place, str(raw)))
                elif made is not None and raw:
                    made.id.write_direct_chunk(place, raw, mask)
            first = following
        self._lose_chunks(path, bad, count)

    def _some_chunks(self, path: str, first: int, send: bool) -> tuple[int, list[Any]]:
        """Chunks in one go; one by one where the reader dies of one of them."""
        for most in (1 << 10, 1):
            try:
                answer: tuple[int, list[Any]] = self._link.ask("chunks", path, first, most, send)
                return answer
            except Unreadable as error:
                why = str(error)
        return first + 1, [((first,), None, why)]

    def _lose_chunks(self, path: str, bad: list[Any], count: int) -> None:
        if bad:
            told = "; ".join(f"at {list(place)}: {why}" for place, why in bad[:_MOST_LOST])
            more = f"; and {len(bad) - _MOST_LOST} more" if len(bad) > _MOST_LOST else ""
            self._lose(path, f"{len(bad)} of {count} chunks, filled instead: {told}{more}")

    def _rows(self, path: str, about: dict[str, Any], made: h5py.Dataset | None) -> None:
        """Copy what is not in chunks, or refers to other places, block by block."""
        shape = about["shape"]
        count = shape[0] if shape else 1
        row_bytes = max(1, about["size"] * int(np.prod(shape[1:])))
        step = _BLOCK_OBJECTS if about["objects"] else max(1, _BLOCK_BYTES // row_bytes)
        leaf = 1 if about["objects"] else max(1, _LEAF_BYTES // row_bytes)
        source = _Source(self._link, path, made, leaf)
        bad = [lost for first in range(0, count, step)
               for lost in source.block(first, min(step, count - first))]  # fmt: skip
        if bad:
            rows = sum(n for _, n, _ in bad)
            self._lose(path, f"{rows} of {count} rows, filled instead, from row {bad[0][0]} on: "
                             f"{bad[0][2]}")  # fmt: skip

    def _lose(self, path: str, what: str) -> None:
        self.lost.append((path, what))


@dataclass(slots=True)
class _Source:
    """The rows of one dataset; `made` is where they go, `leaf` the rows not worth halving."""

    link: ReaderLink
    path: str
    made: h5py.Dataset | None
    leaf: int
    _deaths: int = field(init=False)

    def __post_init__(self) -> None:
        self._deaths = self.link.deaths

    def block(self, first: int, n: int) -> Iterator[tuple[int, int, str]]:
        """Copy rows, in halves where they can't be read at once; first, number, why of the lost."""
        why = self._copy(first, n)
        if not why:
            return
        if n == 1 or self.link.deaths - self._deaths > _MOST_DEATHS:
            yield first, n, why
        elif n <= self.leaf:
            yield from self._edges(first, n, why)
        else:
            yield from self.block(first, n // 2)
            yield from self.block(first + n // 2, n - n // 2)

    def _edges(self, first: int, n: int, why: str) -> Iterator[tuple[int, int, str]]:
        """Of a short stretch, the rows at both ends that can be read; what is between is lost."""
        end = first + n
        while first < end and not self._copy(first, 1):
            first += 1
        while first < end and not self._copy(end - 1, 1):
            end -= 1
        if first < end:
            yield first, end - first, why

    def _copy(self, first: int, n: int) -> str:
        """Empty, or why these rows can't be read."""
        try:
            found = self.link.ask("rows", self.path, first, n)
            if self.made is not None:
                _write_rows(self.made, first, n, found)
        except (Unreadable, TypeError, ValueError) as error:
            # What the copy can't take is not lost, and no OSError may pass for that.
            return str(error) or type(error).__name__
        return ""


def _write_rows(made: h5py.Dataset, first: int, n: int, found: Any) -> None:
    where = slice(first, first + n) if made.shape else ()
    if found[0] == "raw":
        shape = (n, *made.shape[1:]) if made.shape else ()
        kind = made.id.get_type()
        space = made.id.get_space()
        if made.shape:
            space.select_hyperslab((first,) + (0,) * (len(shape) - 1), shape)
        block = np.frombuffer(found[3], f"V{kind.get_size()}").reshape(shape)
        made.id.write(_space(shape), space, block, mtype=kind)
    elif found[0] == "values":
        made[where] = found[3].reshape(found[2])
    else:
        raise TypeError("references can't be carried over")


def _space(shape: tuple[int, ...], maxshape: tuple[int | None, ...] | None = None) -> Any:
    if not shape:
        return h5s.create(h5s.SCALAR)
    limits = tuple(h5s.UNLIMITED if n is None else n for n in maxshape or shape)
    return h5s.create_simple(shape, limits)
