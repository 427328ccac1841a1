"""A dataset that is a job: the vault's verbs on rows that a worker takes and a run records.

It is read like any other. Its rows come from its worker alone; parameters and comments may be added
while it is recorded, and go with its rows, by the run's journal, into the run's files.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from h5daq.errors import DataVersionMismatch, ReadOnly
from h5daq.flow.records import NoteRecord, VaultRecord
from h5daq.vault.dataset import Cursor, Dataset
from h5daq.vault.described import end_of_page
from h5daq.vault.job_store import JobStore

__all__ = ["JobDataset"]


class JobDataset(Dataset):
    """A job of a run.

    Parameters
    ----------
    name : str
        Its name in its directory.
    group : str
        The job's group.
    store : JobStore
        Reads it.
    """

    page_bytes = 8 << 20
    """Most bytes of rows in a reply: while they are read, the writer takes no rows from workers."""

    ahead_bytes = 4 << 20
    """No fewer than of other pages, since each chunk of a job's file is read whole."""

    def __init__(self, name: str, group: str, store: JobStore) -> None:
        super().__init__(name, store)
        self.group, self._store = group, store

    def page_rows(self, start: int, most: int) -> int:
        """Fewer, where the page then ends with a chunk of the file, which is read once so."""
        return self._store.page_rows(start, most)

    @property
    def closed(self) -> str:
        """Why no rows can be added."""
        return f"{self.name!r} is a job of a run: its rows come from its worker alone"

    def check_rows(self) -> None:
        """Rows can't be added; raises `ReadOnly`."""
        raise ReadOnly(self.closed)

    def check_notes(self) -> None:
        """See that parameters and comments can be added.

        Raises
        ------
        ReadOnly
            If nobody records the job any more.
        """
        if self._store.recorder is None:
            raise ReadOnly(f"the run of {self.name!r} is over: its files are not changed any more")

    def record(self, note: VaultRecord) -> VaultRecord | NoteRecord:
        """The journal's entry for parameters or a comment, which the run's files take."""
        args = note.args
        value = [note.time, args["user"], args["comment"]] if "user" in args else args["texts"]
        return NoteRecord(note.session, note.id, note.time, [[self.group, note.verb, value]])

    # -- rows ------------------------------------------------------------------------------------

    def fields(
        self, cursor: Cursor, limit: int | None = None, start_over: bool = False
    ) -> list[NDArray[Any]]:
        """Rows from the cursor's position by column, with the dtypes of the job."""
        if start_over:
            cursor.position = 0
        stop = end_of_page(cursor.position, limit, self.rows)
        columns = self._store.read_columns(cursor.position, stop)
        cursor.position += len(columns[0])
        return columns

    def get(
        self, cursor: Cursor, limit: int | None = None, start_over: bool = False
    ) -> NDArray[np.float64]:
        """Rows of numbers, as of a dataset of floats.

        Raises
        ------
        DataVersionMismatch
            If a column has arrays, texts, or numbers that float64 does not hold exactly.
        """
        if start_over:
            cursor.position = 0
        if not self.columns.plain:
            raise DataVersionMismatch(
                f"job {self.name!r} has other columns than single numbers of up to 32 bits and "
                "floats: use get_ex"
            )
        stop = end_of_page(cursor.position, limit, self.rows)
        table = self._store.read_table(cursor.position, stop)
        cursor.position += len(table)
        return table

    def get_ex(
        self, cursor: Cursor, limit: int | None = None, start_over: bool = False
    ) -> NDArray[Any]:
        """Rows as a structured array with the fields ``f0``, ``f1`` …, of the job's dtypes."""
        fields = self.fields(cursor, limit, start_over)
        rows = np.empty(len(fields[0]), dtype=self.columns.dtype)
        for k, values in enumerate(fields):
            rows[f"f{k}"] = values
        return rows

    def get_ex_t(
        self, cursor: Cursor, limit: int | None = None, start_over: bool = False
    ) -> tuple[NDArray[Any], ...]:
        """Rows as columns, each of shape (rows, *shape)."""
        return tuple(self.fields(cursor, limit, start_over))
