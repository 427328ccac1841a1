"""What limits cost: rows of 8 floats as fast as they go, with limits on each and without, in turns.

The rows stay within the limits but for one excursion a second, so that alarms are raised, told and
recorded as well. Beside the rate, which other work on the machine disturbs, stands the CPU time of
the writer per million rows. ``python -m benchmarks.alarms [--seconds 5] [--rounds 5]``
"""

from __future__ import annotations

import time
from pathlib import Path

import h5py

import h5daq
from benchmarks.common import arguments, cpu_seconds, rounds, scratch, show, verdict
from benchmarks.rows import LABELS, ROW

BAR = 0.95
LIMITS = {"warn": {"low": -1.0, "high": 90.0}, "alarm": {"high": 100.0}, "stale": 5.0}
EXCURSION = (99.0, *ROW[1:])


def getter():
    """The same eight floats each time, but about once a second others."""
    return EXCURSION if time.time() % 1.0 < 0.01 else ROW


def measured(folder: Path, seconds: float, limits: bool) -> tuple[float, float]:
    """Rows per second in the file, and CPU seconds of the writer per million rows."""
    of_all = dict.fromkeys(LABELS, LIMITS) if limits else None
    job = h5daq.DAQJob("fast", LABELS, getter, read_mode="constant", limits=of_all)
    daemon = h5daq.DAQDaemon(job, directory=folder)
    daemon.start()
    began, writer = time.perf_counter(), daemon.status()["writer"]["pid"]
    before = cpu_seconds([writer])
    time.sleep(seconds)
    daemon.flush()
    spent, elapsed = cpu_seconds([writer]) - before, time.perf_counter() - began
    rows = daemon.status()["jobs"]["fast"]["in_file"]
    daemon.stop()
    with h5py.File(daemon.file_name) as file:
        assert ("h5daq/events" in file) == limits
    Path(daemon.file_name).unlink()
    return rows / elapsed, 1e6 * spent / rows


def main() -> None:
    """Measure and print."""
    args = arguments(__doc__, seconds=5.0, rounds=5)
    with scratch(args.directory) as folder:
        measured(folder, 1.0, limits=True)
        plain, plain_cpu, limited, limited_cpu = rounds(
            args.rounds,
            lambda: (
                *measured(folder, args.seconds, limits=False),
                *measured(folder, args.seconds, limits=True),
            ),
        )
    show(
        f"alarms: 8 floats, limits on each, {args.seconds:g} s, medians of {args.rounds}",
        [
            ("without limits", f"{plain / 1e6:6.2f} M rows/s, writer {plain_cpu:.2f} s/M rows"),
            ("with limits", f"{limited / 1e6:6.2f} M rows/s, writer {limited_cpu:.2f} s/M rows"),
            ("ratio of the rates", verdict(limited / plain, BAR)),
            ("ratio of the writer's CPU", f"{limited_cpu / plain_cpu:.2f}"),
        ],
    )


if __name__ == "__main__":
    main()
