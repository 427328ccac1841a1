"""What the newest run file of a directory says of its run, when nobody is there to be asked."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import h5py

__all__ = ["LastRun", "last_run"]

_MOST_LOOKED_AT = 20
"""Newest files among which a run file is looked for."""


@dataclass(frozen=True, slots=True)
class LastRun:
    """The last run of a directory.

    Attributes
    ----------
    name : str
        As it was called.
    file : Path
        Its newest file.
    ended : float or None
        When it ended, UTC seconds; None if nobody has ended it yet.
    interrupted : bool
        Whether it ended without being stopped.
    seen : float
        When something of it was last written, UTC seconds.
    """

    name: str
    file: Path
    ended: float | None
    interrupted: bool
    seen: float


def last_run(directory: Path) -> LastRun | None:
    """The last run that has left a file in `directory`; None if there is none."""
    try:
        files = [(p.stat().st_mtime, p) for p in directory.iterdir() if p.is_file()]
        journal = [p.stat().st_mtime for p in (directory / ".h5daq" / "journal").glob("*.seg")]
    except OSError:
        return None
    for written, path in sorted(files, reverse=True)[:_MOST_LOOKED_AT]:
        found = _look(path, max([written, *journal]))
        if found is not None:
            return found
    return None


def _look(path: Path, seen: float) -> LastRun | None:
    try:
        with h5py.File(path, "r", locking=False) as file:
            end, attrs = float(file.attrs["run_end"]), file.attrs
            ended = None if math.isnan(end) else end
            return LastRun(str(attrs["name"]), path, ended, "interrupted" in attrs, seen)
    except (OSError, KeyError, ValueError, TypeError):
        return None
