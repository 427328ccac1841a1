"""Open what was recorded: ``h5daq.open("data")["tank/temperature"].between("2026-11-21", …)``.

A `Recording` is a run as one whole, however many files it was rolled over into, and also while it
goes on. Each ``recording[group]`` looks at the disk again, so a script that asks twice sees the
rows that came meanwhile. Within ``with h5daq.open(…) as recording`` the state stands still.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

from h5daq.errors import ConfigKeyError
from h5daq.files.group import Group, Piece
from h5daq.storage.runs.catalog import Catalog, Source
from h5daq.storage.runs.order import Run

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
        """Groups that have rows in any of the files."""
        names = (name for head in self._catalog.files() for name in self._catalog.names(head))
        return tuple(dict.fromkeys(names))

    def __iter__(self) -> Iterator[str]:
        return iter(self.groups)

    def __len__(self) -> int:
        return len(self.groups)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.strip("/") in self.groups

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
