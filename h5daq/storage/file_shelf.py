"""Where a run's files come from: found as they were left, or made, and never in another's place.

A file that others have removed, replaced or damaged is left as it is, and not written to any more;
the rows that come go to a new one, whose name is free. What was in the old one is said.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from h5daq.errors import FileBusy, FileDamaged
from h5daq.flow.records import RunRecord
from h5daq.flow.states import FileState
from h5daq.storage.find import find_files, free_path
from h5daq.storage.layouts.run import RunFile
from h5daq.storage.run_record import file_head, file_options
from h5daq.storage.transaction import recover

__all__ = ["BuilderOptions", "FileShelf", "still_waits"]

log = logging.getLogger("h5daq.storage.checkpoint")


@dataclass(frozen=True, slots=True)
class BuilderOptions:
    """What all files of a writer have in common."""

    directory: Path
    durable: bool = True
    overlay_bytes: int = 64 << 20


class FileShelf:
    """Finds and makes run files.

    Parameters
    ----------
    options : BuilderOptions
        Directory and durability.

    Attributes
    ----------
    left_alone : set of Path
        What had the name of a run file, and is another one or damaged.
    """

    def __init__(self, options: BuilderOptions) -> None:
        self.left_alone: set[Path] = set()
        self._options = options
        self._gone: set[int] = set()

    def find(self, run: RunRecord | None, state: FileState, *, anywhere: bool) -> RunFile | None:
        """The file as it was left at its last checkpoint; None if there is none, or none whole.

        Parameters
        ----------
        run : RunRecord or None
            The run that it belongs to.
        state : FileState
            The file.
        anywhere : bool
            Look for it under other names than the planned one, too.
        """
        planned = self._options.directory / state.name
        strange = self.left_alone
        for path in find_files(planned, state.id, anywhere=anywhere, strange=strange):
            try:
                return self.reopen(run, path)
            except FileDamaged as error:
                strange.add(path)
                log.error("%s: it is left as it is, and not written to any more", error)
        return None

    def reopen(self, run: RunRecord | None, path: Path) -> RunFile:
        """Go on with a file; for errors see `RunFile.reopen`."""
        return RunFile.reopen(path, **self._arguments(run))

    def create(self, run: RunRecord | None, state: FileState, rows: int) -> RunFile:
        """Make a file of a name that is free; `rows` were in it when it was there last.

        Raises
        ------
        FileDamaged
            If there is no run.
        StorageError
            If it can't be made.
        """
        if run is None:
            raise FileDamaged("the journal holds rows before any run")
        path = free_path(self._options.directory / state.name)
        if rows and state.id not in self._gone:
            self._gone.add(state.id)
            log.error(
                "%s held %d rows at its last checkpoint, and was removed, replaced or damaged: "
                "these rows are not in %s, which takes those that came after them",
                state.name, rows, path.name,
            )  # fmt: skip
        return RunFile.create(path, file_head(run, state), **self._arguments(run))

    def _arguments(self, run: RunRecord | None) -> dict[str, Any]:
        durable, overlay_bytes = self._options.durable, self._options.overlay_bytes
        return {**file_options(run), "durable": durable, "overlay_bytes": overlay_bytes}


def still_waits(path: Path) -> bool:
    """Whether a reader still keeps the end of a sealed file from being applied."""
    try:
        found = recover(path)
    except FileBusy:
        return True
    except OSError as error:
        log.error("%s: its end is left to the next start: %s", path, error)
        return False
    return found is not None and found.action == "pending"
