"""A stranger who opens, reads, holds and opens again while processes are killed.

He reads with plain h5py; what he holds open xarray and h5dump read as well (`fault_strangers`).

``python -m benchmarks.fault_reader DIRECTORY SEED`` looks until its standard input ends, then
prints one line of JSON: how often it looked, how often it was refused, and what it saw that
nobody may ever see.
"""

from __future__ import annotations

import errno
import json
import random
import select
import sys
import time
import traceback
from collections import Counter
from pathlib import Path

import h5py
import numpy as np

from benchmarks.fault_strangers import Gone, h5dump_flaws, xarray_flaws

CLEAN = (
    "unable to lock file", "already open for write", "No such file", "bad superblock version",
)  # fmt: skip
"""Refusals that are allowed: a checkpoint is being applied, or the file has just got its name."""


BACKWARDS = "time goes back"
"""Wrong, unless the clock was set."""


def contents(file: h5py.File) -> dict[str, dict[str, np.ndarray]]:
    """All columns of each job, by the job's name.

    A job that has only counts of losses in this file, and no rows, is left out.
    """
    jobs = file.get("jobs", {})
    return {name: {label: jobs[name][label][:] for label in jobs[name]} for name in jobs
            if len(jobs[name])}  # fmt: skip


def flaws(name: str, columns: dict[str, np.ndarray]) -> list[str]:
    """What is wrong with one job's rows in one file."""
    lengths = {label: len(values) for label, values in columns.items()}
    if len(set(lengths.values())) != 1:
        return [f"{name}: lengths differ: {lengths}"]
    found = []
    for birth in np.unique(columns["birth"]):
        mine = columns["birth"] == birth
        steps = np.diff(columns["n"][mine])
        wrong = (steps < 0) | (steps > 1) if name == "fold" else steps != 1
        if wrong.any():
            at = int(np.flatnonzero(wrong)[0])
            found.append(f"{name}: {columns['n'][mine][at : at + 2]} follow each other")
        if (np.diff(columns["time"][mine]) <= 0).any():
            found.append(f"{name}: {BACKWARDS}")
    return [*found, *_torn(name, columns)]


def _torn(name: str, columns: dict[str, np.ndarray]) -> list[str]:
    if name in ("array", "large") and not (columns["x"] == columns["n"][:, None]).all():
        return [f"{name}: a row is torn"]
    if name == "text" and [f"row {n}".encode() for n in columns["n"]] != list(columns["x"]):
        return [f"{name}: a text is torn"]
    return []


class Reader:
    """Looks at files, and remembers how long each job was in each of them."""

    def __init__(self, directory: Path, seed: int) -> None:
        self._directory, self._random = directory, random.Random(seed)
        self._lengths: Counter[tuple[int, str]] = Counter()
        self.counts: Counter[str] = Counter()
        self.flaws: list[str] = []

    def look(self) -> None:
        """Open one file, the newest ones more often, and read it; perhaps hold it."""
        paths = sorted(self._directory.glob("*.hdf5"))
        if not paths:
            return
        path = paths[-min(len(paths), int(self._random.expovariate(0.7)) + 1)]
        try:
            with h5py.File(path, "r") as file:
                self.counts["opened"] += 1
                self._read(path.name, file)
        except OSError as error:
            self._refused(path, error)
        except (KeyError, RuntimeError, ValueError, TypeError) as error:
            self.flaws.append(f"{path.name}: {''.join(traceback.format_exception(error))}")

    def _read(self, name: str, file: h5py.File) -> None:
        before = contents(file)
        for job, columns in before.items():
            self.flaws += [f"{name}: {flaw}" for flaw in flaws(job, columns)]
            key = int(file.attrs["file_id"]), job
            if len(columns["n"]) < self._lengths[key]:
                self.flaws.append(f"{name}: {job} has become shorter")
            self._lengths[key] = len(columns["n"])
        if self._random.random() < 0.2:
            self._compare(Path(file.filename), before)
        if self._random.random() < 0.4:
            self.counts["held"] += 1
            time.sleep(self._random.uniform(0.05, 1.5))
            after = contents(file)
            same = before.keys() == after.keys() and all(
                np.array_equal(before[job][label], after[job][label])
                for job in before
                for label in before[job]
            )
            if not same:
                self.flaws.append(f"{name}: changed while it was held open")

    def _compare(self, path: Path, held: dict[str, dict[str, np.ndarray]]) -> None:
        """Have others read what is held open."""
        name, look = self._random.choice([("xarray", xarray_flaws), ("h5dump", h5dump_flaws)])
        try:
            self.flaws += [f"{path.name}: {flaw}" for flaw in look(path, held)]
            self.counts[name] += 1
        except Gone:
            self.counts["renamed meanwhile"] += 1

    def _refused(self, path: Path, error: OSError) -> None:
        if error.errno == errno.ENOENT or any(text in str(error) for text in CLEAN):
            self.counts["refused"] += 1
        else:
            self.flaws.append(f"{path.name}: {error}")


def main() -> None:
    """Look until the campaign is over."""
    reader = Reader(Path(sys.argv[1]), int(sys.argv[2]))
    rest = random.Random(int(sys.argv[2]))
    while not select.select([sys.stdin], [], [], rest.uniform(0.0, 0.2))[0]:
        reader.look()
    if not reader.counts["opened"]:
        # On a busy machine it may have got no turn before.
        reader.look()
    print(json.dumps({"counts": reader.counts, "flaws": reader.flaws}), flush=True)


if __name__ == "__main__":
    main()
