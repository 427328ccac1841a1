"""Shared by the parts of `benchmarks.load`: memory peaks, latency, who is who."""

from __future__ import annotations

import threading
import time

import h5daq
from benchmarks.common import memory_mib
from h5daq.errors import NoAnswer


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
