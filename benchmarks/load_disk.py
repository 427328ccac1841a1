"""A disk slower than the workers: what each overflow policy makes of it, and a small job beside.

See `benchmarks.load`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

import h5daq
from benchmarks.common import percentile, show
from benchmarks.load_common import Peaks, latencies, pids_of, stamp

HOOKS = Path(__file__).parent / "load_hooks"
DISK_MIB_S = 20.0
POLICIES = ("spool", "drop-oldest", "drop-newest", "block")
BUFFER_BYTES = 16 << 20
WAVE = np.zeros(16384)


class Numbered:
    """Rows of 128 KiB that are numbered; as many as come, but for the pause."""

    def __init__(self, pause: float = 0.0) -> None:
        self.pause, self.n = pause, -1

    def __call__(self) -> tuple[int, np.ndarray]:
        """The next row."""
        self.n += 1
        time.sleep(self.pause)
        return self.n, WAVE


@contextmanager
def slow_disk(mib_s: float) -> Iterator[None]:
    """Writers that are started meanwhile have a slow disk; 0 for the real one."""
    before = dict(os.environ)
    if mib_s:
        os.environ["H5DAQ_DISK_MIB_S"] = str(mib_s)
        os.environ["PYTHONPATH"] = os.pathsep.join([str(HOOKS), before.get("PYTHONPATH", "")])
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def loaded_jobs(pause: float) -> list[h5daq.DAQJob]:
    """One job for each policy."""
    return [
        h5daq.DAQJob(
            f"load/{policy}", ["n", "wave"], Numbered, 1e-4, getter_args={"pause": pause},
            shape=[(0,), (0, WAVE.size)], dtype=["i8", "f8"], overflow=policy,
            buffer_bytes=BUFFER_BYTES, spool_bytes=1 << 30,
            spool="overflow" if policy == "spool" else "never",
        )
        for policy in POLICIES
    ]  # fmt: skip


def disk_round(folder: Path, seconds: float, mib_s: float) -> dict[str, Any]:
    """Rows, losses, memory and the latency of the job beside, with a disk of so many MiB/s."""
    small = h5daq.DAQJob("small", "stamp", stamp, read_period=0.05)
    folder.mkdir()
    with slow_disk(mib_s):
        daemon = h5daq.DAQDaemon(
            [small, *loaded_jobs(0.005)], directory=folder, drain_timeout=300.0, write_period=5,
            journal_bytes=256 << 20,
        )  # fmt: skip
        daemon.start()
    peaks = Peaks(pids_of(daemon))
    peaks.start()
    late = latencies(daemon.endpoints["signals"], "run/small", seconds)
    jobs = daemon.status()["jobs"]
    began = time.perf_counter()
    daemon.stop()
    return {"late": late, "jobs": jobs, "peaks": peaks.end(), "file": daemon.file_name,
            "stop": time.perf_counter() - began, "seconds": seconds}  # fmt: skip


def account(path: str, group: str) -> tuple[int, int, int]:
    """Rows in the file, rows its attributes call lost, and rows of which nothing is said."""
    with h5py.File(path) as file:
        numbers = file[group]["n"][:]
        lost = sum(int(v) for k, v in file[group].attrs.items() if k.startswith("lost_"))
    assert (np.diff(numbers) > 0).all(), f"{group}: rows are doubled or out of order"
    return len(numbers), lost, max(0, int(numbers[-1]) + 1 - len(numbers) - lost)


def disk(folder: Path, seconds: float) -> None:
    """A slow disk, beside a fast one."""
    runs = {
        "unloaded": disk_round(folder / "free", seconds, 0.0),
        "slow": disk_round(folder / "slow", seconds, DISK_MIB_S),
    }
    rows = []
    for name, run in runs.items():
        p50, p99 = (1e3 * percentile(run["late"], p) for p in (50, 99))
        rows.append((f"{name}: latency beside, p50 / p99 / most",
                     f"{p50:.1f} / {p99:.1f} / {1e3 * max(run['late']):.1f} ms"))  # fmt: skip
        rows += [
            (f"{name}: peak of {who}", f"{mib:.0f} MiB PSS") for who, mib in run["peaks"].items()
        ]
        for policy in POLICIES:
            kept, lost, unsaid = account(run["file"], f"load/{policy}")
            rows.append(
                (f"{name}: {policy}", f"{kept} rows, {lost} lost and said, {unsaid} unsaid")
            )
        rows.append((f"{name}: stop", f"{run['stop']:.1f} s"))
    free, slow = runs.values()
    ratio = percentile(slow["late"], 99) / percentile(free["late"], 99)
    show(
        f"disk: four jobs of 25 MB/s each for {seconds:g} s; slow is {DISK_MIB_S:g} MiB/s",
        [*rows, ("ratio of p99", f"{ratio:.1f}")],
    )
