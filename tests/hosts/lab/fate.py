"""What became of a job's rows: its machine's own count against all files, read by plain h5py."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import h5py
import numpy as np

__all__ = ["Fate", "fate_of"]


@dataclass
class Fate:
    """What became of the rows of one job.

    Attributes
    ----------
    read : int
        Readings of its instrument.
    kept, distinct : int
        Rows in the files, and how many different ones these are.
    lost : Counter
        By cause, rows that the files say they have not.
    ordered : bool
        Whether no file has a row twice, or behind a later one of the same worker.
    """

    read: int = 0
    kept: int = 0
    distinct: int = 0
    lost: Counter[str] = field(default_factory=Counter)
    ordered: bool = True

    @property
    def accounted(self) -> bool:
        """Whether each row that was read is in one file, once, or counted as lost."""
        whole = self.ordered and self.kept == self.distinct
        return whole and self.read == self.kept + self.lost.total()


def fate_of(group: str, files: Iterable[Path], counts: Path) -> Fate:
    """The account of a job.

    Parameters
    ----------
    group : str
        The job.
    files : iterable of Path
        All files of all machines.
    counts : Path
        Where each process of its getter has left the number of its last reading.
    """
    fate, rows, lost = Fate(), [], {}
    for path in sorted(files):
        with h5py.File(path) as file:
            if group in file:
                rows.append(np.stack([file[group]["pid"][:], file[group]["n"][:]], axis=1))
                # Counts go on from file to file of a run.
                lost[str(file.attrs["run_id"])] = _lost(file[group])
    fate.lost = sum(lost.values(), Counter())
    fate.ordered = all(map(_ordered, rows))
    fate.kept = sum(map(len, rows))
    fate.distinct = len(np.unique(np.concatenate(rows), axis=0)) if rows else 0
    fate.read = sum(int(path.read_text()) + 1 for path in counts.iterdir())
    return fate


def _lost(group: h5py.Group) -> Counter[str]:
    """What a file says of rows that are in none; late ones are in a later file."""
    told = {key.removeprefix("lost_"): int(n) for key, n in group.attrs.items()
            if key.startswith("lost_")}  # fmt: skip
    told.pop("late", None)
    return Counter(told)


def _ordered(rows: np.ndarray) -> bool:
    return all((np.diff(rows[rows[:, 0] == pid, 1]) >= 1).all() for pid in np.unique(rows[:, 0]))
