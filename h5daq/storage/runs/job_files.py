"""One job of one run in its files: how many rows each has, what is noted there, the rows.

A *part* is what one file has, together with the journal's entry up to which it has it; whoever
writes the run knows what comes behind that entry.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from h5daq.storage.layouts.run_notes import FoundNotes, read_notes
from h5daq.storage.runs.catalog import Catalog
from h5daq.storage.runs.columns import filler, read_range
from h5daq.storage.runs.contents import ColumnInfo, FileHead, GroupInfo, read_group
from h5daq.storage.runs.order import Run
from h5daq.storage.runs.rooms import Room

__all__ = ["JobFiles", "Part"]


@dataclass(frozen=True, slots=True)
class Part:
    """What a file has of a job.

    Attributes
    ----------
    head : FileHead
        The file.
    lsn : int
        The journal's entry up to which it has the job's rows and notes.
    info : GroupInfo or None
        Its rows; None where it has none of the job.
    notes : FoundNotes
        What is noted there.
    chunk_rows : int
        Rows of the longest chunk.
    """

    head: FileHead
    lsn: int
    info: GroupInfo | None
    notes: FoundNotes
    chunk_rows: int

    @property
    def rows(self) -> int:
        """Rows of the job in this file."""
        return self.info.rows if self.info is not None else 0


class JobFiles:
    """Reads one group in the files of a run.

    Parameters
    ----------
    catalog : Catalog
        Opens files.
    run : callable
        The run with its files as they are by now; None if they are gone.
    group : str
        The job's.
    """

    def __init__(self, catalog: Catalog, run: Callable[[], Run | None], group: str) -> None:
        self._catalog, self._run, self.group = catalog, run, group

    def parts(self, *, fresh: bool = False) -> list[Part]:
        """What each file has, in order.

        Parameters
        ----------
        fresh : bool
            Look into every file that may have changed, however little it seems so.
        """
        run = self._run()
        return [self._part(head, fresh) for head in run.files] if run is not None else []

    def _part(self, head: FileHead, fresh: bool) -> Part:
        return self._catalog.look(head, f"part {self.group}", self._read_part(head), fresh=fresh)

    def _read_part(self, head: FileHead) -> Callable[[h5py.File], Part]:
        def read(file: h5py.File) -> Part:
            lsn = int(file.attrs.get("journal_lsn", 0))
            info, notes = read_group(file, self.group), read_notes(file, self.group)
            return Part(head, lsn, info, notes, _chunk_rows(file, info))

        return read

    def read(
        self, part: Part, columns: Sequence[ColumnInfo], start: int, stop: int, room: Room
    ) -> Iterator[NDArray[Any]]:
        """Rows ``start … stop-1`` of a part, column after column; fillers where it lacks one.

        Each is in the `room` that it was given; its user is done with it when it asks for the next.
        """
        info = part.info
        if info is None:
            yield from (_missing(column, 0) for column in columns)
            return
        with self._catalog.open(part.head) as file:
            group = file[self.group]
            for column in columns:
                known = info.columns.get(column.label)
                if known is None:
                    yield _missing(column, stop - start)
                else:
                    yield read_range(group[column.label], known, start, stop, room)


def _chunk_rows(file: h5py.File, info: GroupInfo | None) -> int:
    datasets = [file[info.name][label] for label in info.columns] if info is not None else []
    return max((dataset.chunks[0] for dataset in datasets if dataset.chunks), default=1)


def _missing(column: ColumnInfo, rows: int) -> NDArray[Any]:
    return np.full((rows, *column.shape), filler(column.dtype), column.dtype)
