"""A real worker that hears nonsense: mutated positions, orders and heartbeats of other writers.

A writer that is played by this process publishes them between its own, right ones. In the end it
must have each row once and in order, and the worker must end when it is told to.
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import psutil

import h5daq
from benchmarks.fuzz_live import counter
from benchmarks.fuzz_mutate import Mutator, pack
from benchmarks.fuzz_seeds import PUBLISHED
from h5daq.errors import WireError
from h5daq.flow.topics import topic
from h5daq.flow.wire import decode
from h5daq.jobs.starter import WorkerStarter
from h5daq.testing.writer import PlayedWriter
from h5daq.worker import WorkerSpec

__all__ = ["fuzz_worker"]

JOB = "tank"
_AT_ONCE = 50
"""Signals between two rounds of answering; a worker's queue holds a thousand."""


def _is_an_order(message: bytes) -> bool:
    """Whether it is a right message that a worker has to obey."""
    try:
        said = decode(message)
    except WireError:
        return False
    if said["k"] == "command":
        return bool(said["seq"])
    return said.get("boot") == "boot-1"


def _topic(dice: random.Random, kind: str) -> bytes:
    right = topic("heartbeat") if kind == "heartbeat" else topic(kind, JOB)
    if dice.random() < 0.1:
        kind = dice.choice(("position", "command", "refused"))
        return dice.choice(
            (topic(kind, JOB), right + b"sub/", b"position tank\xff/", topic("alarm"))
        )
    return right


def fuzz_worker(folder: Path, n: int, seed: int, progress: Any) -> dict[str, Any]:
    """Publish `n` mutated signals to a worker; says what became of it and of its rows."""
    dice = random.Random(seed)
    mutator = Mutator(dice)
    played, starter = PlayedWriter(folder), WorkerStarter()
    job = h5daq.DAQJob(JOB, "n", counter(), read_period=0.01)
    spec = WorkerSpec(job, played.data, played.signals, "run", drain_timeout=30.0)
    worker = starter.start(spec.to_bytes())
    memory = []
    try:
        played.serve(lambda: played.rows(JOB) > 10)
        process = psutil.Process(worker.pid)
        for done in range(0, n, _AT_ONCE):
            for _ in range(_AT_ONCE):
                right = dice.choice(PUBLISHED)
                made = pack(right) if dice.random() < 0.1 else mutator.mutate(right)
                if not _is_an_order(made):
                    played.port.publish(_topic(dice, right["k"]), made)
            heard = played.received
            played.serve(lambda heard=heard: played.received > heard or worker.poll() is not None)
            if worker.poll() is not None:
                break
            memory.append(process.memory_info().rss / (1 << 20))
            progress(done + _AT_ONCE)
        alive = worker.poll() is None
        worker.send("stop")
        ended = played.serve(lambda: worker.poll() is not None, 60.0)
        values = np.array(played.column(JOB, 1))
        return {
            "alive": alive, "ended": ended, "code": worker.poll(), "rows": len(values),
            "whole": bool(np.array_equal(values, np.arange(len(values)))), "memory": memory,
        }  # fmt: skip
    finally:
        if worker.poll() is None:
            worker.kill()
        worker.close()
        starter.close()
        played.close()
