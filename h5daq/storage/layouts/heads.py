"""What a run file is told about itself and about its jobs, before there are rows.

Plain values: the writer makes them from its journal, and the layout turns them into attributes
and datasets. Times are UTC seconds since 1970-01-01.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from h5daq.flow.schema import Schema

__all__ = ["FileHead", "JobHead"]


@dataclass(frozen=True, slots=True)
class FileHead:
    """A run file: its place in the chain of files and what its root attributes say.

    Parameters
    ----------
    file_id, previous_file_id, following_file_id : int
        Random 64-bit numbers; 0 where there is no such file.
    run_start, file_start, file_end : float
        Seconds; `file_end` as planned.
    name : str
        The run's name.
    write_period, write_period_jitter : float
        Seconds between checkpoints.
    rollover_interval : str
        For people, e.g. ``"1 days"``.
    attrs : mapping
        The user's attributes of the run.
    run_id, durability : str
        The run, and what its commits wait for: ``"fsync"``, ``"os"`` or ``"none"``.
    """

    file_id: int
    previous_file_id: int
    following_file_id: int
    run_start: float
    file_start: float
    file_end: float
    name: str
    write_period: float
    write_period_jitter: float
    rollover_interval: str
    attrs: Mapping[str, Any] = field(default_factory=dict)
    run_id: str = ""
    durability: str = "fsync"


@dataclass(frozen=True, slots=True)
class JobHead:
    """A job: its group and what is in it.

    Parameters
    ----------
    job : str
        Path of the group, without slashes at its ends.
    schema : Schema
        The columns, ``time`` first.
    attrs : mapping
        The user's attributes of the group.
    period : float
        Seconds between readings; 0 where there is none.
    mode : {"schedule", "constant", "trigger"}
        The read mode.
    chunk_length : int, optional
        Rows of a chunk, where the user says so.
    """

    job: str
    schema: Schema
    attrs: Mapping[str, Any] = field(default_factory=dict)
    period: float = 0.0
    mode: str = "schedule"
    chunk_length: int | None = None
