"""One file, from its first bytes to its last chunk.

First the head, as bytes. Then one look through HDF5 at everything but the values: objects,
attributes, layout, and where each chunk lies; only that look keeps the file open, and it is short.
After it come the stored bytes, straight from the file, and what only HDF5 can read: text, times,
chunks that looked bad.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py

from h5daq.errors import FileBusy, StorageError
from h5daq.files.verify.head import Outside, check_head
from h5daq.files.verify.layout import (
    check_groups,
    check_root,
    head_of,
    is_dataset,
    is_run_file,
    whole,
)
from h5daq.files.verify.places import collect
from h5daq.files.verify.raw import RawCheck
from h5daq.files.verify.readback import Readback
from h5daq.files.verify.report import ERROR, NOTE, WARNING
from h5daq.files.verify.stored import Store
from h5daq.files.verify.telling import HDF5_ERRORS, Limited, Told, brief
from h5daq.files.verify.times import Span, TimeCheck
from h5daq.files.verify.walk import Walked, walk
from h5daq.storage.opening import open_for_reading
from h5daq.storage.runs.contents import LATE, LOST, TIME

__all__ = ["Options", "check_file"]

TIME_ROWS = 1 << 20
"""Rows of a ``time`` that are read at once."""

_RESTORE = "restore the file from a copy"


@dataclass(frozen=True, slots=True)
class Options:
    """How to check.

    Parameters
    ----------
    quick : bool
        Leave the values alone: no checksums, no times.
    patience : float
        Seconds to wait for a file that is busy.
    skip : collection of str
        Objects that HDF5 crashed at before.
    """

    quick: bool = False
    patience: float = 5.0
    skip: Collection[str] = ()


@dataclass(slots=True)
class _Look:
    """What the one look through HDF5 brought."""

    stores: list[tuple[Store, list[int]]] = field(default_factory=list)
    times: list[tuple[str, int, Span]] = field(default_factory=list)


def check_file(path: Path, told: Told, options: Options) -> None:
    """Check one file and tell what is found; raises nothing because of what is in it.

    Parameters
    ----------
    path : Path
        The file.
    told : Told
        Who is told.
    options : Options
        How to check.
    """
    limited = Limited(told)
    # The redo log lies beside the file itself, not beside a link to it.
    path = path.resolve() if path.is_symlink() else path
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        limited.add(ERROR, "file", f"it can't be opened: {error.strerror}")
        return
    try:
        outside = check_head(path, fd, limited, options.patience)
        if outside is not None:
            _Check(path, fd, outside, limited, options).run()
    except OSError as error:
        limited.add(ERROR, "file", f"it can't be read: {brief(error)}", "", _RESTORE)
    finally:
        os.close(fd)
    limited.finish()


class _Check:
    """The check of one file whose head is whole."""

    def __init__(
        self, path: Path, fd: int, outside: Outside, limited: Limited, options: Options
    ) -> None:
        self._path, self._fd, self._outside = path, fd, outside
        self._limited, self._options = limited, options
        self._readback = Readback(path, options.patience, limited)

    def run(self) -> None:
        """Do all of it."""
        progress, values = self._limited.told.progress, not self._options.quick
        with RawCheck(self._fd, self._outside.end, progress, values=values) as raw:
            look = self._look(raw)
            if look is None:
                return
            raw.run()
        for path, address in raw.overlaps:
            text = f"its chunk at address {address:,} lies over another chunk"
            self._limited.add(ERROR, "overlap", text, path, _RESTORE)
        with self._readback as readback:
            for suspect in raw.suspects:
                readback.judge(suspect)
            if not self._options.quick:
                self._read_values(look)
        self._limited.told.facts({"chunks": raw.chunks, "checked_bytes": raw.nbytes})

    def _look(self, raw: RawCheck) -> _Look | None:
        """Everything but the values, while the file is open; None if HDF5 can't open it."""
        self._limited.told.at("/")
        try:
            with open_for_reading(self._path, self._options.patience) as file:
                return self._look_inside(file, raw)
        except FileBusy as error:
            mend = f"h5daq recover {self._path.parent}"
            self._limited.add(ERROR, "busy", f"it can't be opened: {_reason(error)}", "", mend)
        except StorageError as error:
            self._limited.add(ERROR, "open", f"HDF5 refuses it: {_reason(error)}", "", _RESTORE)
        except HDF5_ERRORS as error:
            self._limited.broken("/", "HDF5 failed", error)
        return None

    def _look_inside(self, file: h5py.File, raw: RawCheck) -> _Look:
        objects = {found.path: found for found in walk(file, self._limited, self._options.skip)}
        root = objects.get("/")
        attrs = root.attrs if root is not None else {}
        ours, look = is_run_file(attrs), _Look()
        if ours:
            self._limited.told.facts({"what": "run file"})
            self._look_at_run(attrs, objects, look)
        elif not self._limited.told_of("/"):
            # Where the root can't be read, nobody knows whose file it is.
            self._limited.told.facts({"what": "foreign"})
            kind = "a dataset of the Data Vault" if is_dataset(attrs) else "not made by h5daq"
            self._limited.add(NOTE, "foreign", f"it is {kind}: only HDF5 is checked")
        for found in objects.values():
            if isinstance(found.node, h5py.Dataset):
                self._collect(found, look, raw, complete=ours)
        return look

    def _look_at_run(self, attrs: dict[str, Any], objects: dict[str, Walked], look: _Look) -> None:
        head = head_of(attrs)
        check_root(attrs, self._limited)
        rows = check_groups(objects, self._limited)
        state = self._state(head)
        self._limited.told.facts({"head": head, "rows": rows, "state": state})
        if head["interrupted"]:
            text = "the run was not stopped in order; its file was sealed afterwards"
            self._limited.add(NOTE, "interrupted", text)
        rolled = state == "sealed" and head["following_file_id"]
        end = head["file_end"] if rolled else None
        for job, count in rows.items():
            late = whole(objects[f"/{job}"].attrs.get(LOST + LATE)) or 0
            span = Span(head["file_start"], end, late)
            look.times.append((f"/{job}/{TIME}", count, span))

    def _state(self, head: dict[str, Any]) -> str:
        if head["run_end"] is not None:
            return "sealed"
        if self._outside.has_log and self._outside.writer:
            return "recording"
        if not self._outside.has_log and head["following_file_id"]:
            # A file that its run has gone on from is closed, and its log is gone.
            return "sealed"
        text = "it is not sealed, and no writer has it: its run was cut short"
        mend = f"h5daq recover {self._path.parent}"
        self._limited.add(WARNING, "unsealed", text, "", mend)
        return "unsealed"

    def _collect(self, found: Walked, look: _Look, raw: RawCheck, *, complete: bool) -> None:
        self._limited.told.at(found.path)
        try:
            store, places = collect(found, self._outside.end, self._limited, complete=complete)
        except HDF5_ERRORS as error:
            self._limited.broken(found.path, "where its values lie can't be read", error)
            return
        look.stores.append((store, places.number.tolist() if store.references else []))
        raw.add(store, places)

    def _read_values(self, look: _Look) -> None:
        for store, chunks in look.stores:
            if store.references or store.layout == "compact":
                self._readback.read_all(store, chunks)
        for path, rows, span in look.times:
            self._read_times(path, rows, span)

    def _read_times(self, path: str, rows: int, span: Span) -> None:
        check = TimeCheck(path, span, self._limited)
        # No more than there can be: a damaged length is told elsewhere.
        for start in range(0, min(rows, self._outside.end), TIME_ROWS):
            stop = min(rows, start + TIME_ROWS)
            if self._readback.read(path, slice(start, stop), check.take):
                # Which chunk it is was told with the checksums.
                return
        check.finish()


def _reason(error: StorageError) -> str:
    # The file's name stands before it already.
    return brief(OSError(error.strerror or str(error))) if error.errno != errno.ENOENT else "gone"
