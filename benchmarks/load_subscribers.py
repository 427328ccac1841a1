"""Subscribers that do not read: what the writer loses by them.

See `benchmarks.load`.
"""

from __future__ import annotations

import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import zmq

import h5daq
from benchmarks.common import memory_mib, show
from benchmarks.load_common import pids_of

TOLD = np.zeros(64)


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
