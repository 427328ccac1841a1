"""How exactly readings keep their grid at 100 Hz and 1 kHz: drift, and lateness beside a raw loop.

The raw loop sleeps to absolute deadlines with a timer slack of 1 ns in a process of its own.
``python -m benchmarks.schedule [--seconds 20]``
"""

from __future__ import annotations

import contextlib
import ctypes
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np

import h5daq
from benchmarks.common import arguments, scratch, show


def raw_loop(hz: float, seconds: float) -> np.ndarray:
    """Times of readings by a bare loop in a fresh process."""
    text = subprocess.run(
        [sys.executable, "-m", "benchmarks.schedule", "--raw-loop", str(hz), str(seconds)],
        capture_output=True, check=True, text=True,
    ).stdout  # fmt: skip
    return np.array([float(line) for line in text.split()])


def _raw_loop_here(hz: float, seconds: float) -> None:
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).prctl(29, 1, 0, 0, 0)
    times, origin = [], time.monotonic()
    for k in range(int(hz * seconds)):
        time.sleep(max(0.0, origin + k / hz - time.monotonic()))
        times.append(time.time())
    print("\n".join(map(repr, times)))


def h5daq_times(folder: Path, hz: float, seconds: float) -> np.ndarray:
    """The `time` column of a job at `hz`."""
    job = h5daq.DAQJob("grid", "x", lambda: 1.0, read_period=1 / hz)
    with h5daq.DAQDaemon(job, directory=folder) as daemon:
        time.sleep(seconds)
    with h5py.File(daemon.file_name) as file:
        times = file["grid/time"][:]
    Path(daemon.file_name).unlink()
    return times


def lateness(times: np.ndarray, hz: float) -> tuple[float, float, float, int]:
    """p50 and p99 lateness in ms against the best-fitting grid, drift in ms, readings missed."""
    number = np.round((times - times[0]) * hz).astype(int)
    late = times - number / hz
    late -= np.quantile(late[: max(10, len(late) // 10)], 0.01)
    tenth = len(late) // 10
    drift = np.median(late[-tenth:]) - np.median(late[:tenth])
    missed = int(number[-1] + 1 - len(np.unique(number)))
    return 1e3 * np.quantile(late, 0.5), 1e3 * np.quantile(late, 0.99), 1e3 * drift, missed


def main() -> None:
    """Measure and print."""
    if "--raw-loop" in sys.argv:
        _raw_loop_here(float(sys.argv[2]), float(sys.argv[3]))
        return
    args = arguments(__doc__, seconds=20.0)
    with scratch(args.directory) as folder:
        for hz in (100.0, 1000.0):
            raw = lateness(raw_loop(hz, args.seconds), hz)
            ours = lateness(h5daq_times(folder, hz, args.seconds), hz)
            show(
                f"schedule: {hz:g} Hz for {args.seconds:g} s",
                [
                    (
                        name,
                        f"p50 {p50:.3f}, p99 {p99:.3f}, drift {drift:+.3f} ms; missed {missed}",
                    )
                    for name, (p50, p99, drift, missed) in (("raw loop", raw), ("h5daq", ours))
                ]
                + [("ratio of p99", f"{ours[1] / raw[1]:.2f}")],
            )


if __name__ == "__main__":
    main()
