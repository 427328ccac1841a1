"""The system that the fault campaign tears at: one daemon with a job of each kind.

``python -m benchmarks.fault_system FOLDER OPTIONS`` starts it, prints one line of JSON, and stops
in order when its standard input ends or says so. Each getter numbers its rows and puts its own
birth (nanoseconds of the clock that nobody can set) beside the number, so that each row that is
missing can be laid at somebody's door; how far it has counted stands in a mapped file that outlives
a kill.
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
from benchmarks.fault_code import HANG_SECONDS, Orders
from h5daq.daemon import fleet
from h5daq.errors import FileBusy, H5daqError
from h5daq.worker import WorkerSpec

FOLDED = 8
"""Readings in a row that the folding job's getter gives the same number."""

WAVE, LARGE = 256, 40_000
"""Values of a row of the jobs ``array`` and ``large``; the latter's go past the page cache."""


class Numbered:
    """A getter whose rows begin with its birth and a number that counts from 0."""

    def __init__(self, folder: str, job: str, pause: float = 0.0) -> None:
        self.birth, self.n, self.job, self.pause = time.monotonic_ns(), 0, job, pause
        name = Path(folder) / f"{job}.{os.getpid()}.{self.birth}"
        name.write_bytes(bytes(8))
        with open(name, "r+b") as file:
            self._count = mmap.mmap(file.fileno(), 8)
        self._orders = Orders(Path(folder).parent)

    def __call__(self) -> tuple[Any, ...]:
        """The next row; counted before anybody has it."""
        self._orders.obey(self.job)
        n, self.n = self.n, self.n + 1
        if self.pause:
            time.sleep(self.pause)
        struct.pack_into("<q", self._count, 0, self.n)
        return self._row(n)

    def _row(self, n: int) -> tuple[Any, ...]:
        if self.job.startswith(("array", "large")):
            return self.birth, n, np.full(LARGE if self.job == "large" else WAVE, float(n))
        if self.job == "text":
            return self.birth, n, f"row {n}"
        return self.birth, n // FOLDED if self.job == "fold" else n


def jobs_of(truth: str) -> list[h5daq.DAQJob]:
    """One job of each kind."""

    def job(name: str, period: float, pause: float = 0.0, **more: Any) -> h5daq.DAQJob:
        extra = {
            "array": ((0, WAVE), float), "large": ((0, LARGE), float), "text": ((0,), str)
        }.get(name)  # fmt: skip
        return h5daq.DAQJob(
            f"jobs/{name}",
            ["birth", "n", *(["x"] if extra else [])],
            Numbered,
            read_period=period,
            getter_args={"folder": truth, "job": name, "pause": pause},
            shape=[(0,), (0,), *([extra[0]] if extra else [])],
            dtype=["int64", "int64", *([extra[1]] if extra else [])],
            hang_timeout=HANG_SECONDS,
            **more,
        )

    return [
        job("count", 0.005),
        job("array", 0.02),
        job("large", 0.5),
        job("text", 0.02),
        job("constant", 1.0, pause=0.0005, read_mode="constant"),
        job("fold", 0.005, compress=True),
        job("spool", 0.005, spool="always"),
    ]


def detour(endpoints: dict[str, str]) -> None:
    """Send the workers elsewhere than to the writer: a network lies between that can fail."""
    fleet.WorkerSpec = lambda **fields: WorkerSpec(**{**fields, **endpoints})


def say(**fields: Any) -> None:
    """One line of JSON for the campaign."""
    print(json.dumps(fields), flush=True)


def main() -> int:
    """Run until told to stop; the exit code says whether that went well."""
    folder, options = Path(sys.argv[1]), json.loads(sys.argv[2])
    # No choices of a user's: with small segments, kills meet the change from one to the next.
    hidden = {k: options.pop(k) for k in ("segment_bytes", "stuck_timeout") if k in options}
    detour(options.pop("through", {}))
    data = options.pop("directory", str(folder / "data"))
    h5daq.setup_logging("DEBUG", False, folder / "log.txt")
    daemon = h5daq.DAQDaemon(jobs_of(str(folder / "truth")), "run", directory=data,
                             **options)  # fmt: skip
    daemon._options.update(hidden)
    try:
        daemon.start()
    except H5daqError as error:
        say(busy=isinstance(error, FileBusy) or "FileBusy" in str(error), failed=str(error))
        return 3
    run = daemon.status()["run"]["id"]
    say(run=run, recovered=daemon.recovered, **daemon.endpoints)
    sys.stdin.readline()
    say(stopped=daemon.stop())
    return 0


if __name__ == "__main__":
    sys.exit(main())
