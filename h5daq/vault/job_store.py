"""The rows of a job as the vault reads them: what files hold and what waits for them, as one.

A job's rows lie in the files of its run, one behind the other, and while it is recorded its newest
ones are in the writer's journal alone. Here they are *stretches* of one line: what a file has up to
its entry of the journal, then the pieces behind that entry. The line only grows, since a job never
goes back to an earlier file, so a position in it stays right over checkpoints and rollovers.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from h5daq.errors import StorageError
from h5daq.flow.batch import Batch
from h5daq.flow.job_columns import JobColumns, job_columns
from h5daq.flow.recent import Piece
from h5daq.flow.records import Noted
from h5daq.flow.schema import Schema
from h5daq.storage.layouts.datavault_comments import Comment
from h5daq.storage.layouts.datavault_head import DatasetHead
from h5daq.storage.layouts.run_notes import FoundNotes
from h5daq.storage.runs.columns import joined
from h5daq.storage.runs.job_files import JobFiles, Part
from h5daq.storage.runs.rooms import Room, row_of_rooms, same_room
from h5daq.vault.job_values import (
    as_told,
    info_of,
    nothing_of,
    to_chunk,
    values_of,
    variable_of,
    whole,
)

__all__ = ["JobStore", "Recorder"]

_TRIES = 4
T = TypeVar("T")
VERSION = (2, 0, 0)
"""What the dataset of a job says of itself: the guide's number of an extended one."""


class Recorder(Protocol):
    """Who records a run at this moment, as its readers see it."""

    @property
    def run_id(self) -> str:
        """The run."""
        ...

    @property
    def run_path(self) -> str:
        """Its directory in the vault, without the root."""
        ...

    def jobs(self) -> Sequence[str]:
        """Groups of the jobs that have rows, in the order in which they appeared."""
        ...

    def schema(self, job: str) -> Schema:
        """The columns that a job has by now."""
        ...

    def reach(self) -> int:
        """The entry up to which the files have everything; it is forgotten here with that."""
        ...

    def pieces(self, job: str) -> Sequence[Piece]:
        """What came behind that entry; the same list grows until `reach` moves."""
        ...

    def notes(self, group: str) -> list[tuple[int, Noted]]:
        """Notes that came behind it, with their entries."""
        ...

    def fetch(self, pieces: Sequence[Piece]) -> list[Batch]:
        """The rows of pieces.

        Raises
        ------
        StorageError
            If a checkpoint has taken them in meanwhile: they are in the files.
        """
        ...


@dataclass(frozen=True, slots=True)
class _Stretch:
    """Some rows, the number of the first of them in the line, and where they are."""

    first: int
    rows: int
    source: Part | Piece


class JobStore:
    """A job's dataset, for reading; see `h5daq.vault.described.Store`.

    Parameters
    ----------
    name : str
        Its name in the vault.
    files : JobFiles
        What the files have.
    recorder : Recorder, optional
        Who records the job; None for a run that is over.

    Raises
    ------
    StorageError
        If a file can't be read, or a column changed to what can't stand beside what it was.
    """

    writable = False

    def __init__(self, name: str, files: JobFiles, recorder: Recorder | None) -> None:
        self._name, self._files, self.recorder = name, files, recorder
        self._look()

    # -- the line --------------------------------------------------------------------------------

    def _look(self, *, fresh: bool = False) -> None:
        """See what is where by now."""
        # First, so that the files have at least what is forgotten with it.
        self._reach = self.recorder.reach() if self.recorder else 0
        self._parts = self._files.parts(fresh=fresh)
        self._lsns = {part.head.file_id: part.lsn for part in self._parts}
        self._stretches: list[_Stretch] = []
        self.count, self._taken = 0, 0
        pieces = self._new_pieces()
        for part in self._parts:
            self._add([part] if part.rows else [])
            self._add(piece for piece in pieces if piece.file == part.head.file_id)
        self._add(piece for piece in pieces if piece.file not in self._lsns)
        self._learn_columns()

    def _new_pieces(self) -> list[Piece]:
        if self.recorder is None:
            return []
        pieces = self.recorder.pieces(self._files.group)
        fresh, self._taken = pieces[self._taken :], len(pieces)
        return [piece for piece in fresh if piece.lsn > self._lsns.get(piece.file, 0)]

    def _add(self, sources: Iterable[Part | Piece]) -> None:
        for source in sources:
            rows = source.rows if isinstance(source, Part) else source.n
            self._stretches.append(_Stretch(self.count, rows, source))
            self.count += rows

    def _follow(self) -> None:
        """Take in what came since the last look."""
        if self.recorder is None or self.recorder.reach() != self._reach:
            self._look()
            return
        before = len(self._stretches)
        self._add(self._new_pieces())
        schemas = (one.source for one in self._stretches[before:])
        if any(isinstance(s, Piece) and s.schema not in self._schemas for s in schemas):
            self._learn_columns()

    # -- columns ---------------------------------------------------------------------------------

    def _learn_columns(self) -> None:
        sources = [one.source for one in self._stretches]
        infos = [part.info for part in self._parts if part.info is not None]
        self._schemas = {id(s.schema): s.schema for s in sources if isinstance(s, Piece)}.values()
        known = list(self._schemas) or self._said()
        infos += [info_of(self._files.group, schema) for schema in known]
        self._infos = list(joined(infos).values())
        sizes = [info.dtype.itemsize * math.prod(info.shape) for info in self._infos]
        self._row_bytes, self._widest = sum(sizes), max(sizes)
        self.head = DatasetHead(self._name, self._columns(), extended=True, version=VERSION)

    def _said(self) -> list[Schema]:
        """What a job without rows has said of them."""
        return [self.recorder.schema(self._files.group)] if self.recorder else []

    def _columns(self) -> JobColumns:
        return job_columns(map(variable_of, self._infos))

    # -- rows ------------------------------------------------------------------------------------

    @property
    def rows(self) -> int:
        """Rows by now."""
        self._follow()
        return self.count

    def page_rows(self, start: int, most: int) -> int:
        """Rows of a page from `start` on that ends with a chunk, if it can."""
        at = max(0, bisect_right(self._stretches, start, key=lambda one: one.first) - 1)
        for one in self._stretches[at : at + 1]:
            if isinstance(one.source, Part) and start + most < one.first + one.rows:
                return to_chunk(start - one.first, most, one.source.chunk_rows)
        return most

    def read_columns(self, start: int, stop: int) -> list[NDArray[Any]]:
        """Rows ``start … stop-1``, or fewer, by column, each of shape (rows, …)."""
        return self._again(lambda: self._read(start, stop))

    def read_table(self, start: int, stop: int) -> NDArray[np.float64]:
        """The same side by side as floats, of shape (rows, columns); for columns that are plain."""
        return self._again(lambda: self._read_table(start, stop))

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """The same as an array of `Columns.dtype`."""
        columns = self.read_columns(start, stop)
        rows = np.empty(len(columns[0]), dtype=self.head.columns.dtype)
        for k, values in enumerate(columns):
            rows[f"f{k}"] = values
        return rows

    def _again(self, read: Callable[[], T]) -> T:
        for _ in range(_TRIES):
            try:
                return read()
            except StorageError:
                # A checkpoint may have come between, or a file got its last name.
                self._look(fresh=True)
        return read()

    def _read(self, start: int, stop: int) -> list[NDArray[Any]]:
        room = row_of_rooms((stop - start) * self._row_bytes)
        found = [list(columns) for columns in self._found(start, stop, room)]
        parts = [[nothing_of(info) for info in self._infos], *found]
        return [
            as_told(whole([part[k] for part in parts], info), info)
            for k, info in enumerate(self._infos)
        ]

    def _read_table(self, start: int, stop: int) -> NDArray[np.float64]:
        rows = max(0, stop - start)
        table, done = np.empty((rows, len(self._infos))), 0
        for columns in self._found(start, stop, same_room(rows * self._widest)):
            for k, values in enumerate(columns):
                table[done : done + len(values), k] = values.reshape(len(values))
            done += len(values)
        return table[:done]

    def _found(self, start: int, stop: int, room: Room) -> Iterable[Iterable[NDArray[Any]]]:
        first = max(0, bisect_right(self._stretches, start, key=lambda one: one.first) - 1)
        last = bisect_right(self._stretches, stop - 1, key=lambda one: one.first)
        chosen = self._stretches[first:last] if stop > start else []
        for is_part, several in groupby(chosen, lambda one: isinstance(one.source, Part)):
            if is_part:
                yield from self._from_files(list(several), start, stop, room)
            else:
                yield from self._from_journal(list(several), start, stop)

    def _from_files(
        self, stretches: list[_Stretch], start: int, stop: int, room: Room
    ) -> Iterable[Iterable[NDArray[Any]]]:
        for one in stretches:
            low, high = max(0, start - one.first), min(one.rows, stop - one.first)
            if isinstance(one.source, Part) and low < high:
                yield self._files.read(one.source, self._infos, low, high, room)

    def _from_journal(
        self, stretches: list[_Stretch], start: int, stop: int
    ) -> Iterable[list[NDArray[Any]]]:
        chosen = [one for one in stretches if start < one.first + one.rows]
        pieces = [one.source for one in chosen if isinstance(one.source, Piece)]
        batches = self.recorder.fetch(pieces) if self.recorder else []
        for one, piece, batch in zip(chosen, pieces, batches, strict=True):
            rows = slice(max(0, start - one.first), min(one.rows, stop - one.first))
            values = dict(zip(piece.schema.labels, batch.columns, strict=True))
            yield [values_of(values.get(info.label), info, rows) for info in self._infos]

    # -- notes -----------------------------------------------------------------------------------

    @property
    def parameters(self) -> dict[str, str]:
        """Texts of the parameters by name, in the order of the names."""
        return dict(sorted(self._notes().parameters.items()))

    @property
    def comments(self) -> list[Comment]:
        """All comments, in order."""
        return self._notes().comments

    def _notes(self) -> FoundNotes:
        self._follow()
        waiting = self.recorder.notes(self._files.group) if self.recorder else []
        found = FoundNotes()
        for part in self._parts:
            found.join(part.notes)
            found.take(
                note for lsn, note in waiting if note.file == part.head.file_id and lsn > part.lsn
            )
        found.take(note for _, note in waiting if note.file not in self._lsns)
        return found
