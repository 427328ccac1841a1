"""Adds that are like the one before: what was found out about that need not be found out again.

A request whose arguments are the very object that an earlier one had (see `flow.familiar`), in the
same context with the same dataset open, differs in its data alone. Where the columns came in just
the kinds that the dataset has, no value can be refused, and the length of the data is all that is
left to look at.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from h5daq.flow.records import PackedAdd, RowsForm
from h5daq.flow.requests import Request
from h5daq.flow.variables import DTYPES, Columns
from h5daq.vault.bulletin import joined
from h5daq.vault.contexts import DatasetKey

__all__ = ["AddPlan"]


class AddPlan:
    """How to take rows that come as they came before. Made by `of`.

    Attributes
    ----------
    count : int
        Rows of each add.
    place : str
        The dataset's path, as signals have it.
    """

    def __init__(
        self, request: Request, key: DatasetKey, args: dict[str, Any], dtype: np.dtype[Any]
    ) -> None:
        self._args, self._verb = request.args, request.verb
        self._size = len(request.frames[0])
        self.count = int(args["n"])
        self._form = RowsForm(request.session, list(key[0]), key[1], args, self._size)
        self.place = joined((*key[0], key[1]))
        self._dtype = dtype
        self._table = len(request.args["columns"]) < len(args["columns"])

    @classmethod
    def of(
        cls, request: Request, key: DatasetKey, columns: Columns, fields: list[Any]
    ) -> AddPlan | None:
        """The plan after an add that was taken; None if it says nothing of the next one.

        Parameters
        ----------
        request : Request
            The add.
        key, columns
            The dataset's.
        fields : list
            The columns that it brought.
        """
        if not fields or not all(map(_fits, columns.all, fields)):
            return None
        count = len(fields[0])
        if not count or (count > 1 and not columns.plain):
            return None
        specs = [[field.dtype.str, list(field.shape[1:])] for field in fields]
        return cls(request, key, {"n": count, "columns": specs}, columns.dtype)

    def fits(self, request: Request) -> bool:
        """Whether this add is like that one."""
        return (
            request.args is self._args
            and request.verb == self._verb
            and len(request.frames) == 1
            and len(request.frames[0]) == self._size
        )

    def rows(self, request: Request) -> bytes | NDArray[Any]:
        """Its rows: floats of shape (rows, columns), or a single one as it lies in memory."""
        data = request.frames[0]
        if self.count == 1:
            return data if isinstance(data, bytes) else bytes(data)
        floats = np.frombuffer(data, "<f8")
        return floats.reshape(self.count, -1) if self._table else floats.reshape(-1, self.count).T

    def record(self, request: Request, now: float) -> PackedAdd:
        """Its journal entry: by column, however it came."""
        data = request.frames[0]
        if self._table and self.count > 1:
            data = np.frombuffer(data, "<f8").reshape(self.count, -1).T.tobytes()
        return self._form.pack(request.id, now, data)


def _fits(variable: Any, field: Any) -> bool:
    """Whether a column holds nothing that could be refused."""
    if not isinstance(field, np.ndarray) or field.dtype.str != DTYPES[variable.type]:
        return False
    return bool(field.shape[1:] == (() if variable.scalar else variable.shape))
