"""The account of a story: what its writers promised, and what plain h5py finds in the end."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.fault_check import chains, read_part
from benchmarks.fault_story import JOBS
from h5daq.storage.recovery import recover_run

__all__ = ["account", "nothing_to_recover", "promised"]


def promised(folder: Path) -> dict[str, int]:
    """Rows by job that some life has told as committed."""
    best: dict[str, int] = defaultdict(int)
    lines = (folder / "told").read_text().splitlines() if (folder / "told").exists() else []
    for job, end in map(str.split, lines):
        best[job] = max(best[job], int(end))
    return best


def account(folder: Path, least: dict[str, int], most: dict[str, int]) -> Iterator[str]:
    """What is wrong with the files: each row once, in order, none missing of `least`."""
    wrong: list[str] = []
    parts = []
    for path in sorted((folder / "data").glob("*.hdf5")):
        try:
            parts.append(read_part(path))
        except OSError as error:
            wrong.append(f"{path.name}: {error}")
    numbers: dict[str, list[np.ndarray]] = defaultdict(list)
    for files in chains(parts, wrong):
        for part in files:
            for job, columns in part.jobs.items():
                numbers[f"jobs/{job}"].append(columns["n"])
                if "x" in columns and not (columns["x"] == columns["n"][:, None]).all():
                    wrong.append(f"{part.path.name}: {job}: a row is torn")
    yield from wrong
    for job in JOBS:
        found = np.concatenate(numbers.get(job, [np.empty(0, np.int64)]))
        if not np.array_equal(found, np.arange(len(found))):
            yield f"{job}: rows are missing, doubled or out of order: {found.tolist()}"
        if not least.get(job, 0) <= len(found) <= most.get(job, len(found)):
            yield f"{job}: {len(found)} rows, {least.get(job)} were committed"
    hidden = [p.name for p in (folder / "data").iterdir() if p.suffix in (".redo", ".part")]
    yield from (f"left over: {name}" for name in hidden)


def nothing_to_recover(folder: Path) -> Iterator[str]:
    """What a recovery still finds to do after an end in order."""
    before = {p.name: p.read_bytes() for p in (folder / "data").glob("*.hdf5")}
    report = recover_run(folder / "data")
    if report.run or report.sealed or report.finished:
        yield f"after an end in order there was something to recover: {report}"
    if before != {p.name: p.read_bytes() for p in (folder / "data").glob("*.hdf5")}:
        yield "a recovery after an end in order changed files"
