"""What a run file holds already: its jobs, their lengths, the time of the newest row.

Asked once when a file is opened again, and once more at the end, when the sealed file is compared
with what was written to it.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import h5py

from h5daq.errors import FileDamaged
from h5daq.flow.names import COMMENTS, PARAMETER, TAGS
from h5daq.flow.schema import TIME

_HDF5_ERRORS = (OSError, RuntimeError, ValueError, KeyError, TypeError)

__all__ = ["Found", "group_rows", "look_at"]


@dataclass(frozen=True, slots=True)
class Found:
    """A run file at its last checkpoint.

    Attributes
    ----------
    file_id, lsn : int
        Its number, and the journal entry that it reaches to.
    rows : dict of str to int
        Rows by job.
    newest : float or None
        Time of the latest last row in seconds; None without rows.
    noted : bool
        Whether anybody has noted anything about its jobs.
    """

    file_id: int
    lsn: int
    rows: dict[str, int]
    newest: float | None
    noted: bool


def look_at(file: h5py.File, path: Path) -> Found:
    """What `file`, whose name is `path`, holds.

    Raises
    ------
    FileDamaged
        If it is no run file, or something in it can't be read.
    """
    try:
        file_id, lsn = int(file.attrs["file_id"]), int(file.attrs["journal_lsn"])
    except KeyError as error:
        raise FileDamaged(errno.EINVAL, f"no run file of h5daq: {error}", str(path)) from error
    try:
        rows = _job_rows(file)
        return Found(file_id, lsn, rows, _newest(file, rows), _is_noted(file))
    except _HDF5_ERRORS as error:
        text = f"was changed by another program; HDF5 can't read it: {error}"
        raise FileDamaged(errno.EIO, text, str(path)) from error


def _job_rows(file: h5py.File) -> dict[str, int]:
    # A job is a group with a ``time`` in it.
    found: dict[str, int] = {}

    def look(path: str, node: h5py.Group | h5py.Dataset) -> None:
        if isinstance(node, h5py.Dataset) and node.chunks:
            # Goes through the whole index: what another program did to it shows.
            node.id.get_num_chunks()
        group, _, name = path.rpartition("/")
        if name == TIME and group and isinstance(node, h5py.Dataset):
            found[group] = int(node.shape[0])

    file.visititems(look)
    return found


def _is_noted(file: h5py.File) -> bool:
    def look(_path: str, node: h5py.Group | h5py.Dataset) -> bool | None:
        names = node.attrs if isinstance(node, h5py.Group) else ()
        # None goes on to the next.
        return any(n in (COMMENTS, TAGS) or n.startswith(PARAMETER) for n in names) or None

    return bool(file.visititems(look))


def group_rows(file: h5py.File, job: str, path: Path) -> int:
    """Rows of a job in the file at `path`; all its datasets are looked at.

    Raises
    ------
    FileDamaged
        If the group is not there, or its datasets differ in length.
    """
    group = file.get(job)
    if not isinstance(group, h5py.Group):
        raise FileDamaged(errno.EIO, f"the group of job {job} is missing", str(path))
    nodes = (group[name] for name in group if group.get(name, getclass=True) is h5py.Dataset)
    lengths = {int(dataset.shape[0]) for dataset in nodes}
    if len(lengths) != 1:
        text = f"the datasets of job {job} differ in length: {sorted(lengths)}"
        raise FileDamaged(errno.EIO, text, str(path))
    return lengths.pop()


def _newest(file: h5py.File, jobs: Iterable[str]) -> float | None:
    times = [file[f"{job}/{TIME}"] for job in jobs]
    return max((_seconds(time) for time in times if time.shape[0]), default=None)


def _seconds(time: h5py.Dataset) -> float:
    last = time[-1]
    return float(last) / 1e9 if time.dtype.kind == "i" else float(last)
