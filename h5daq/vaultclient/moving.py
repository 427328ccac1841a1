"""The rows of the open dataset: adding them, and reading on. A part of `VaultContext`.

Rows are arrays on both sides and columns on the wire. What is too large for one message goes in
stretches, and comes in pages, without the user's doing.
"""

from __future__ import annotations

import time
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from h5daq.flow.vaultwire import Field, decode_columns, encode_columns
from h5daq.vaultclient.ahead import Ahead, Came, Taken
from h5daq.vaultclient.gathered import Gathered
from h5daq.vaultclient.line import Answer, Line
from h5daq.vaultclient.pipeline import Pipeline
from h5daq.vaultclient.place import Place
from h5daq.vaultclient.reading import Page
from h5daq.vaultclient.rows import (
    as_array,
    as_table,
    from_columns,
    from_floats,
    from_rows,
    pages,
    structured,
)

__all__ = ["Rows"]


class Rows:
    """The verbs that move rows."""

    _line: Line
    _place: Place

    # -- rows in ---------------------------------------------------------------------------------

    def add(self, rows: Any) -> None:
        """Add rows of floats; returns when they are committed.

        Parameters
        ----------
        rows : array_like
            Shape (columns,) or (rows, columns).

        Raises
        ------
        BadData
            If they don't fit the columns; none is taken. Over 32 MiB they go in stretches of
            that size, and those before the bad one are taken.
        ReadOnly
            If the dataset is not open for writing.
        """
        self._add("add", from_floats(rows))

    def add_ex(self, rows: Any) -> None:
        """Add a list of tuples or a structured array; as `add` otherwise."""
        self._add("add_ex", from_rows(rows))

    def add_ex_t(self, columns: Any) -> None:
        """Add one array or list per column, each of shape (rows, …); as `add` otherwise."""
        self._add("add_ex_t", from_columns(columns))

    def pipeline(self, buffer_bytes: int = 8 << 20, timeout: float | None = None) -> Pipeline:
        """Add rows without waiting for each answer.

        Parameters
        ----------
        buffer_bytes : int
            What may wait to be sent; an add beyond that waits itself.
        timeout : float, optional
            Seconds that an add without room, or a `flush`, waits at most; by default as the verbs.

        Returns
        -------
        Pipeline
            With `add`, `add_ex`, `add_ex_t` and `flush`. The end of its ``with`` returns when all
            is committed, or raises what went wrong.

        Examples
        --------
        >>> with vault.pipeline() as rows:  # doctest: +SKIP
        ...     for delay in delays:
        ...         rows.add([delay, measure(delay)])
        """
        seconds = self._line.timeout if timeout is None else timeout
        return Pipeline(partial(self._add, wait=False), buffer_bytes, seconds)

    def _add(self, verb: str, columns: list[Field], wait: bool = True) -> None:
        with self._line.turn():
            # Of nothing it is not known which columns it has; there is nothing to be done, either.
            for page in pages(columns) if columns else ():
                fields, frames = encode_columns(page)
                self._line.ask(verb, fields, frames, wait=wait)

    # -- rows out --------------------------------------------------------------------------------

    def get(self, limit: int | None = None, start_over: bool = False) -> NDArray[np.float64]:
        """The rows of floats that this context has not read yet.

        Parameters
        ----------
        limit : int, optional
            Most rows.
        start_over : bool
            Begin with the first row.

        Returns
        -------
        ndarray
            Shape (rows, columns); no rows at the end.

        Raises
        ------
        DataVersionMismatch
            If the dataset has other columns than scalar floats: use `get_ex`.
        """
        return as_table(self._read("get", limit, start_over))

    def get_ex(self, limit: int | None = None, start_over: bool = False) -> NDArray[Any]:
        """The next rows of any dataset, as `get` otherwise.

        Returns
        -------
        ndarray
            A structured array with the fields ``f0``, ``f1`` … (``tolist()`` makes tuples of it);
            of a simple dataset the array that `get` returns.
        """
        with self._line.turn():
            columns = self._read("get_ex", limit, start_over)
            return as_table(columns) if self._simple(columns) else structured(columns)

    def _simple(self, columns: list[Field]) -> bool:
        """Whether these are rows of floats; or else one column, whose entries are arrays."""
        column = columns[0] if len(columns) == 1 else None
        if not isinstance(column, np.ndarray) or column.ndim != 2 or column.dtype.kind != "f":
            return False
        if self._place.width is None:
            self._place.width = sum(map(len, self._line.ask("variables").result))
        # An array of one element is a scalar to the vault, and so are all columns of simple rows.
        return bool(column.shape[1] == self._place.width)

    def get_ex_t(
        self, limit: int | None = None, start_over: bool = False
    ) -> tuple[NDArray[Any], ...]:
        """The next rows as columns, each of shape (rows, …); texts are arrays of objects."""
        return tuple(map(as_array, self._read("get_ex_t", limit, start_over)))

    def _read(self, verb: str, limit: int | None, start_over: bool) -> list[Field]:
        with self._line.turn():
            if self._line.ahead:
                return self._read_ahead(verb, limit, start_over)
            gathered = Gathered()
            ask, passing = partial(self._page, verb, gathered), partial(self._page, "get_ex", None)
            self._place.rows.read(ask, limit, start_over, passing=passing)
            return gathered.columns()

    def _read_ahead(self, verb: str, limit: int | None, start_over: bool) -> list[Field]:
        position = self._place.rows
        reading = Ahead(0 if start_over else position.at, limit, self._line.ahead)
        gathered, coming = Gathered(), 0
        with self._line.reading():
            while not reading.done:
                wishes = reading.wishes(time.monotonic())
                if wishes:
                    args = [wish.args() for wish in wishes]
                    self._line.put(verb, args, coming * reading.asked)
                coming = self._take(gathered, reading, self._line.heard())
        position.at = reading.at
        return gathered.columns()

    def _take(self, gathered: Gathered, reading: Ahead, answer: Answer) -> int:
        """A page; how many bytes it had."""
        told = answer.result
        came = Came(told["first"], told["n"], told.get("more") is True, told.get("ahead") or ())
        taken = reading.take(came, time.monotonic())
        if taken is Taken.ANOTHER:
            gathered.clear()
        else:
            gathered.take(decode_columns(told, answer.frames), int(told.get("left") or 0))
        if taken is not Taken.GOES_ON:
            self._line.give_up()
        return sum(map(len, answer.frames))

    def _page(
        self, verb: str, gathered: Gathered | None, limit: int | None, start_over: bool
    ) -> Page[None]:
        answer = self._line.ask(verb, {"limit": limit, "start_over": start_over})
        told = answer.result
        if gathered is not None and not answer.once:
            # What this reading has brought is asked for once more.
            gathered.clear()
        elif gathered is not None:
            gathered.take(decode_columns(told, answer.frames), int(told.get("left") or 0))
        return Page(None, told["n"], told.get("more") is True, answer.once)
