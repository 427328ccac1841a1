"""A dataset as the vault's verbs see it: rows by position, variables, parameters, comments.

What is added is checked whole before the store takes any of it. The checks can be had alone
(`checked_…`): a server journals what they return, and applies it afterwards.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from h5daq.errors import (
    BadArgument,
    DataVersionMismatch,
    ParameterInUse,
    ReadOnly,
    VaultError,
)
from h5daq.flow.records import NoteRecord, VaultRecord
from h5daq.flow.variables import check_text
from h5daq.storage.layouts.datavault import VaultFile
from h5daq.storage.layouts.datavault_comments import Comment
from h5daq.vault.described import Cursor, Described, Store, end_of_page
from h5daq.vault.labrad import to_data_url
from h5daq.vault.pages import Pages
from h5daq.vault.rows import floats, from_columns, from_floats, from_rows

__all__ = ["Cursor", "Dataset"]

MOST_NAME_BYTES = 32 << 10
"""Bytes of a parameter's name: HDF5 has room for 64 KiB with all that belongs to it."""


class Dataset(Described):
    """A dataset of the vault.

    Parameters
    ----------
    name : str
        Its full name, with the number.
    store : Store
        A `VaultFile` to write to, or a reader.

    Attributes
    ----------
    pages : Pages
        What was read of it lately.
    """

    page_bytes: int | None = None
    """Most bytes of rows in one reply, where it is less than for others."""

    ahead_bytes = 2 << 20
    """About as many has a page that is asked for while others are on their way."""

    def __init__(self, name: str, store: Store) -> None:
        super().__init__(name, store)
        self.pages = Pages()

    def page_rows(self, _start: int, most: int) -> int:
        """Rows of a page that begins at row `start` and has at most `most`."""
        return most

    @property
    def closed(self) -> str:
        """Why no rows can be added where the cursor is not writing."""
        return f"dataset {self.name!r} is open for reading: open it with append=True"

    def check_rows(self) -> None:
        """See that rows can be added, once a cursor is writing; raises `ReadOnly` if not."""

    def check_notes(self) -> None:
        """See that parameters and comments can be added; raises `ReadOnly` if not."""
        self._file()

    def record(self, note: VaultRecord) -> VaultRecord | NoteRecord:
        """The journal's entry for parameters or a comment; `note` is that of a vault's file."""
        return note

    # -- rows in ---------------------------------------------------------------------------------

    def checked_rows(self, given: Any) -> NDArray[Any]:
        """What `add` takes, as an array of rows.

        Raises
        ------
        BadData
            If it doesn't fit the columns.
        DataVersionMismatch
            If the columns are not all scalar floats.
        """
        return from_floats(self.columns, given)

    def checked_rows_ex(self, given: Any) -> NDArray[Any]:
        """What `add_ex` takes, as an array of rows; raises `BadData`."""
        return from_rows(self.columns, given)

    def checked_columns(self, given: Any) -> NDArray[Any]:
        """What `add_ex_t` takes, as an array of rows; raises `BadData`."""
        return from_columns(self.columns, given)

    def add(self, cursor: Cursor, given: Any) -> int:
        """Add one row or several, all of floats; returns how many.

        Parameters
        ----------
        cursor : Cursor
            Must be writing.
        given : array_like
            Shape (columns,) or (rows, columns).

        Raises
        ------
        ReadOnly
            If the cursor is not writing.
        BadData, DataVersionMismatch
            As `checked_rows`; no row is taken then.
        """
        return self._append(cursor, self.checked_rows(given))

    def add_ex(self, cursor: Cursor, given: Any) -> int:
        """Add a list of tuples, or a structured array; as `add` otherwise."""
        return self._append(cursor, self.checked_rows_ex(given))

    def add_ex_t(self, cursor: Cursor, given: Any) -> int:
        """Add one array or list per column; as `add` otherwise."""
        return self._append(cursor, self.checked_columns(given))

    def _append(self, cursor: Cursor, rows: NDArray[Any]) -> int:
        if not cursor.writing:
            raise ReadOnly(self.closed)
        self._file().append(rows)
        return len(rows)

    def _file(self) -> VaultFile:
        if not isinstance(self.store, VaultFile):
            raise ReadOnly(f"dataset {self.name!r} can only be read here")
        return self.store

    # -- rows out --------------------------------------------------------------------------------

    def get(
        self, cursor: Cursor, limit: int | None = None, start_over: bool = False
    ) -> NDArray[np.float64]:
        """Rows of floats from the cursor's position, which moves on by as many.

        Parameters
        ----------
        cursor : Cursor
            Where to begin.
        limit : int, optional
            Most rows; all that are left by default.
        start_over : bool
            Begin with the first row.

        Returns
        -------
        ndarray
            Shape (rows, columns); no rows at the end.

        Raises
        ------
        DataVersionMismatch
            If the columns are not all scalar floats.
        """
        _rewind(cursor, start_over)
        if not self.columns.plain:
            raise DataVersionMismatch(
                f"dataset {self.name!r} has other columns than scalar floats: use get_ex"
            )
        return floats(self._page(cursor, limit))

    def get_ex(
        self, cursor: Cursor, limit: int | None = None, start_over: bool = False
    ) -> NDArray[Any]:
        """Rows from the cursor's position, as `get` otherwise.

        Returns
        -------
        ndarray
            A structured array with the fields ``f0``, ``f1`` … (``tolist()`` makes tuples of it);
            of a simple dataset the array that `get` returns.
        """
        if not self.extended:
            return self.get(cursor, limit, start_over)
        _rewind(cursor, start_over)
        return self._page(cursor, limit)

    def get_ex_t(
        self, cursor: Cursor, limit: int | None = None, start_over: bool = False
    ) -> tuple[NDArray[Any], ...]:
        """Rows from the cursor's position as columns, each of shape (rows, *shape).

        Raises
        ------
        DataVersionMismatch
            If the dataset is simple: `get` has its columns, too, as an array.
        """
        _rewind(cursor, start_over)
        if not self.extended:
            raise DataVersionMismatch(f"dataset {self.name!r} is a simple one: use get")
        rows = self._page(cursor, limit)
        return tuple(rows[name] for name in rows.dtype.names or ())

    def fields(
        self, cursor: Cursor, limit: int | None = None, start_over: bool = False
    ) -> list[NDArray[Any]]:
        """What `get_ex` gives, by column; of a simple dataset that array alone."""
        rows = self.get_ex(cursor, limit, start_over)
        return [rows[name] for name in rows.dtype.names] if rows.dtype.names else [rows]

    def unread(self, cursor: Cursor) -> bool:
        """Whether there are rows behind the cursor's position."""
        return cursor.position < self.rows

    def _page(self, cursor: Cursor, limit: int | None) -> NDArray[Any]:
        stop = end_of_page(cursor.position, limit, self.rows)
        rows = self.store.read(cursor.position, stop)
        cursor.position += len(rows)
        return rows

    # -- parameters and comments in ----------------------------------------------------------------

    def checked_parameters(
        self, given: Iterable[tuple[str, Any]]
    ) -> tuple[dict[str, str], VaultError | None]:
        """Parameters as texts, up to the first that can't be added, and why that can't."""
        used, texts = set(self.store.parameters), dict[str, str]()
        try:
            for name, value in given:
                self._check_name(name, used | texts.keys())
                texts[name] = to_data_url(value)
        except VaultError as error:
            return texts, error
        return texts, None

    def _check_name(self, name: str, used: set[str]) -> None:
        check_text(name, "the name of a parameter")
        if len(name.encode()) > MOST_NAME_BYTES:
            raise BadArgument(f"the name {name!r:.60} is longer than {MOST_NAME_BYTES} bytes")
        if name in used:
            raise ParameterInUse(f"dataset {self.name!r} has a parameter {name!r} already")

    def add_parameter(self, name: str, value: Any) -> None:
        """Add a parameter.

        Raises
        ------
        ParameterInUse
            If there is one of that name.
        LabradError
            If LabRAD has no type for the value.
        """
        self.add_parameters([(name, value)])

    def add_parameters(self, given: Iterable[tuple[str, Any]]) -> None:
        """Add parameters in order; those before the first that can't be added stay."""
        texts, error = self.checked_parameters(given)
        self._file().add_parameters(texts)
        if error is not None:
            raise error

    def checked_comment(self, comment: str, user: str, now: float) -> Comment:
        """A comment, if its texts can be stored; raises `BadArgument`."""
        check_text(comment, "a comment")
        check_text(user, "the user of a comment")
        return Comment(now, user, comment)

    def add_comment(self, comment: str, user: str = "anonymous", *, now: float) -> None:
        """Add a comment, with its time in seconds since 1970-01-01 UTC."""
        self._file().add_comments([self.checked_comment(comment, user, now)])


def _rewind(cursor: Cursor, start_over: bool) -> None:
    # As in the original, also if the call then fails.
    if start_over:
        cursor.position = 0
