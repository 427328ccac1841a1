"""What an entry of the journal does to the files, as the ledger finds it."""

from __future__ import annotations

from dataclasses import dataclass

from h5daq.flow.batch import Batch
from h5daq.flow.records import Noted, SealRecord
from h5daq.flow.states import FileState

__all__ = ["Effect", "Ended", "Place", "Sealed"]


@dataclass(frozen=True, slots=True)
class Place:
    """Rows and the file that they belong to."""

    file: int
    job: str
    batch: Batch


@dataclass(frozen=True, slots=True)
class Sealed:
    """A file takes no more rows. ``run_end`` is None when the run goes on."""

    file: FileState
    seal: SealRecord
    run_end: float | None
    interrupted: bool


@dataclass(frozen=True, slots=True)
class Ended:
    """The run ends with a file that was sealed already, and that names one which never comes."""

    file: int
    file_end: float
    run_end: float
    interrupted: bool


Effect = Place | Sealed | Ended | Noted
