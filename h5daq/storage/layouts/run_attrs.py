"""The root attributes of a run file; losses, restarts and jumps of the clock of its jobs.

The head is written when a file begins and completed when it ends; between, a checkpoint changes
only ``journal_lsn``. Losses stand with the job they belong to, as ``lost_<cause>``, cumulative
over the run; a job that lost all its rows has a group with nothing but them. Where the clock of
a job's host was set while it was read, ``clock_jumps`` has a pair for each time: when, by the clock
after it (seconds since 1970-01-01 UTC), and by how many seconds (below zero: back).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from importlib import metadata
from typing import Any

import h5py
import numpy as np

from h5daq.flow.names import ROOT_ATTRIBUTES
from h5daq.storage.layouts.attributes import clean_text, write_user_attributes
from h5daq.storage.layouts.groups import require_group
from h5daq.storage.layouts.heads import FileHead

__all__ = ["LAYOUT_VERSION", "JobNotes", "write_end", "write_head"]

LAYOUT_VERSION = 1
"""Raised when a reader of the layout would have to change."""

Restart = tuple[str, float, str]
"""Job, time in seconds, cause."""

Jumps = Sequence[Sequence[float]]
"""Times in seconds, and by how many seconds the clock was set."""

_MOST_JUMPS = 1000
"""An attribute has at most 64 KiB; of more jumps than this the newest are kept."""


def write_head(file: h5py.File, head: FileHead) -> None:
    """Write what is known when the file begins; ``run_end`` is NaN until the run has ended."""
    write_user_attributes(file, head.attrs, ROOT_ATTRIBUTES)
    values: dict[str, Any] = {
        "write_period": float(head.write_period),
        "write_period_jitter": float(head.write_period_jitter),
        "name": clean_text(head.name),
        "rollover_interval": clean_text(head.rollover_interval),
        "run_start": float(head.run_start),
        "run_end": math.nan,
        "file_start": float(head.file_start),
        "file_end": float(head.file_end),
        "previous_file_id": np.uint64(head.previous_file_id),
        "file_id": np.uint64(head.file_id),
        "following_file_id": np.uint64(head.following_file_id),
        "run_id": clean_text(head.run_id),
        "durability": clean_text(head.durability),
        "h5daq_version": _version(),
        "layout_version": LAYOUT_VERSION,
        "journal_lsn": np.int64(0),
    }
    for name, value in values.items():
        file.attrs[name] = value


def write_end(
    file: h5py.File,
    run_end: float | None,
    file_end: float,
    following_file_id: int,
    *,
    interrupted: bool,
) -> None:
    """Complete the head; `run_end` is None where the run goes on in the next file."""
    file.attrs["run_end"] = math.nan if run_end is None else float(run_end)
    file.attrs["file_end"] = float(file_end)
    file.attrs["following_file_id"] = np.uint64(following_file_id)
    if interrupted:
        file.attrs["interrupted"] = 1


class JobNotes:
    """Losses and restarts of jobs, written where they have changed since the last time."""

    def __init__(self) -> None:
        self._lost: dict[str, dict[str, int]] = {}
        self._restarts: dict[str, list[tuple[float, str]]] = {}
        self._jumps: dict[str, Jumps] = {}
        self._written: dict[str, list[tuple[float, str]]] = {}
        self._dirty: set[str] = set()

    @property
    def changed(self) -> bool:
        """Whether there is something to write."""
        return bool(self._dirty)

    def update(
        self,
        losses: Mapping[str, Mapping[str, int]],
        restarts: Iterable[Restart],
        jumps: Mapping[str, Jumps],
    ) -> None:
        """Take counts, restarts and jumps as they are now; all of them, not only the new ones."""
        for job, causes in losses.items():
            counts = {cause: n for cause, n in causes.items() if n}
            if counts != self._lost.get(job, {}):
                self._lost[job] = counts
                self._dirty.add(job)
        for job, events in _by_job(restarts).items():
            if events != self._restarts.get(job):
                self._restarts[job] = events
                self._dirty.add(job)
        for job, leaps in jumps.items():
            if len(leaps) != len(self._jumps.get(job, ())):
                self._jumps[job] = list(leaps)
                self._dirty.add(job)

    def write(self, file: h5py.File) -> None:
        """Write the attributes of the jobs that have changed; a missing group is made."""
        for job in sorted(self._dirty):
            self._write_job(require_group(file, job), job)
        self._dirty.clear()

    def _write_job(self, group: h5py.Group, job: str) -> None:
        for cause, count in self._lost.get(job, {}).items():
            group.attrs.modify(f"lost_{clean_text(cause)}", np.int64(count))
        events = self._restarts.get(job)
        # Only where they are new: HDF5 gives the room of texts that are replaced to nobody.
        if events and events != self._written.get(job):
            self._written[job] = events
            causes = [clean_text(cause) for _, cause in events]
            group.attrs["restart_times"] = np.array([time for time, _ in events], np.float64)
            group.attrs["restart_causes"] = np.array(causes, dtype=h5py.string_dtype())
        jumps = self._jumps.get(job)
        if jumps:
            group.attrs["clock_jumps"] = np.array(jumps[-_MOST_JUMPS:], np.float64)


def _by_job(restarts: Iterable[Restart]) -> dict[str, list[tuple[float, str]]]:
    events: dict[str, list[tuple[float, str]]] = {}
    for job, time, cause in restarts:
        events.setdefault(job, []).append((time, cause))
    return events


def _version() -> str:
    try:
        return metadata.version("h5daq")
    except metadata.PackageNotFoundError:
        return "0+source"
