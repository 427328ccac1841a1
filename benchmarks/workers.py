"""A hundred jobs at 10 Hz: how fast they start, what they weigh, and that no row is missing.

The raw limit beside it is a hundred plain processes, forked by multiprocessing's fork server, that
import numpy, zmq and msgpack, and wake up at 10 Hz to push one msgpack row to a socket.
``python -m benchmarks.workers [--jobs 100] [--seconds 20]``
"""

from __future__ import annotations

import itertools
import multiprocessing
import os
import time
from pathlib import Path

import h5py
import msgpack
import numpy as np
import zmq

import h5daq
from benchmarks.common import arguments, cpu_seconds, memory_mib, scratch, show

HZ = 10.0


def bare_worker(endpoint, ready, over) -> None:
    """The least that a worker can be: a period loop and a PUSH socket."""
    socket = zmq.Context().socket(zmq.PUSH)
    socket.connect(endpoint)
    ready.release()
    while not over.wait(1 / HZ):
        socket.send(msgpack.packb({"time": time.time(), "x": 1.0}))


def raw_workers(folder: Path, n: int, seconds: float) -> tuple[float, float, float]:
    """Seconds until `n` bare workers run, and the CPU share of all of them and of their reader."""
    context = multiprocessing.get_context("forkserver")
    pull = zmq.Context.instance().socket(zmq.PULL)
    endpoint = f"ipc://{folder}/raw"
    pull.bind(endpoint)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["numpy", "zmq", "msgpack"])
    ready, over = context.Semaphore(0), context.Event()
    first = context.Process(target=bare_worker, args=(endpoint, ready, over))
    first.start()
    ready.acquire()
    began = time.perf_counter()
    others = [context.Process(target=bare_worker, args=(endpoint, ready, over)) for _ in range(n)]
    for process in others:
        process.start()
    for _ in range(n):
        ready.acquire()
    started = time.perf_counter() - began
    pids, mine = [process.pid for process in others], [os.getpid()]
    before, reading = cpu_seconds(pids), cpu_seconds(mine)
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        if pull.poll(100):
            msgpack.unpackb(pull.recv())
    workers, reader = cpu_seconds(pids) - before, cpu_seconds(mine) - reading
    over.set()
    for process in [first, *others]:
        process.join()
    pull.close()
    return started, workers / seconds, reader / seconds


def counter():
    """A getter that numbers its rows."""
    numbers = itertools.count()
    return lambda: next(numbers)


def measure(folder: Path, n: int, seconds: float) -> dict[str, float]:
    """Start, watch and stop `n` jobs."""
    jobs = [h5daq.DAQJob(f"job{i:03d}", "x", counter(), read_period=1 / HZ) for i in range(n)]
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
    overruns = sum(job["overruns"] for job in daemon.status()["jobs"].values())
    daemon.stop()
    return {
        "started": started,
        "pss": pss,
        "workers": workers / elapsed,
        "writer": writing / elapsed,
        "overruns": overruns,
        "missing": _missing(Path(daemon.file_name), n),
    }


def _missing(path: Path, n: int) -> float:
    """Rows that were read, as their numbers show, and are not in the file."""
    missing = 0
    with h5py.File(path) as file:
        assert len([name for name in file if name.startswith("job")]) == n
        for i in range(n):
            numbers = file[f"job{i:03d}/x"][:]
            missing += int(numbers[-1]) + 1 - len(np.unique(numbers))
    return missing


def main() -> None:
    """Measure and print."""
    args = arguments(__doc__, jobs=100, seconds=20.0)
    with scratch(args.directory) as folder:
        raw, raw_workers_cpu, raw_reader_cpu = raw_workers(folder, args.jobs, args.seconds / 2)
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
            ("bare workers, CPU", f"{100 * raw_workers_cpu:.1f} % of a core"),
            ("bare reader, CPU", f"{100 * raw_reader_cpu:.1f} % of a core"),
            ("all workers", f"{100 * got['workers']:.1f} % of a core (bar 20: {state['workers']})"),
            ("writer", f"{100 * got['writer']:.1f} % of a core (bar 10: {state['writer']})"),
            ("ratio workers / bare", f"{got['workers'] / raw_workers_cpu:.1f}"),
            ("ratio writer / bare reader", f"{got['writer'] / raw_reader_cpu:.1f}"),
            ("rows missing", f"{got['missing']:.0f} ({state['missing']})"),
            ("readings overrun", f"{got['overruns']:.0f}"),
        ],
    )


if __name__ == "__main__":
    main()
