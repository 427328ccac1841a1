"""Shared by the benchmarks: raw limits, rounds and medians, the table, sizes of processes.

Absolute figures drift by a factor of two on virtual machines; ratios within one run hold. So each
script measures its raw limit in the same rounds, right before or after its own figure.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from h5daq.storage.writeback import WriteBehind

MIB = 1 << 20


def arguments(text: str | None, **defaults: float | str) -> argparse.Namespace:
    """The script's options: one number or word each, with a default."""
    parser = argparse.ArgumentParser(description=text)
    parser.add_argument("--directory", default=None, help="where to write (a real disk)")
    for name, default in defaults.items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(default), default=default)
    return parser.parse_args()


@contextmanager
def scratch(directory: str | None) -> Iterator[Path]:
    """A directory of its own on the disk that is measured."""
    with tempfile.TemporaryDirectory(prefix="h5daq-bench-", dir=directory) as name:
        yield Path(name)


def raw_write_behind(folder: Path, total: int, block: int = MIB) -> float:
    """Bytes per second of a plain sequential write with write-behind and one final fsync."""
    path = folder / "raw"
    data = os.urandom(block)
    fd = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
    try:
        behind = WriteBehind(fd)
        began = time.perf_counter()
        for offset in range(0, total, block):
            os.pwrite(fd, data, offset)
            behind.wrote(offset, block)
        os.fsync(fd)
        return total / (time.perf_counter() - began)
    finally:
        os.close(fd)
        path.unlink()


def rounds(n: int, measure: Callable[[], tuple[float, ...]]) -> tuple[float, ...]:
    """Medians of what `measure` gives in `n` rounds."""
    return tuple(
        statistics.median(column) for column in zip(*(measure() for _ in range(n)), strict=True)
    )


def percentile(values: list[float], p: float) -> float:
    """The p-th percentile (0 to 100) by the nearest rank."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * p / 100))]


def memory_mib(pids: list[int]) -> float:
    """Proportional set size of some processes together, in MiB."""
    total = 0
    for pid in pids:
        try:
            total += psutil.Process(pid).memory_full_info().pss
        except psutil.NoSuchProcess:
            continue
    return total / MIB


def cpu_seconds(pids: list[int]) -> float:
    """CPU time of some processes together."""
    total = 0.0
    for pid in pids:
        try:
            times = psutil.Process(pid).cpu_times()
            total += times.user + times.system
        except psutil.NoSuchProcess:
            continue
    return total


def show(title: str, rows: list[tuple[str, str]]) -> None:
    """Print one result."""
    width = max((len(name) for name, _ in rows), default=0)
    print(f"\n{title}")
    for name, value in rows:
        print(f"  {name:<{width}}  {value}")


def verdict(ratio: float, least: float) -> str:
    """A ratio beside its bar."""
    return f"{ratio:.2f} (bar {least:.2f}: {'met' if ratio >= least else 'MISSED'})"
