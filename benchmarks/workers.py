"""A hundred jobs at 10 Hz: how fast they start, what they weigh, and that no row is missing.

The raw limit beside it is a hundred plain processes that import numpy, zmq and msgpack and sleep,
forked by multiprocessing's fork server.
``python -m benchmarks.workers [--jobs 100] [--seconds 20]``
"""

from __future__ import annotations

import multiprocessing
import time
from pathlib import Path

import h5py

import h5daq
from benchmarks.common import arguments, cpu_seconds, memory_mib, scratch, show

HZ = 10.0


def sleeper(ready, over) -> None:
    """A process that has what a worker has, and does nothing."""
    ready.release()
    over.wait()


def raw_start(n: int) -> float:
    """Seconds until `n` forked processes have said that they run."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["numpy", "zmq", "msgpack"])
    ready, over = context.Semaphore(0), context.Event()
    first = context.Process(target=sleeper, args=(ready, over))
    first.start()
    ready.acquire()
    began = time.perf_counter()
    others = [context.Process(target=sleeper, args=(ready, over)) for _ in range(n)]
    for process in others:
        process.start()
    for _ in range(n):
        ready.acquire()
    seconds = time.perf_counter() - began
    over.set()
    for process in [first, *others]:
        process.join()
    return seconds


def measure(folder: Path, n: int, seconds: float) -> dict[str, float]:
    """Start, watch and stop `n` jobs."""
    jobs = [h5daq.DAQJob(f"job{i:03d}", "x", lambda: 1.0, read_period=1 / HZ) for i in range(n)]
    daemon = h5daq.DAQDaemon(jobs, directory=folder)
    began = time.perf_counter()
    daemon.start()
    started = time.perf_counter() - began
    status = daemon.status()
    pids = [job["pid"] for job in status["jobs"].values()]
    writer = [status["writer"]["pid"]]
    time.sleep(2.0)
    before = cpu_seconds(pids), cpu_seconds(writer), time.perf_counter()
    time.sleep(seconds)
    workers, writing = cpu_seconds(pids) - before[0], cpu_seconds(writer) - before[1]
    elapsed = time.perf_counter() - before[2]
    pss = memory_mib(pids) / n
    daemon.stop()
    return {
        "started": started,
        "pss": pss,
        "workers": workers / elapsed,
        "writer": writing / elapsed,
        "missing": _missing(Path(daemon.file_name), n),
    }


def _missing(path: Path, n: int) -> float:
    """Grid points of 0.1 s between a job's first and last row that have no row."""
    missing = 0.0
    with h5py.File(path) as file:
        assert len([name for name in file if name.startswith("job")]) == n
        for i in range(n):
            times = file[f"job{i:03d}/time"][:]
            missing += round((times[-1] - times[0]) * HZ) + 1 - len(times)
    return missing


def main() -> None:
    """Measure and print."""
    args = arguments(__doc__, jobs=100, seconds=20.0)
    raw = raw_start(args.jobs)
    with scratch(args.directory) as folder:
        got = measure(folder, args.jobs, args.seconds)
    bars = {"started": 2.0, "pss": 8.0, "workers": 0.20, "writer": 0.10, "missing": 0.5}
    state = {key: "met" if got[key] < bars[key] else "MISSED" for key in bars}
    show(
        f"workers: {args.jobs} jobs at {HZ:g} Hz for {args.seconds:g} s",
        [
            ("bare forked processes started in", f"{raw:.2f} s"),
            ("h5daq started in", f"{got['started']:.2f} s (bar 2: {state['started']})"),
            ("ratio", f"{got['started'] / raw:.2f}"),
            ("memory of a worker", f"{got['pss']:.1f} MiB PSS (bar 8: {state['pss']})"),
            ("all workers", f"{100 * got['workers']:.1f} % of a core (bar 20: {state['workers']})"),
            ("writer", f"{100 * got['writer']:.1f} % of a core (bar 10: {state['writer']})"),
            ("rows missing", f"{got['missing']:.0f} ({state['missing']})"),
        ],
    )


if __name__ == "__main__":
    main()
