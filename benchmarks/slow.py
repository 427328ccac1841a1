"""A hundred slow jobs, eight columns at 1 Hz, a checkpoint each second: file size and memory.

The rival is a plain h5py file with the same rows, flushed each second; the limit, the smallest file
that HDF5 can make of the same tree (`benchmarks.slow_floor`).
``python -m benchmarks.slow [--seconds 120] [--jobs 100]``
"""

from __future__ import annotations

import time
from pathlib import Path

import h5py
import numpy as np

import h5daq
from benchmarks.common import arguments, cpu_seconds, memory_mib, scratch, show
from benchmarks.slow_floor import rows_below, smallest_file

LABELS = [f"c{i}" for i in range(8)]
BAR = 1.3
MOST_ROWS = 1500


def getter():
    """Eight noisy floats."""
    return tuple(np.random.random(8))


def plain_h5py(folder: Path, jobs: int, rows: int) -> float:
    """File size over payload of a plain file with h5py's own chunk sizes, flushed per row."""
    path = folder / "plain.hdf5"
    with h5py.File(path, "w") as file:
        sets = [
            file.create_dataset(f"job{j}/{n}", (0,), "f8", maxshape=(None,))
            for j in range(jobs) for n in ["time", *LABELS]
        ]  # fmt: skip
        for row in range(rows):
            for data in sets:
                data.resize(row + 1, 0)
                data[row] = 1.0
            file.flush()
    size = path.stat().st_size
    path.unlink()
    return size / (jobs * rows * 9 * 8)


def verdict(ratio: float, floor: float) -> str:
    """What became of the bar."""
    if ratio < BAR:
        return "met"
    return "below what HDF5 can do with so few rows" if floor >= BAR else "MISSED"


def main() -> None:
    """Measure and print."""
    args = arguments(__doc__, seconds=120.0, jobs=100)
    with scratch(args.directory) as folder:
        jobs = [
            h5daq.DAQJob(f"job{j:03d}", LABELS, getter, read_period=1.0) for j in range(args.jobs)
        ]
        daemon = h5daq.DAQDaemon(jobs, directory=folder, write_period=1.0)
        daemon.start()
        pids = [daemon.status()["writer"]["pid"]]
        cpu, memory, overlay = cpu_seconds(pids), [], []
        began = time.perf_counter()
        while time.perf_counter() - began < args.seconds:
            time.sleep(2.0)
            memory.append(memory_mib(pids))
            overlay.append(daemon.status()["writer"]["checkpoint_bytes"] / 1024)
        load = (cpu_seconds(pids) - cpu) / (time.perf_counter() - began)
        daemon.stop()
        sealed = Path(daemon.file_name or "")
        with h5py.File(sealed) as file:
            rows = sum(len(file[job.group]["time"]) for job in jobs)
        payload = rows * 9 * 8
        ratio = sealed.stat().st_size / payload
        floor = len(smallest_file(sealed)) / payload
        rival = plain_h5py(folder, args.jobs, rows // args.jobs)
        enough = rows_below(folder, args.jobs, LABELS, BAR, MOST_ROWS)
    third = max(1, len(memory) // 3)
    show(
        f"slow: {args.jobs} jobs of 8 columns at 1 Hz, checkpoint each second, {args.seconds:g} s",
        [
            ("rows in the file", f"{rows}"),
            ("file size / payload", f"{ratio:.2f} (bar {BAR:.2f}: {verdict(ratio, floor)})"),
            (
                "the smallest that HDF5 can make of it",
                f"{floor:.2f} (ours: {ratio / floor:.2f} times)",
            ),
            (f"below {BAR:.2f} from", f"{enough} rows of each job on"),
            ("plain h5py, flushed each second", f"{rival:.2f}"),
            (
                "writer memory, first and last third",
                f"{np.mean(memory[:third]):.0f} and {np.mean(memory[-third:]):.0f} MiB",
            ),
            (
                "redo record, first and last third",
                f"{np.mean(overlay[:third]):.0f} and {np.mean(overlay[-third:]):.0f} KiB",
            ),
            ("writer", f"{100 * load:.1f} % of a core"),
        ],
    )


if __name__ == "__main__":
    main()
