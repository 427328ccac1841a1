"""The system of the soak: one daemon with every kind of job, as a laboratory might leave it alone.

``python -m benchmarks.soak_system FOLDER`` starts it, prints its endpoints as one line of JSON, and
stops in order when its standard input ends. Each row bears the birth of its getter and a number
that counts from 0; how far each getter has counted stands in a mapped file that outlives a kill.
"""

from __future__ import annotations

import json
import mmap
import os
import struct
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

import h5daq

FOLDED = 8
"""Readings in a row to which the folding job's getter gives the same number."""

WAVE = 512

EXTERN = """\
import itertools, sys, time
birth = time.monotonic_ns()
for n in itertools.count():
    print(birth, n, flush=True)
    time.sleep(0.05)
"""


class Counted:
    """A getter that numbers its rows."""

    def __init__(self, folder: str, job: str) -> None:
        self.birth, self.n, self.job = time.monotonic_ns(), 0, job
        name = Path(folder) / f"{job}.{os.getpid()}.{self.birth}"
        name.write_bytes(bytes(8))
        with open(name, "r+b") as file:
            self._count = mmap.mmap(file.fileno(), 8)

    def __call__(self) -> tuple[Any, ...]:
        """The next row, counted before anybody has it."""
        n, self.n = self.n, self.n + 1
        struct.pack_into("<q", self._count, 0, self.n)
        if self.job == "constant":
            time.sleep(0.002)
        more = {"wave": np.full(WAVE, float(n)), "text": f"row {n}"}.get(self.job)
        row = self.birth, n // FOLDED if self.job == "fold" else n
        return row if more is None else (*row, more)


def jobs_of(folder: Path) -> list[h5daq.DAQJob]:
    """One job of each kind."""

    def job(name: str, period: float, **more: Any) -> h5daq.DAQJob:
        extra: dict[str, Any] = {"wave": ((0, WAVE), float), "text": ((0,), str)}
        shape, dtype = extra.get(name, (None, None))
        return h5daq.DAQJob(
            f"soak/{name}",
            ["birth", "n", *(["x"] if shape else [])],
            Counted,
            read_period=period,
            getter_args={"folder": str(folder / "truth"), "job": name},
            shape=[(0,), (0,), *([shape] if shape else [])],
            dtype=["int64", "int64", *([dtype] if dtype else [])],
            **more,
        )

    script = folder / "extern.py"
    script.write_text(EXTERN)
    command = f"{sys.executable} {script}"
    return [
        job("schedule", 0.01),
        job("wave", 0.05),
        job("text", 0.05),
        job("constant", 1.0, read_mode="constant"),
        job("trigger", 1.0, read_mode="trigger"),
        job("fold", 0.01, compress=True),
        job("spool", 0.02, spool="always"),
        job("slow", 5.0),
        h5daq.DAQJobExtern("soak/extern", ["birth", "n"], command, dtype="int64"),
    ]


def main() -> None:
    """Run until told to stop."""
    folder = Path(sys.argv[1])
    daemon = h5daq.DAQDaemon(
        jobs_of(folder), "soak", directory=folder / "data", write_period=1.0,
        rollover_interval_dict={"minutes": 1}, rollover_grace=5.0,
    )  # fmt: skip
    daemon.start()
    print(json.dumps(daemon.endpoints), flush=True)
    sys.stdin.readline()
    print(json.dumps({"stopped": daemon.stop()}), flush=True)


if __name__ == "__main__":
    main()
