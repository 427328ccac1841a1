"""What is in the files after a fault campaign, against what was produced and what was promised.

Everything is read with plain h5py. A worker's incarnation is known by its getter's birth: of one
that was not killed each row must be there, of one that was killed each row that the writer had
told of; of all of them without gap, repeat or change of order. What is missing is counted as lost.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import h5py
import numpy as np

from benchmarks.fault_reader import BACKWARDS, contents, flaws
from benchmarks.fault_system import FOLDED

Key = tuple[str, int]
"""Job and birth."""

BATCH_ROWS = 100
"""Rows that a killed worker with ``spool="always"`` may have had in a batch, on a busy machine."""


@dataclass
class Produced:
    """What one getter has given out."""

    pid: int
    rows: int


@dataclass
class Told:
    """What the writers have told as committed."""

    newest: dict[Key, int] = field(default_factory=dict)
    totals: dict[tuple[str, str], int] = field(default_factory=dict)


@dataclass
class Findings:
    """The account of a campaign; `wrong` says in words what must not be.

    `accounts` has, by job, rows that are missing, rows that are counted as lost, and kills.
    """

    counts: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    accounts: dict[str, tuple[int, int, int]] = field(default_factory=dict)
    longest_tail: int = 0
    clock_set: bool = False


@dataclass
class RunPart:
    """One file as it was read."""

    path: Path
    attrs: dict[str, float]
    run: str
    jobs: dict[str, dict[str, np.ndarray]]
    lost: dict[str, dict[str, int]]


def produced_in(truth: Path) -> dict[Key, Produced]:
    """How far each getter has counted."""
    found = {}
    for path in truth.iterdir():
        job, pid, birth = path.name.rsplit(".", 2)
        found[job, int(birth)] = Produced(int(pid), int.from_bytes(path.read_bytes(), "little"))
    return found


def read_part(path: Path) -> RunPart:
    """One file, whole."""
    with h5py.File(path, "r") as file:
        attrs = {k: float(v) for k, v in file.attrs.items() if isinstance(v, np.number)}
        for name in ("file_id", "previous_file_id", "following_file_id"):
            attrs[name] = int(file.attrs[name])
        jobs = contents(file)
        lost = {
            name: {
                k.removeprefix("lost_"): int(v)
                for k, v in file[f"jobs/{name}"].attrs.items()
                if k.startswith("lost_")
            }
            for name in file.get("jobs", {})
        }
        return RunPart(path, attrs, str(file.attrs["run_id"]), jobs, lost)


def chains(parts: list[RunPart], wrong: list[str]) -> Iterator[list[RunPart]]:
    """The files of each run in their order, run after run."""
    runs: dict[str, list[RunPart]] = defaultdict(list)
    # Not by their own times: their clock may have been set.
    for part in sorted(parts, key=lambda p: p.path.stat().st_mtime_ns):
        runs[part.run].append(part)
    for run, files in runs.items():
        files.sort(key=lambda p: p.attrs["file_start"])
        ids = [part.attrs["file_id"] for part in files]
        before = [part.attrs["previous_file_id"] for part in files]
        after = [part.attrs["following_file_id"] for part in files]
        if before != [0, *ids[:-1]] or after != [*ids[1:], 0]:
            wrong.append(f"run {run}: broken chain {list(zip(before, ids, after, strict=True))}")
        yield files


def verify(
    folder: Path,
    data: Path,
    told: Told,
    killed: dict[int, int],
    *,
    clock_set: bool = False,
    failed: int = 0,
) -> Findings:
    """Read all files and account for each row.

    Parameters
    ----------
    folder : Path
        With ``truth`` in it.
    data : Path
        The run files.
    told : Told
        What the signals said.
    killed : dict
        Process id to the time (ns, monotonic) of its kill.
    clock_set : bool
        Whether the wall clock was set meanwhile: then times may go back, and end anywhere.
    failed : int
        Readings that raised, and gave no row.
    """
    found = Findings(clock_set=clock_set)
    parts = [read_part(path) for path in sorted(data.glob("*.hdf5"))]
    found.counts["files"] = len(parts)
    rows: dict[Key, list[np.ndarray]] = defaultdict(list)
    lost: Counter[str] = Counter()
    for files in chains(parts, found.wrong):
        _check_run(files, told, found, lost, rows)
    _check_births(rows, produced_in(folder / "truth"), told, killed, found, lost, failed)
    found.counts["counted as lost"] = lost.total()
    _check_leftovers(folder, data, found)
    return found


def _check_run(
    files: list[RunPart], told: Told, found: Findings, lost: Counter[str],
    rows: dict[Key, list[np.ndarray]],
) -> None:  # fmt: skip
    totals: Counter[str] = Counter()
    late: Counter[str] = Counter()
    newest: dict[str, dict[str, int]] = {}
    for part in files:
        for job, columns in part.jobs.items():
            found.wrong += [
                f"{part.path.name}: {flaw}"
                for flaw in flaws(job, columns)
                if not (found.clock_set and flaw.endswith(BACKWARDS))
            ]
            totals[job] += len(columns["n"])
            for birth in np.unique(columns["birth"]):
                rows[job, int(birth)].append(columns["n"][columns["birth"] == birth])
            late[job] += int((columns["time"] < part.attrs["file_start"]).sum())
            last = part is files[-1]
            over = columns["time"] - part.attrs["file_end"]
            past = (over > 0).any() if last else (over >= 0).any()
            if past and not found.clock_set:
                found.wrong.append(f"{part.path.name}: {job} has rows past the file's end")
        newest.update(part.lost)
        if part is files[-1] and not np.isfinite(part.attrs["run_end"]):
            found.wrong.append(f"{part.path.name}: the run has no end")
    for job, causes in newest.items():
        if late[job] != causes.pop("late", 0):
            found.wrong.append(f"run {files[0].run}: {job}: {late[job]} rows are late, not as told")
        lost.update({job: sum(causes.values())})
        found.counts["late"] += late[job]
    for (run, job), total in told.totals.items():
        if run == files[0].run and totals[job] < total:
            found.wrong.append(f"run {run}: {job}: told {total} rows, {totals[job]} are there")


def _check_births(
    rows: dict[Key, list[np.ndarray]], produced: dict[Key, Produced], told: Told,
    killed: dict[int, int], found: Findings, lost: Counter[str], failed: int,
) -> None:  # fmt: skip
    for key in [key for key in rows if key not in produced]:
        found.wrong.append(f"{key}: rows that nobody has produced")
    missed: Counter[str] = Counter()
    kills: Counter[str] = Counter()
    for (job, birth), truth in produced.items():
        numbers = np.concatenate(rows.get((job, birth), [np.empty(0, np.int64)]))
        was_killed = killed.get(truth.pid, 0) > birth
        made = -(-truth.rows // FOLDED) if job == "fold" else truth.rows
        _count(found, job, numbers)
        here = len(np.unique(numbers))
        committed = told.newest.get((job, birth), -1) + 1
        found.counts["produced"] += made
        found.counts["committed"] += committed
        found.counts["found"] += here
        name = f"{job} of {birth} (pid {truth.pid})"
        if here < committed:
            found.wrong.append(f"{name}: {committed} rows told as committed, {here} are there")
        if here > made:
            found.wrong.append(f"{name}: {made} rows made, {here} are there")
        missing = made - here
        missed[job] += missing
        kills[job] += was_killed
        if was_killed:
            if job == "spool":
                found.longest_tail = max(found.longest_tail, missing)
                if missing > BATCH_ROWS:
                    found.wrong.append(f"{name}: {missing} rows missing in spite of its spool")
        elif missing > lost[job]:
            found.counts["missing of others"] += missing
            found.wrong.append(f"{name}: {missing} of {made} rows missing; it was not killed")

    for job in sorted({job for job, _ in produced}):
        _check_account(job, missed[job], lost[job], kills[job], failed, found)


def _check_account(
    job: str, missing: int, lost: int, kills: int, failed: int, found: Findings
) -> None:
    """Produced is found and counted as lost, but for the row that a killed getter had in hand.

    A reading that raised is counted as well, though it is no row.
    """
    found.accounts[job] = missing, lost, kills
    found.counts["in hand when killed"] += max(0, missing - lost)
    if missing - lost > kills:
        found.wrong.append(f"{job}: {missing} rows missing, {lost} counted as lost, {kills} kills")
    # Of each number the folding job may have lost two rows, the first and the last.
    most = 2 * (missing + kills) if job == "fold" else missing
    if lost > most + failed:
        found.wrong.append(f"{job}: {lost} rows counted as lost, {missing} are missing")


def _count(found: Findings, job: str, numbers: np.ndarray) -> None:
    steps = np.diff(numbers)
    found.counts["out of order"] += int((steps < 0).sum())
    if job != "fold":
        found.counts["doubled"] += len(numbers) - len(np.unique(numbers))
    if len(numbers) and (numbers[0] != 0 or (steps > 1).any()):
        found.wrong.append(f"{job}: gaps between numbers: {numbers[0]}, {np.unique(steps)}")


def _check_leftovers(folder: Path, data: Path, found: Findings) -> None:
    names = [p.name for p in data.iterdir() if p.name.endswith((".redo", ".part"))]
    names += [str(p) for p in (data / ".h5daq" / "refused").glob("*")]
    names += [str(p) for p in (folder / "state").rglob("*.rows")]
    found.wrong += [f"left over: {name}" for name in names]
    if found.counts["out of order"] or found.counts["doubled"]:
        found.wrong.append("rows are doubled or out of order")
