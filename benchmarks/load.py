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
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import zmq

import h5daq
from benchmarks.common import arguments, cpu_seconds, memory_mib, percentile, scratch, show
from h5daq.errors import NoAnswer

HOOKS = Path(__file__).parent / "load_hooks"
DISK_MIB_S = 20.0
POLICIES = ("spool", "drop-oldest", "drop-newest", "block")
BUFFER_BYTES = 16 << 20
WAVE = np.zeros(16384)
TOLD = np.zeros(64)


class Numbered:
    """Rows of 128 KiB that are numbered; as many as come, but for the pause."""

    def __init__(self, pause: float = 0.0) -> None:
        self.pause, self.n = pause, -1

    def __call__(self) -> tuple[int, np.ndarray]:
        """The next row."""
        self.n += 1
        time.sleep(self.pause)
        return self.n, WAVE


def stamp() -> float:
    """The monotonic clock, which all processes of a machine share."""
    return time.monotonic()


class Peaks(threading.Thread):
    """The highest memory of each of some processes, sampled."""

    def __init__(self, pids: dict[str, int]) -> None:
        super().__init__(daemon=True)
        self.pids, self.mib, self.over = pids, dict.fromkeys(pids, 0.0), threading.Event()

    def run(self) -> None:
        """Until told that it is over."""
        while not self.over.wait(0.5):
            for name, pid in self.pids.items():
                self.mib[name] = max(self.mib[name], memory_mib([pid]))

    def end(self) -> dict[str, float]:
        """The peaks in MiB."""
        self.over.set()
        self.join()
        return self.mib


def pids_of(daemon: h5daq.DAQDaemon) -> dict[str, int]:
    """Process ids of the writer and of each job's worker."""
    status = daemon.status()
    return {"writer": status["writer"]["pid"]} | {k: j["pid"] for k, j in status["jobs"].items()}


def latencies(endpoint: str, path: str, seconds: float) -> list[float]:
    """Seconds from the getter of a job to its signals, as they come for a while."""
    late, end = [], time.monotonic() + seconds
    with h5daq.subscribe(endpoint, ["data-available"], path, timeout=0.5) as signals:
        while time.monotonic() < end:
            try:
                news = signals.receive(0.5)
            except NoAnswer:
                continue
            now = time.monotonic()
            late += [now - signal.payload["last"]["stamp"] for signal in news]
    return late


# -- a disk that is too slow -----------------------------------------------------------------------


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


# -- subscribers that do not read ------------------------------------------------------------------


def deaf(endpoint: str, n: int) -> list[zmq.Socket[bytes]]:
    """Sockets that subscribe to everything and never read; none has a queue of its own."""
    context, sockets = zmq.Context.instance(), []
    for _ in range(n):
        socket = context.socket(zmq.SUB)
        socket.rcvhwm = 1
        socket.connect(endpoint)
        socket.subscribe(b"")
        sockets.append(socket)
    return sockets


HALTED = """
import os, signal, sys, h5daq
with h5daq.subscribe(sys.argv[1]) as signals:
    print("heard", next(iter(signals)), flush=True)
    os.kill(os.getpid(), signal.SIGSTOP)
"""


def halted(endpoint: str, stack: ExitStack) -> None:
    """A subscriber in a process that is stopped: its end of the connection fills up."""
    process = subprocess.Popen(
        [sys.executable, "-c", HALTED, endpoint], stdout=subprocess.PIPE
    )  # fmt: skip
    stack.callback(process.wait)
    stack.callback(process.kill)
    assert process.stdout is not None
    process.stdout.readline()


def told() -> np.ndarray:
    """A row that makes a signal of a kilobyte."""
    return TOLD


def subscribers_round(
    folder: Path, seconds: float, listeners: int, stopped: int
) -> tuple[float, float]:
    """Rows per second of a job as fast as it goes, and MiB by which the writer grew meanwhile."""
    folder.mkdir()
    job = h5daq.DAQJob("fast", "wave", told, read_mode="constant", shape=(0, 64))
    daemon = h5daq.DAQDaemon(job, directory=folder, signal_rate=1e6, durability="os")
    with ExitStack() as stack:
        stack.enter_context(daemon)
        endpoint = daemon.endpoints["signals"]
        sockets = deaf(endpoint, listeners)
        stack.callback(lambda: [socket.close(0) for socket in sockets])
        for _ in range(stopped):
            halted(endpoint, stack)
        time.sleep(2.0)
        writer, before, began = (
            pids_of(daemon)["writer"],
            daemon.job_rows("fast"),
            time.perf_counter(),
        )
        mib = memory_mib([writer])
        time.sleep(seconds)
        rate = (daemon.job_rows("fast") - before) / (time.perf_counter() - began)
        return rate, memory_mib([writer]) - mib


def many_subscribers(folder: Path, seconds: float) -> None:
    """Nobody, one that stopped, 200 that never read."""
    rounds = {
        "nobody": (0, 0),
        "one process that stopped reading": (0, 1),
        "200 that never read": (200, 0),
    }
    rates = {
        n: subscribers_round(folder / str(i), seconds, *r)
        for i, (n, r) in enumerate(rounds.items())
    }
    free = rates["nobody"][0]
    show(
        "subscribers: one job of 64 floats, as fast as it goes",
        [(name, f"{rate:,.0f} rows/s (ratio {rate / free:.2f}), writer grew by {grown:.0f} MiB")
         for name, (rate, grown) in rates.items()],
    )  # fmt: skip


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
