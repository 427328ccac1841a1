"""Small rows: a trivial getter of 8 floats in constant mode, one worker, committed and in the file.

The raw limit of the same run is the bare loop: the getter's row stored into preallocated columns
with a time stamp, sent nowhere. ``python -m benchmarks.rows [--seconds 10] [--rounds 3]``
"""

from __future__ import annotations

import threading
import time
from pathlib import Path

import h5py
import numpy as np

import h5daq
from benchmarks.common import arguments, memory_mib, rounds, scratch, show, verdict

LABELS = [f"c{i}" for i in range(8)]
ROW = (1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0)
BAR_ROWS = 2.5e6
BAR_MIB = 300.0


def getter():
    """The same eight floats each time."""
    return ROW


def raw_loop_rate(seconds: float = 1.0) -> float:
    """Rows per second of a getter call, a time stamp and nine stores into memory."""
    columns = [memoryview(np.empty(4096)) for _ in range(9)]
    t, a, b, c, d, e, f, g, h = columns
    clock, rows, end = time.time, 0, time.time() + seconds
    began = time.perf_counter()
    while clock() < end:
        for i in range(4096):
            t[i] = clock()
            a[i], b[i], c[i], d[i], e[i], f[i], g[i], h[i] = getter()
        rows += 4096
    return rows / (time.perf_counter() - began)


class Peak(threading.Thread):
    """The highest memory of some processes together, sampled."""

    def __init__(self, pids: list[int]) -> None:
        super().__init__(daemon=True)
        self.pids, self.mib, self.over = pids, 0.0, threading.Event()

    def run(self) -> None:
        while not self.over.wait(0.25):
            self.mib = max(self.mib, memory_mib(self.pids))


def h5daq_rate(folder: Path, seconds: float) -> tuple[float, float]:
    """Rows per second in the file, and the peak MiB of writer and worker together."""
    job = h5daq.DAQJob("fast", LABELS, getter, read_mode="constant")
    daemon = h5daq.DAQDaemon(job, directory=folder)
    daemon.start()
    began = time.perf_counter()
    status = daemon.status()
    peak = Peak([status["writer"]["pid"], status["jobs"]["fast"]["pid"]])
    peak.start()
    time.sleep(seconds)
    daemon.stop()
    elapsed = time.perf_counter() - began
    peak.over.set()
    with h5py.File(daemon.file_name) as file:
        rows = len(file["fast/time"])
        assert all(len(file["fast"][label]) == rows for label in LABELS)
        assert np.all(np.diff(file["fast/time"][:]) >= 0), "rows are out of order"
    Path(daemon.file_name).unlink()
    return rows / elapsed, peak.mib


def h5py_rate(folder: Path, seconds: float = 2.0) -> float:
    """What a user would write: per row, resize and assign nine datasets."""
    rows = 0
    with h5py.File(folder / "plain.hdf5", "w") as file:
        sets = [
            file.create_dataset(n, (0,), "f8", maxshape=(None,), chunks=(4096,))
            for n in ["time", *LABELS]
        ]
        began = time.perf_counter()
        while time.perf_counter() - began < seconds:
            for data, value in zip(sets, (time.time(), *getter()), strict=True):
                data.resize(rows + 1, 0)
                data[rows] = value
            rows += 1
        file.flush()
        elapsed = time.perf_counter() - began
    (folder / "plain.hdf5").unlink()
    return rows / elapsed


def main() -> None:
    """Measure and print."""
    args = arguments(__doc__, seconds=10.0, rounds=3)
    with scratch(args.directory) as folder:
        raw, rate, peak, plain = rounds(
            args.rounds,
            lambda: (raw_loop_rate(), *h5daq_rate(folder, args.seconds), h5py_rate(folder)),
        )
    show(
        f"rows: 8 floats, constant mode, {args.seconds:g} s, medians of {args.rounds}",
        [
            ("bare loop into memory", f"{raw / 1e6:6.2f} M rows/s"),
            ("plain h5py append", f"{plain / 1e6:6.4f} M rows/s"),
            ("h5daq, in the file", f"{rate / 1e6:6.2f} M rows/s"),
            ("against the bar of 2.5 M", verdict(rate / BAR_ROWS, 1.0)),
            ("ratio to the bare loop", f"{rate / raw:.2f}"),
            ("ratio to plain h5py", f"{rate / plain:.0f}"),
            (
                "peak memory",
                f"{peak:.0f} MiB (bar {BAR_MIB:.0f}: {'met' if peak < BAR_MIB else 'MISSED'})",
            ),
        ],
    )


if __name__ == "__main__":
    main()
