"""New rows of a run while it is recorded, each once: from its files, as checkpoints bring them in.

A `Follower` remembers for each file and group how many rows it has given, and gives what stands
behind them. Files are known by their ids, so that neither a rollover nor a last name gives a row
twice, nor does a file whose checkpoint waits for some reader while the next one has its own.

With a client the writer is asked to bring what is committed into the files when there is news, so
rows are had as soon as they are committed, and not when a checkpoint is due.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from h5daq.errors import NoAnswer, StorageError
from h5daq.files.group import Group, Piece
from h5daq.files.times import as_seconds
from h5daq.flow.names import is_own
from h5daq.storage.redo import redo_path
from h5daq.storage.runs.catalog import Catalog
from h5daq.storage.runs.contents import TIME, FileHead, GroupInfo
from h5daq.storage.runs.order import Run

if TYPE_CHECKING:
    from h5daq.client import Client

__all__ = ["Follower", "NewRows", "News", "follow"]

_BLOCK_BYTES = 64 << 20
"""Most bytes of rows that are given at once."""

_FLUSH_SECONDS = 2.0
"""How long a flush is waited for; it goes on all the same."""


class NewRows:
    """Rows of one job that came in, in memory.

    Parameters
    ----------
    name : str
        The job's group.
    columns : dict of str to ndarray
        By label, ``time`` first; each of shape ``(rows, *shape of a row)``, text as ``str``.
    """

    def __init__(self, name: str, columns: dict[str, NDArray[Any]]) -> None:
        self.name, self.columns = name, columns

    def __len__(self) -> int:
        return len(self.columns[TIME])

    def __getitem__(self, label: str) -> NDArray[Any]:
        return self.columns[label]

    @property
    def times(self) -> NDArray[Any]:
        """UTC seconds since 1970-01-01 of each row."""
        return as_seconds(self.columns[TIME])

    def __repr__(self) -> str:
        return f"<NewRows: {len(self)} rows of {self.name!r}>"


def _block_rows(info: GroupInfo) -> int:
    columns = info.columns.values()
    row = sum(column.dtype.itemsize * math.prod(column.shape) for column in columns)
    return max(1, _BLOCK_BYTES // max(1, row))


class Follower:
    """Gives new rows of a run's files at each look.

    Parameters
    ----------
    run : Run
        Which run; also files of it that come later, beside those that are there, are looked at.
    groups : iterable of str
        Which groups; those of all jobs that there are, and will be, if empty.
    patience : float
        Seconds to wait for a file that is busy.
    """

    def __init__(self, run: Run, groups: Iterable[str] = (), patience: float = 5.0) -> None:
        self._run = run.id
        self._catalog = Catalog(run.files[-1].path.parent, run.id, patience)
        self._wanted = tuple(name.strip("/") for name in groups)
        self._given: dict[tuple[object, str], int] = {}
        self.ended = False

    def skip(self) -> None:
        """Count the rows that are there as given."""
        for name, piece in self._pieces():
            self._given[piece.head.key, name] = piece.info.rows

    def look(self) -> Iterator[NewRows]:
        """The rows that have come since the last look; `ended` is set if no more will come."""
        # First, so that what the last file says is no older than its rows.
        ended = self._is_over(self._catalog.files())
        for name, piece in self._pieces():
            key = piece.head.key, name
            rows, most = range(self._given.get(key, 0), piece.info.rows), _block_rows(piece.info)
            for begin in rows[::most]:
                part = range(begin, min(begin + most, rows.stop))
                # Counted before it is handed out: whoever breaks off has had it.
                columns = Group(name, [piece], self._catalog, part).read()
                self._given[key] = part.stop
                yield NewRows(name, columns)
        self.ended = ended

    def _pieces(self) -> Iterator[tuple[str, Piece]]:
        for head in self._catalog.files():
            jobs = (name for name in self._catalog.names(head) if not is_own(name))
            for name in self._wanted or jobs:
                info = self._catalog.group(head, name)
                if info is not None:
                    yield name, Piece(head, info, 0)

    def _is_over(self, heads: tuple[FileHead, ...]) -> bool:
        end = heads[-1].attrs.get("run_end")
        if not isinstance(end, float) or end != end:
            return False
        # An earlier file may still wait for a reader to take its last rows in.
        return not any(redo_path(head.path).exists() for head in heads)


def follow(
    follower: Follower, wait: Callable[[], None], timeout: float | None
) -> Iterator[NewRows]:
    """Look again and again until the run has ended.

    Parameters
    ----------
    follower : Follower
        What is looked at.
    wait : callable
        Waits until there may be news.
    timeout : float or None
        Seconds without a row after which to give up.

    Raises
    ------
    NoAnswer
        If nothing came for so long.
    """
    last = time.monotonic()
    while True:
        for rows in follower.look():
            yield rows
            last = time.monotonic()
        if follower.ended:
            return
        if timeout is not None and time.monotonic() - last > timeout:
            raise NoAnswer(f"no row within {timeout:g} s, and the run has not ended")
        wait()


class News:
    """Waits for a writer to tell of rows, and has it bring them into the files.

    Parameters
    ----------
    client : Client
        Connected to the writer of the run.
    run : str
        The run's name: news of others, and of the vault, are none.
    every : float
        Seconds between two looks: at least when there is news, at most when there is none.
    """

    def __init__(self, client: Client, run: str, every: float) -> None:
        # It brings the sockets, which files have no use for.
        from h5daq.client import subscribe

        self._client, self._every = client, every
        path = run.strip("/") or "run"
        self._signals = subscribe(
            client.signals_endpoint, ["data-available"], path, timeout=every, keys=client.keys
        )

    def __call__(self) -> None:
        """Wait; a writer that does not answer may have ended, as the files will say."""
        time.sleep(self._every)
        with suppress(NoAnswer, StorageError):
            self._signals.receive(self._every)
            self._client.request("flush", timeout=_FLUSH_SECONDS)

    def close(self) -> None:
        """Hear no more."""
        self._signals.close()
