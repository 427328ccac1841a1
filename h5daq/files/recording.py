"""Open what was recorded: ``h5daq.open("data")["tank/temperature"].between("2026-11-21", …)``.

A `Recording` is a run as one whole, however many files it was rolled over into, and also while it
goes on. Each ``recording[group]`` looks at the disk again, so a script that asks twice sees the
rows that came meanwhile. Within ``with h5daq.open(…) as recording`` the state stands still.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from h5daq.errors import ConfigKeyError
from h5daq.files.events import EVENTS, Row, ends, events_of, restarts_and_jumps, table_of
from h5daq.files.follow import Follower, NewRows, News, follow
from h5daq.files.group import Group, Piece
from h5daq.flow.names import is_own
from h5daq.storage.runs.catalog import Catalog, Source
from h5daq.storage.runs.order import Run

if TYPE_CHECKING:
    from h5daq.client import Client

__all__ = ["Recording", "open_recording"]


def open_recording(
    source: Source, *, run: int | str | None = None, patience: float = 5.0
) -> Recording:
    """The recording in a file, a directory, or the files that a pattern names.

    Parameters
    ----------
    source : path-like, str or list of paths
        A directory gives its newest run; a file, a pattern or a list gives just those files.
    run : int or str, optional
        Which run, if there are several: ``-1`` the newest, ``-2`` the one before, an id, a name;
        ``"all"`` joins them.
    patience : float
        Seconds to wait for a file that the writer (or another program) has locked.

    Raises
    ------
    StorageError
        If there is nothing to open, or it can't be read.
    ConfigError
        If there is no such run.
    """
    recording = Recording(Catalog(source, run, patience))
    # Look once now, so that a wrong path is an error of this line and not of a later one.
    recording.files  # noqa: B018
    return recording


class Recording:
    """The rows of a run (or several), over all its files, by group.

    Parameters
    ----------
    catalog : Catalog
        Finds the files.
    """

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    @property
    def files(self) -> tuple[Path, ...]:
        """The files in the order in which they were begun."""
        return tuple(head.path for head in self._catalog.files())

    @property
    def runs(self) -> tuple[Run, ...]:
        """The runs in view, oldest first."""
        return tuple(self._catalog.chosen())

    @property
    def skipped(self) -> dict[Path, str]:
        """Files that were left out because they are damaged or copies, and why."""
        return dict(self._catalog.skipped)

    @property
    def attrs(self) -> dict[str, Any]:
        """Attributes at the root of the files; where they differ, those of the newest."""
        return {k: v for head in self._catalog.files() for k, v in head.attrs.items()}

    @property
    def groups(self) -> tuple[str, ...]:
        """Groups of jobs that have rows in any of the files."""
        return tuple(name for name in self._names() if not is_own(name))

    @property
    def own_groups(self) -> tuple[str, ...]:
        """Groups below ``h5daq/``, in which the writer keeps its own records, e.g. of events."""
        return tuple(name for name in self._names() if is_own(name))

    def _names(self) -> dict[str, None]:
        names = (name for head in self._catalog.files() for name in self._catalog.names(head))
        return dict.fromkeys(names)

    def __iter__(self) -> Iterator[str]:
        return iter(self.groups)

    def __len__(self) -> int:
        return len(self.groups)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.strip("/") in self._names()

    def __getitem__(self, name: str) -> Group:
        """The rows of a group that are in the files now.

        Raises
        ------
        ConfigKeyError
            If no file has such a group.
        """
        pieces = self._pieces(name.strip("/"))
        if not pieces:
            known = ", ".join(self.groups) or "none"
            raise ConfigKeyError(f"no group {name!r} in the recording; groups: {known}")
        return Group(name.strip("/"), pieces, self._catalog)

    def _pieces(self, name: str) -> list[Piece]:
        pieces, first = [], 0
        for head in self._catalog.files():
            info = self._catalog.group(head, name)
            if info is not None:
                pieces.append(Piece(head, info, first))
                first += info.rows
        return pieces

    @property
    def events(self) -> NDArray[Any]:
        """What happened, over all files, in order of time.

        Returns
        -------
        ndarray
            Structured: ``time`` (UTC seconds since 1970-01-01), ``level`` (``ok``, ``warn``,
            ``alarm``), ``job``, ``column`` (empty where it is about none), ``kind``, ``value``,
            ``limit`` (NaN where there is none), ``text``. Kinds are those of alarms (``low``,
            ``high``, ``stale``, ``down``, ``loss``, ``disk``; ``writer``: it was dead or silent),
            ``restart`` of a worker, ``clock`` that was set (``value``: by how many seconds), and
            ``interrupted``, the end of a run that nobody ended.
            ``pandas.DataFrame(recording.events)`` makes a frame of it.
        """
        infos = (piece.info for name in self.groups for piece in self._pieces(name))
        others = [*restarts_and_jumps(infos), *ends(self._catalog.files())]
        return table_of([*self._recorded(), *others])

    @property
    def alarms(self) -> NDArray[Any]:
        """Those of the `events` that are alarms and their ends; quick, also of very many files."""
        return table_of(self._recorded())

    def _recorded(self) -> Iterator[Row]:
        pieces = self._pieces(EVENTS)
        return events_of(Group(EVENTS, pieces, self._catalog) if pieces else None)

    def follow(
        self,
        *groups: str,
        client: Client | None = None,
        past: bool = False,
        every: float = 0.25,
        timeout: float | None = None,
    ) -> Iterator[NewRows]:
        """New rows of the newest run in view, each once, until the run has ended.

        Rows come as checkpoints bring them into the files. With a client of the run's writer they
        come as soon as they are committed: the writer is asked to flush when it tells of news.

        Parameters
        ----------
        *groups : str
            Which groups; those of all jobs, also of later ones, if none is named.
        client : Client, optional
            Made by `h5daq.connect`; its key must be an operator's, where there are keys.
        past : bool
            Whether to begin with the rows that are there, and not with those that come.
        every : float
            Seconds between two looks.
        timeout : float, optional
            Seconds without a row after which to give up; None waits for ever.

        Yields
        ------
        NewRows
            Rows of one group, in memory: ``rows["T"]``, ``rows.times``, ``rows.name``,
            ``len(rows)``; of each group in the order in which they were taken.

        Raises
        ------
        NoAnswer
            If no row comes for `timeout` seconds.
        StorageError
            If a file can't be read, or is taken away.

        Examples
        --------
        >>> import h5daq
        >>> for rows in h5daq.open("data").follow("tank/temperature"):  # doctest: +SKIP
        ...     print(len(rows), rows["T_top"].mean())
        """
        run = self.runs[-1]
        follower = Follower(run, groups, self._catalog.patience)
        if not past:
            follower.skip()
        return _following(follower, client, run, every, timeout)

    def __enter__(self) -> Recording:
        self._catalog.hold()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of files that a ``with`` kept open; the recording can still be used."""
        self._catalog.release()

    def __repr__(self) -> str:
        names = " and ".join(run.name or "unnamed" for run in self.runs)
        return f"<Recording of {names}: {len(self)} groups in {len(self.files)} files>"


def _following(
    follower: Follower, client: Client | None, run: Run, every: float, timeout: float | None
) -> Iterator[NewRows]:
    # Made here, where it is sure to be closed, and not before somebody iterates.
    news = None if client is None else News(client, run.name, every)
    try:
        yield from follow(follower, news or (lambda: time.sleep(every)), timeout)
    finally:
        if news is not None:
            news.close()
