"""Who is told of what: notes to contexts that listen, and signals to everybody.

Notes of a directory go to every context that is in it, one per event. Notes of a dataset go by the
latch: at most one between two reads. What one request causes is gathered here, and is sent before
its reply, when the change is committed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from h5daq.flow.latch import Kind, Latch, Telling
from h5daq.flow.requests import Note
from h5daq.flow.variables import Columns
from h5daq.vault.contexts import Context, ContextKey, Contexts, DatasetKey
from h5daq.vault.names import VaultPath

__all__ = ["DIRECTORY_KINDS", "Bulletin", "Newest", "Signal", "Told", "joined", "newest"]

DIRECTORY_KINDS = ("new-dir", "new-dataset", "tags-updated")
"""Signals of directories; the others are the kinds of the latch."""

_SHOWN, _SHOWN_TEXT = 64, 256
"""Elements of an array, and characters of a text, that signals show at most."""

Signal = tuple[str, str, dict[str, Any]]
"""Kind, path and fields of what everybody is told."""


class Told(NamedTuple):
    """A note for a context; with what the latch is to hear of if it can't be sent."""

    context: ContextKey
    note: Note
    telling: Telling[ContextKey, DatasetKey] | None = None


class Bulletin:
    """Gathers what a request causes.

    Parameters
    ----------
    contexts : Contexts
        Who is where.

    Attributes
    ----------
    latch : Latch
        Who is to be told of a dataset's news.
    """

    def __init__(self, contexts: Contexts) -> None:
        self._contexts = contexts
        self.latch: Latch[ContextKey, DatasetKey] = Latch()
        self._told: list[Told] = []
        self._signals: list[Signal] = []

    def take(self) -> tuple[list[Told], list[Signal]]:
        """What was gathered since the last time."""
        told, signals = self._told, self._signals
        self._told, self._signals = [], []
        return told, signals

    # -- listeners -------------------------------------------------------------------------------

    def listen(self, context: Context, kind: str, mid: int | None) -> None:
        """Register for a signal, or with None end that. A second registration changes nothing."""
        if kind in DIRECTORY_KINDS:
            if mid is None:
                context.listens.pop(kind, None)
            else:
                context.listens.setdefault(kind, mid)
        elif mid is None:
            self.latch.disconnect(context.key, Kind(kind))
        else:
            self.latch.connect(context.key, Kind(kind), mid)

    # -- directories -----------------------------------------------------------------------------

    def new_dir(self, path: VaultPath) -> None:
        """A directory was made."""
        *above, name = path
        fields = {"path": joined(tuple(above)), "name": name}
        self._of_directory("new-dir", tuple(above), name, fields)

    def new_dataset(self, path: VaultPath, name: str, labels: list[str]) -> None:
        """A dataset was made."""
        fields = {"path": joined(path), "name": name, "columns": labels}
        self._of_directory("new-dataset", path, name, fields)

    def tags_updated(self, path: VaultPath, directories: Any, datasets: Any) -> None:
        """Tags have changed; each name comes with all its tags."""
        payload = [[list(pair) for pair in directories], [list(pair) for pair in datasets]]
        fields = {"path": joined(path), "directories": payload[0], "datasets": payload[1]}
        self._of_directory("tags-updated", path, payload, fields)

    def _of_directory(
        self, kind: str, path: VaultPath, payload: Any, fields: dict[str, Any]
    ) -> None:
        self.tell_directory(kind, path, payload)
        self._signals.append((kind, joined(path), fields))

    def tell_directory(self, kind: str, path: VaultPath, payload: Any) -> None:
        """Notes to those who are in a directory, and to nobody else."""
        for context in self._contexts.at(path):
            if kind in context.listens:
                note = Note(context.key[1], kind, context.listens[kind], payload)
                self._told.append(Told(context.key, note))

    # -- datasets --------------------------------------------------------------------------------

    def news(self, dataset: DatasetKey, kind: Kind, **fields: Any) -> None:
        """Something was added to a dataset."""
        self.tell(self.latch.news(dataset, kind))
        path = joined((*dataset[0], dataset[1]))
        self._signals.append((kind.value, path, {"path": path, **fields}))

    def added(
        self,
        dataset: DatasetKey,
        place: str,
        rows: int,
        total: int,
        now: float,
        last: dict[str, Any] | Newest,
    ) -> None:
        """Rows were added to a dataset; `place` is its path joined, `last` the newest by label."""
        told = self.latch.news(dataset, Kind.DATA)
        if told:
            self.tell(told)
        fields = {"path": place, "rows": rows, "total": total, "last_time": now, "last": last}
        self._signals.append((Kind.DATA.value, place, fields))

    def tell(self, tellings: Sequence[Telling[ContextKey, DatasetKey]]) -> None:
        """Notes that the latch asks for."""
        dataset: DatasetKey | None = None
        payload: dict[str, Any] = {}
        for telling in tellings:
            if telling.dataset is not dataset:
                dataset = telling.dataset
                payload = {"path": list(dataset[0]), "name": dataset[1]}
            note = Note(telling.context[1], telling.kind.value, telling.mid, payload)
            self._told.append(Told(telling.context, note, telling))


def joined(path: VaultPath) -> str:
    """A path as signals have it: without the root's empty name."""
    return "/".join(path[1:])


class Newest:
    """The last of some rows; most of them are never told, so it is made out when one is packed.

    Parameters
    ----------
    columns : Columns
        The dataset's.
    rows : ndarray or bytes
        Floats of shape (rows, columns), or one row as it lies in memory.
    """

    __slots__ = ("_columns", "_rows")

    def __init__(self, columns: Columns, rows: NDArray[Any] | bytes) -> None:
        self._columns, self._rows = columns, rows

    def tolist(self) -> dict[str, Any]:
        """It by label, as `newest` gives it: what the packing of a message asks for."""
        last = self._rows if isinstance(self._rows, bytes) else self._rows[-1].tobytes()
        return newest(self._columns, np.frombuffer(last, dtype=self._columns.dtype))


def newest(columns: Columns, rows: NDArray[Any]) -> dict[str, Any]:
    """The last of some rows by label, for who watches; long arrays are left out.

    Examples
    --------
    >>> columns = Columns.simple(["f [GHz]"], ["S21"])
    >>> newest(columns, np.array([(1.0, 2.5)], dtype=columns.dtype))
    {'f': 1.0, 'S21': 2.5}
    """
    if not len(rows):
        return {}
    pairs = zip(columns.all, rows[-1], strict=True)
    return {column.label: _shown(value) for column, value in pairs if np.size(value) <= _SHOWN}


def _shown(value: Any) -> Any:
    if isinstance(value, str):
        return value[:_SHOWN_TEXT]
    array = np.asarray(value)
    if array.dtype.kind == "c":
        array = np.stack([array.real, array.imag], axis=-1)
    return array.tolist()
