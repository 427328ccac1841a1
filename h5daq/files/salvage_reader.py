"""The process that reads a damaged file: libhdf5 may crash or hang on it, and only it dies.

``python -m h5daq.files.salvage_reader`` takes questions on its standard input and answers them on
its standard output, as pickles behind their length: a private pipe between two processes of one
user. Each question stands for itself, so that a new process can go on where one has died.
"""

from __future__ import annotations

import os
import pickle
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import h5py
import numpy as np
from h5py import h5a, h5d, h5f, h5fd, h5o, h5p, h5s, h5z

from h5daq.files.mending import Mend, MendedFile

__all__ = ["LENGTH", "read_message", "write_message"]

LENGTH = struct.Struct("<Q")

_READING = (OSError, RuntimeError, ValueError, TypeError, KeyError, MemoryError, OverflowError,
            SystemError)  # fmt: skip
"""What h5py raises for what HDF5 can't read."""


def write_message(pipe: BinaryIO, message: Any) -> None:
    """Send one message."""
    data = pickle.dumps(message, protocol=pickle.HIGHEST_PROTOCOL)
    pipe.write(LENGTH.pack(len(data)) + data)
    pipe.flush()


def read_message(pipe: BinaryIO) -> Any:
    """The next message; EOFError when the other end is gone."""
    head = pipe.read(LENGTH.size)
    if len(head) < LENGTH.size:
        raise EOFError
    (length,) = LENGTH.unpack(head)
    data = pipe.read(length)
    if len(data) < length:
        raise EOFError
    return pickle.loads(data)


class _Reader:
    """One damaged file, open."""

    def __init__(self, path: str, offset: int, raw: bytes, length: int) -> None:
        self._raw = MendedFile(Path(path), Mend(offset, raw, length))
        access = h5p.create(h5p.FILE_ACCESS)
        access.set_fileobj_driver(h5fd.fileobj_driver, self._raw)
        # What is beside a damaged place must not be read along with it.
        access.set_sieve_buf_size(0)
        self._file = h5py.File(h5f.open(path.encode(), h5f.ACC_RDONLY, access))
        self._places: dict[str, list[tuple[int, ...]]] = {}

    def links(self, path: str) -> list[tuple[str, str, Any]]:
        """What is in a group: name, kind, and what it leads to."""
        group = self._file[path]
        return [(name, *self._link(group, name)) for name in group]

    def _link(self, group: h5py.Group, name: str) -> tuple[str, Any]:
        try:
            link = group.get(name, getlink=True)
            if isinstance(link, h5py.SoftLink):
                return "soft", link.path
            if isinstance(link, h5py.ExternalLink):
                return "external", (link.filename, link.path)
            found = group[name]
            kinds = {h5py.Group: "group", h5py.Dataset: "dataset", h5py.Datatype: "type"}
            return kinds[type(found)], int(h5o.get_info(found.id).addr)
        except _READING as error:
            return "lost", _text(error)

    def attributes(self, path: str) -> list[tuple[str, Any]]:
        """Names and values of an object's attributes; see `_value`."""
        found = self._file[path]
        answers: list[tuple[str, Any]] = []
        for number in range(h5a.get_num_attrs(found.id)):
            try:
                name = h5a.open(found.id, index=number).name.decode("utf-8", "replace")
            except _READING as error:
                answers.append((f"attribute {number}", ("lost", _text(error))))
                continue
            try:
                answers.append((name, self._attribute(found, name)))
            except _READING as error:
                answers.append((name, ("lost", _text(error))))
        return answers

    def _attribute(self, found: Any, name: str) -> Any:
        attr = h5a.open(found.id, name.encode())
        kind, space = attr.get_type(), attr.get_space()
        shape = None if space.get_simple_extent_type() == h5s.NULL else attr.shape
        if shape is None or not kind.dtype.hasobject:
            data = b""
            if shape is not None:
                into = np.empty(shape, f"V{kind.get_size()}")
                attr.read(into, mtype=kind)
                data = into.tobytes()
            return "raw", kind.encode(), shape, data
        return self._objects(kind, shape, found.attrs[name])

    def _objects(self, kind: Any, shape: tuple[int, ...], value: Any) -> Any:
        """Values that lie elsewhere in the file: texts, lists, references as paths."""
        inner = h5py.check_vlen_dtype(kind.dtype)
        if h5py.check_ref_dtype(kind.dtype) is h5py.Reference:
            return "references", shape, [self._path(r) for r in np.asarray(value).ravel()]
        if inner is not None and h5py.check_ref_dtype(inner) is h5py.Reference:
            lists = [[self._path(r) for r in item] for item in np.asarray(value).ravel()]
            return "reference lists", shape, lists
        if kind.dtype.kind != "O":
            # Compounds that hold references: those of dimension scales are made anew.
            raise TypeError("references inside other values can't be carried over")
        return "values", kind.encode(), shape, np.asarray(value, object)

    def _path(self, reference: Any) -> str | None:
        return str(self._file[reference].name) if reference else None

    # -- datasets ------------------------------------------------------------------------------

    def dataset(self, path: str) -> dict[str, Any]:
        """What a dataset is, without its data."""
        found = self._file[path]
        plist, kind = found.id.get_create_plist(), found.id.get_type()
        filters = [plist.get_filter(n) for n in range(plist.get_nfilters())]
        return {
            "type": kind.encode(),
            "objects": kind.dtype.hasobject,
            "shape": found.shape,
            "maxshape": found.maxshape,
            "chunks": found.chunks,
            "filters": [(code, flags, values) for code, flags, values, _ in filters],
            "fill": self._fill(plist, kind),
            "virtual": found.is_virtual,
            "size": kind.get_size(),
        }

    def _fill(self, plist: Any, kind: Any) -> bytes | None:
        if kind.dtype.hasobject or plist.fill_value_defined() != h5d.FILL_VALUE_USER_DEFINED:
            return None
        value = np.empty((), kind.dtype)
        plist.get_fill_value(value)
        return value.tobytes()

    def places(self, path: str) -> list[tuple[int, ...]]:
        """Where the chunks of a dataset stand, those that can't be found included."""
        if path not in self._places:
            self._places[path] = self._find_places(self._file[path])
        return self._places[path]

    def _find_places(self, found: h5py.Dataset) -> list[tuple[int, ...]]:
        places: list[tuple[int, ...]] = []
        try:
            found.id.chunk_iter(lambda info: places.append(tuple(info.chunk_offset)))
        except _READING:
            # The index is damaged: each chunk is asked for by its place.
            steps = [range(0, n, c) for n, c in zip(found.shape, found.chunks, strict=True)]
            places = [tuple(p) for p in np.stack(np.meshgrid(*steps, indexing="ij"), -1)
                      .reshape(-1, len(steps)).tolist()]  # fmt: skip
        return sorted(places)

    def chunks(self, path: str, first: int, most: int, send: bool) -> tuple[int, list[Any]]:
        """Chunks from the `first` place on, up to `most` of them or 8 MiB; the next place.

        Each is read through its filters, which tell whether it is whole, and sent as it is stored.
        """
        found, places, size = self._file[path], self.places(path), 0
        answers: list[tuple[Any, int | None, Any]] = []
        known = all(h5z.filter_avail(code) for code in _filters(found))
        while first < len(places) and len(answers) < most and size < 8 << 20:
            place = places[first]
            first += 1
            try:
                mask, raw = self._chunk(found, place, known)
            except _READING as error:
                answers.append((place, None, _text(error)))
                continue
            size += max(len(raw), 4096)
            answers.append((place, mask, raw if send else b""))
        return first, answers

    def _chunk(self, found: h5py.Dataset, place: tuple[int, ...], known: bool) -> tuple[int, bytes]:
        where = found.id.get_chunk_info_by_coord(place)
        if where.byte_offset is None:
            return 0, b""
        mask, raw = found.id.read_direct_chunk(place)
        if known:
            self._read_block(found, place, found.chunks)
        return mask, bytes(raw)

    def rows(self, path: str, first: int, n: int) -> Any:
        """Rows of a dataset (all of it, if it is a single value), in the file's own type."""
        found = self._file[path]
        kind = found.id.get_type()
        if kind.dtype.hasobject:
            value = found[()] if not found.shape else found[first : first + n]
            return self._objects(kind, np.shape(value), value)
        start = (first,) + (0,) * (len(found.shape) - 1) if found.shape else ()
        counts = (n, *found.shape[1:]) if found.shape else ()
        return "raw", None, None, self._read_block(found, start, counts)

    def _read_block(
        self, found: h5py.Dataset, start: tuple[int, ...], counts: tuple[int, ...]
    ) -> bytes:
        kind, space = found.id.get_type(), found.id.get_space()
        inside = tuple(min(c, n - s) for s, c, n in zip(start, counts, found.shape, strict=True))
        into = np.empty(inside, f"V{kind.get_size()}")
        if inside:
            space.select_hyperslab(start, inside)
            found.id.read(h5s.create_simple(inside), space, into, mtype=kind)
        else:
            found.id.read(h5s.create(h5s.SCALAR), space, into, mtype=kind)
        return into.tobytes()

    def type(self, path: str) -> bytes:
        """A named type."""
        encoded: bytes = self._file[path].id.encode()
        return encoded


def _filters(found: h5py.Dataset) -> list[int]:
    plist = found.id.get_create_plist()
    return [plist.get_filter(n)[0] for n in range(plist.get_nfilters())]


def _text(error: BaseException) -> str:
    return f"{error}".strip('"') or type(error).__name__


_QUESTIONS: dict[str, Callable[..., Any]] = {
    question.__name__: question
    for question in (
        _Reader.links, _Reader.attributes, _Reader.dataset, _Reader.places, _Reader.chunks,
        _Reader.rows, _Reader.type,
    )
}  # fmt: skip


def _answer(reader: _Reader | None, verb: str, arguments: tuple[Any, ...]) -> tuple[str, Any]:
    try:
        return "ok", _QUESTIONS[verb](reader, *arguments)
    except _READING as error:
        return "failed", _text(error)


def main() -> None:
    """Answer until nobody asks any more."""
    # What libraries print must not get into the answers.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    questions = sys.stdin.buffer
    reader: _Reader | None = None
    while True:
        try:
            verb, arguments = read_message(questions)
        except EOFError:
            return
        if verb != "open":
            write_message(answers, _answer(reader, verb, arguments))
            continue
        try:
            reader = _Reader(*arguments)
            write_message(answers, ("ok", None))
        except _READING as error:
            write_message(answers, ("failed", _text(error)))


if __name__ == "__main__":
    main()
