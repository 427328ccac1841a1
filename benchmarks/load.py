"""What load does: a disk slower than the workers, many jobs, many labels, many deaf subscribers.

Each part runs beside its own unloaded run, since ratios hold where absolute figures drift:

- ``disk``: four jobs with one overflow policy each give more than a throttled disk takes; beside
  them a small job at 20 Hz, whose way from getter to signal is timed.
- ``jobs``: 200 jobs at 1 Hz beside 20.
- ``labels``: one job with 10,000 labels beside one with 1,000.
- ``subscribers``: one job as fast as it goes, beside nobody; one that stopped reading; 200.

``python -m benchmarks.load [--only disk] [--seconds 20] [--jobs 200] [--labels 10000]``
"""

from __future__ import annotations

import os
import time
from pathlib import Path

import h5py

import h5daq
from benchmarks.common import arguments, cpu_seconds, memory_mib, percentile, scratch, show
from benchmarks.load_common import Peaks, latencies, pids_of, stamp
from benchmarks.load_disk import disk
from benchmarks.load_subscribers import many_subscribers

# -- many jobs -------------------------------------------------------------------------------------


def jobs_round(folder: Path, n: int, seconds: float) -> dict[str, float]:
    """Start, CPU and memory of `n` jobs at 1 Hz."""
    folder.mkdir()
    began = time.perf_counter()
    jobs = [h5daq.DAQJob(f"job{i:03d}", "stamp", stamp) for i in range(n)]
    with h5daq.DAQDaemon(jobs, directory=folder) as daemon:
        started = time.perf_counter() - began
        pids = pids_of(daemon)
        writer = pids.pop("writer")
        time.sleep(2.0)
        before = cpu_seconds(list(pids.values())), cpu_seconds([writer])
        late = latencies(daemon.endpoints["signals"], "run/job000", seconds)
        cpu = cpu_seconds(list(pids.values())) - before[0], cpu_seconds([writer]) - before[1]
        overruns = sum(job["overruns"] for job in daemon.status()["jobs"].values())
        mib, began = memory_mib([writer]), time.perf_counter()
    return {"started": started, "workers": cpu[0] / seconds, "writer": cpu[1] / seconds, "mib": mib,
            "late": percentile(late, 99), "overruns": overruns,
            "stopped": time.perf_counter() - began}  # fmt: skip


def many_jobs(folder: Path, seconds: float, n: int) -> None:
    """Many jobs beside a tenth of them."""
    few, many = (
        jobs_round(folder / "few", n // 10, seconds),
        jobs_round(folder / "many", n, seconds),
    )
    names = {
        "started": "started in, s",
        "workers": "CPU of all workers, cores",
        "writer": "CPU of the writer, cores",
        "mib": "memory of the writer, MiB PSS",
        "late": "getter to signal, p99, s",
        "overruns": "overruns",
        "stopped": "stopped in, s",
    }
    rows = [
        (text, f"{few[k]:.4g} -> {many[k]:.4g} (ratio {many[k] / (few[k] or 1):.1f})")
        for k, text in names.items()
    ]
    show(f"jobs: {n // 10} -> {n} at 1 Hz", rows)


# -- many labels -----------------------------------------------------------------------------------


def labels_round(folder: Path, n: int, seconds: float) -> dict[str, float]:
    """Start, checkpoint, stop, memory and reading back of a job with `n` labels."""
    folder.mkdir()
    row = tuple(map(float, range(n)))
    job = h5daq.DAQJob("wide", [f"c{i:05d}" for i in range(n)], lambda: row, read_period=0.5)
    daemon, began = h5daq.DAQDaemon(job, directory=folder), time.perf_counter()
    daemon.start()
    peaks = Peaks(pids_of(daemon))
    peaks.start()
    times = {"started": time.perf_counter() - began}
    for name in ("first flush", "second flush"):
        time.sleep(seconds / 2)
        began = time.perf_counter()
        daemon.flush(timeout=600.0)
        times[name] = time.perf_counter() - began
    mib, began = peaks.end(), time.perf_counter()
    daemon.stop()
    times["stopped"], began = time.perf_counter() - began, time.perf_counter()
    rows = read_back(str(daemon.file_name), n)
    size = os.path.getsize(str(daemon.file_name)) / (rows * (n + 1) * 8)
    return {**times, "read back": time.perf_counter() - began, "writer": mib["writer"],
            "worker": mib["wide"], "file size / payload": size}  # fmt: skip


def read_back(path: str, n: int) -> int:
    """Check each value of each label with plain h5py; the number of rows."""
    with h5py.File(path) as file:
        group = file["wide"]
        rows = len(group["time"])
        for i in range(n):
            assert (group[f"c{i:05d}"][:] == float(i)).all()
            assert len(group[f"c{i:05d}"]) == rows
    return rows


def many_labels(folder: Path, seconds: float, n: int) -> None:
    """Many labels beside a tenth of them."""
    few, many = (
        labels_round(folder / "few", n // 10, seconds),
        labels_round(folder / "many", n, seconds),
    )
    unit = {"writer": " MiB", "worker": " MiB", "file size / payload": ""}
    rows = [
        (k, f"{few[k]:.3g} -> {many[k]:.3g}{unit.get(k, ' s')} (ratio {many[k] / few[k]:.1f})")
        for k in few
    ]
    show(f"labels: {n // 10} -> {n} of one job at 2 Hz", rows)


def main() -> None:
    """Measure and print."""
    args = arguments(__doc__, only="", seconds=20.0, jobs=200, labels=10_000)
    parts = {
        "disk": lambda folder: disk(folder, args.seconds),
        "jobs": lambda folder: many_jobs(folder, args.seconds, args.jobs),
        "labels": lambda folder: many_labels(folder, args.seconds, args.labels),
        "subscribers": lambda folder: many_subscribers(folder, args.seconds),
    }
    for name, part in parts.items():
        if args.only in ("", name):
            with scratch(args.directory) as folder:
                part(folder)


if __name__ == "__main__":
    main()
