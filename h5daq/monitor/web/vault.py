"""The vault as a page sees it: its tree, what is said of a dataset, and its rows as they come.

Each dataset that somebody looks at has a context of its own at the writer, which reads on; one more
serves for looking around and for comments. A context that the writer has forgotten is made anew.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from h5daq.client import Client
from h5daq.errors import ContextLost, DatasetNotFound
from h5daq.monitor.connection import Connection
from h5daq.monitor.thin import envelope, real
from h5daq.monitor.web.packed import doubles
from h5daq.monitor.web.summary import plain
from h5daq.monitor.web.traces import Floats
from h5daq.monitor.web.views import Message, View, band, shown
from h5daq.vaultclient import VaultContext

__all__ = ["VaultRoom", "VaultView"]

T = TypeVar("T")

LEASE_SECONDS = 60.0
ANSWER_SECONDS = 10.0
MOST_COMMENTS = 500
AT_ONCE = 20_000
"""Rows of one look at a dataset; the rest comes with the next ones."""

KEPT_POINTS = 1500

_DTYPES = {"i": "int32", "t": "int64", "v": "float64", "c": "complex128", "s": "object"}
"""What the vault's types are as columns of files, of which it tells no more."""


class VaultRoom:
    """Looking around in the vault.

    Parameters
    ----------
    connection : Connection
        To the running system.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection, self._lock = connection, threading.Lock()
        self._vault: VaultContext | None = None
        self._client: Client | None = None

    @property
    def client(self) -> Client:
        """By which contexts are had at present."""
        return self._connection.look

    def enter(self) -> VaultContext:
        """A new context at the root."""
        return self.client.vault(timeout=ANSWER_SECONDS, lease=LEASE_SECONDS)

    def directory(self, path: Sequence[str]) -> dict[str, Any]:
        """Directories and datasets of a directory, each with its tags."""

        def look(vault: VaultContext) -> dict[str, Any]:
            vault.cd(["", *path])
            directories, datasets = vault.dir_tags()
            return {"directories": directories, "datasets": datasets}

        return self._with(look)

    def about(self, path: Sequence[str]) -> dict[str, Any]:
        """Columns, parameters, comments and tags of a dataset."""

        def look(vault: VaultContext) -> dict[str, Any]:
            name = _open(vault, path)
            return {
                "columns": columns(vault),
                "attrs": {key: plain(value) for key, value in vault.get_parameters().items()},
                "comments": _comments(vault),
                "tags": dict(vault.dir_tags([])[1]).get(name, []),
            }

        return self._with(look)

    def job_columns(self, path: Sequence[str]) -> list[dict[str, Any]]:
        """The columns of a run's job, as the run's files would tell them."""

        def look(vault: VaultContext) -> list[dict[str, Any]]:
            _open(vault, path)
            return [
                {"label": label, "dtype": _DTYPES.get(kind, kind), "shape": _shape(shape),
                 "unit": unit, "description": legend}
                for label, legend, shape, kind, unit in vault.variables_ex()[1]
            ]  # fmt: skip

        return self._with(look)

    def comments(self, path: Sequence[str]) -> list[list[Any]]:
        """The last comments of a dataset: time, user, text."""

        def look(vault: VaultContext) -> list[list[Any]]:
            _open(vault, path)
            return _comments(vault)

        return self._with(look)

    def comment(self, path: Sequence[str], text: str, user: str) -> None:
        """Add a comment to a dataset; returns when it is committed."""

        def say(vault: VaultContext) -> None:
            _open(vault, path)
            vault.add_comment(text, user)

        self._with(say)

    def _with(self, do: Callable[[VaultContext], T]) -> T:
        with self._lock:
            try:
                return do(self._here())
            except ContextLost:
                self._vault = None
                return do(self._here())

    def _here(self) -> VaultContext:
        if self._vault is None or self._vault.lost or self._client is not self.client:
            self._client = self.client
            self._vault = self.enter()
        return self._vault


def _open(vault: VaultContext, path: Sequence[str]) -> str:
    if not path:
        raise DatasetNotFound("the root of the vault is no dataset")
    vault.cd(["", *path[:-1]])
    return vault.open(path[-1])[1]


def _comments(vault: VaultContext) -> list[list[Any]]:
    return [[c.time, c.user, c.comment] for c in vault.get_comments()[-MOST_COMMENTS:]]


def columns(vault: VaultContext) -> list[dict[str, Any]]:
    """The columns of the open dataset; a scalar has the shape ``[]``."""
    independents, dependents = vault.variables_ex()
    found = [
        {"label": label, "unit": unit, "dtype": kind, "shape": _shape(shape), "role": "independent"}
        for label, shape, kind, unit in independents
    ]
    for label, legend, shape, kind, unit in dependents:
        name = f"{label} ({legend})" if legend else label
        found.append({"label": name, "unit": unit, "dtype": kind, "shape": _shape(shape),
                      "role": "dependent"})  # fmt: skip
    return found


def _shape(shape: Sequence[int]) -> list[int]:
    return [] if math.prod(shape) == 1 and len(shape) <= 1 else list(shape)


class VaultView(View):
    """Columns of a dataset: scalars over the first independent, or one array's newest row.

    Parameters
    ----------
    room : VaultRoom
        Gives it a context.
    rows : callable
        Tells how often the dataset has had news.
    path : sequence of str
        Directories and the dataset's name.
    labels : list of str
        Columns, as `columns` names them.
    mode : str
        ``curves``, or a mode of `ArrayView`.
    """

    def __init__(self, room: VaultRoom, path: Sequence[str], labels: list[str], mode: str) -> None:
        self._room, self._path, self._labels, self._mode = room, path, labels, mode
        self._vault: VaultContext | None = None
        self._columns: list[dict[str, Any]] = []
        self._count, self._news = 0, threading.Event()
        self._client: Client | None = None

    def due(self) -> bool:
        """Whether the writer has told of rows, or some are left."""
        return self._news.is_set() or self._is_lost()

    def _is_lost(self) -> bool:
        lost = self._vault is None or self._vault.lost
        return lost or self._client is not self._room.client

    def first(self) -> Message | None:
        """The rows that there are, as far as they come at once."""
        if self._vault is not None:
            self._vault.close()
        self._client = self._room.client
        vault = self._vault = self._room.enter()
        _open(vault, self._path)
        self._columns, self._count = columns(vault), 0
        vault.on("data-available", lambda _signal: self._news.set())
        return self._read(reset=True)

    def more(self) -> Message | None:
        """The rows since."""
        try:
            return self.first() if self._is_lost() else self._read()
        except ContextLost:
            return self.first()

    def close(self) -> None:
        """Give the context back."""
        if self._vault is not None:
            self._vault.close()

    def _read(self, *, reset: bool = False) -> Message | None:
        self._news.clear()
        table = self._table()
        rows = len(table[0]) if table else 0
        begin, self._count = self._count, self._count + rows
        if rows == AT_ONCE:
            self._news.set()
        if not rows and not reset:
            return None
        named = dict(zip([column["label"] for column in self._columns], table, strict=False))
        if self._mode == "curves":
            return self._curves(named, begin, rows, reset)
        return self._array(named, begin, rows, reset)

    def _table(self) -> list[NDArray[Any]]:
        """The rows that were not read yet, column by column."""
        assert self._vault is not None
        rows = self._vault.get_ex(AT_ONCE)
        if rows.dtype.names is None:
            return list(rows.T)
        return [rows[field] for field in rows.dtype.names]

    def _curves(
        self, named: dict[str, NDArray[Any]], begin: int, rows: int, reset: bool
    ) -> Message:
        x, label = self._axis(named, begin, rows)
        ys = {name: real(named[name]) for name in self._labels if name in named}
        x, ys = envelope(x, ys, KEPT_POINTS)
        packed = {name: doubles(y) for name, y in ys.items()}
        return {"k": "points", "reset": reset, "x": doubles(x), "y": packed, "axis": label}

    def _axis(self, named: dict[str, NDArray[Any]], begin: int, rows: int) -> tuple[Floats, str]:
        for column in self._columns:
            if column["role"] == "independent" and not column["shape"]:
                values = real(named[column["label"]])
                unit = f" [{column['unit']}]" if column["unit"] else ""
                return values, f"{column['label']}{unit}"
        return np.arange(begin, begin + rows, dtype=np.float64), "row"

    def _array(
        self, named: dict[str, NDArray[Any]], begin: int, rows: int, reset: bool
    ) -> Message | None:
        values = named.get(self._labels[0])
        if values is None or not rows:
            return None
        if self._mode == "waterfall":
            last = values[-150:]
            numbers = np.arange(begin + rows - len(last), begin + rows, dtype=np.float64)
            return band(numbers, last, reset=reset)
        return shown(self._mode, float(begin + rows - 1), values[-1])
