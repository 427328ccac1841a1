"""The last rows of a run that goes on, for who looks on: bounded, however much there is.

`Recent` looks at a directory's newest run, each time anew, and never reads more than `MOST_BYTES`
at once. It may be used from several threads; they take turns.
"""

from __future__ import annotations

import math
import threading
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from h5daq.errors import ConfigKeyError
from h5daq.files.group import Group
from h5daq.files.recording import Recording, open_recording

__all__ = ["Recent"]

MOST_BYTES = 32 << 20


class Recent:
    """The newest run of a directory, by its last rows.

    Parameters
    ----------
    directory : path-like
        Where the run records. There need not be a file yet.
    """

    def __init__(self, directory: str | Path) -> None:
        self._directory = Path(directory)
        self._lock = threading.Lock()
        self._recording: Recording | None = None

    def attrs(self) -> dict[str, Any]:
        """Attributes of the run.

        Raises
        ------
        StorageError
            If there is no run file, or it can't be read.
        """
        with self._lock:
            return self._open().attrs

    def about(self, job: str) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        """Columns and attributes of a job; nothing where no file has it.

        Returns
        -------
        columns : list of dict
            ``label``, ``dtype``, ``shape`` of a row, ``unit``, ``description``; without ``time``.
        attrs : dict
            The group's.
        """
        with self._lock:
            group = self._group(job)
        if group is None:
            return [], {}
        columns = [
            {"label": c.label, "dtype": str(c.dtype), "shape": list(c.shape), "unit": c.unit,
             "description": c.description}
            for c in group.columns.values() if c.label != "time"
        ]  # fmt: skip
        return columns, group.attrs

    def newest(
        self, job: str, labels: list[str], rows: int, seconds: float | None = None
    ) -> dict[str, NDArray[Any]]:
        """The last rows of some columns.

        Parameters
        ----------
        job : str
            Its group.
        labels : list of str
            Columns; those that are in no file are left out.
        rows : int
            At most so many, and no more than `MOST_BYTES`.
        seconds : float, optional
            Only rows of the last so many seconds before the newest.

        Returns
        -------
        dict of str to ndarray
            ``time`` as float64 UTC seconds, and the columns; empty where no file has the job.
        """
        with self._lock:
            group = self._group(job)
            if group is None:
                return {}
            known = [label for label in labels if label in group]
            last = group[-_bounded(group, known, rows) :]
            found = {**(last.read(*known) if known else {}), "time": last.times}
        return found if seconds is None else _since(found, seconds)

    def _open(self) -> Recording:
        if self._recording is None:
            self._recording = open_recording(self._directory, patience=1.0)
        return self._recording

    def _group(self, job: str) -> Group | None:
        try:
            return self._open()[job]
        except ConfigKeyError:
            return None


def _bounded(group: Group, labels: list[str], rows: int) -> int:
    columns = [group.columns[label] for label in labels]
    size = 8 + sum(c.dtype.itemsize * math.prod(c.shape) for c in columns)
    return max(1, min(rows, MOST_BYTES // size))


def _since(found: dict[str, NDArray[Any]], seconds: float) -> dict[str, NDArray[Any]]:
    times = found["time"]
    if not len(times):
        return found
    wanted = times >= np.nanmax(times) - seconds
    return {label: values[wanted] for label, values in found.items()}
