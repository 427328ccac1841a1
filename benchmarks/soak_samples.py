"""Samples of processes and of the disk over time, and whether they are flat.

A process is known by its id and birth. Its slopes are taken over its life after a warm-up; those
of a role are the means over its processes, weighted by their time. What grows does so to the end:
a step, such as a thread that is started when it is first needed, is no growth.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import psutil

__all__ = ["Samples"]

WARM_UP_SECONDS, SHORTEST_SECONDS = 45.0, 60.0
MIB = 1 << 20

NAMES = ("MiB", "files", "threads")
LIMITS = {"MiB": 0.5, "files": 0.3, "threads": 0.1}
"""Growth per minute that is none: of memory allocators, of sockets that come and go."""

Sample = tuple[float, float, float, float]
"""Seconds; resident memory, open files, threads."""


class Samples:
    """What was seen, by process.

    Parameters
    ----------
    folder : Path
        With ``data`` and ``state`` in it.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lives: dict[tuple[str, int, float], list[Sample]] = defaultdict(list)
        self._disk: list[dict[str, float]] = []

    def take(self, now: float, roles: dict[str, list[psutil.Process]]) -> None:
        """Look at everything once."""
        for role, processes in roles.items():
            for process in processes:
                try:
                    with process.oneshot():
                        seen = (now, process.memory_info().rss / MIB,
                                float(process.num_fds()), float(process.num_threads()))  # fmt: skip
                        self._lives[role, process.pid, process.create_time()].append(seen)
                except psutil.Error:
                    continue
        self._disk.append({"time": now, **self._on_disk()})

    def _on_disk(self) -> dict[str, float]:
        data, inside = self._folder / "data", self._folder / "data" / ".h5daq"
        return {
            "journal": _mib(inside.glob("journal/*")),
            "the rest of .h5daq": _mib(p for p in inside.rglob("*") if "journal" not in p.parts),
            "redo logs": _mib(data.glob(".*.redo")),
            "redo logs, how many": float(len(list(data.glob(".*.redo")))),
            "spools": _mib((self._folder / "state").rglob("*")),
            "run files": _mib(data.glob("*.hdf5")),
        }

    def newest(self) -> str:
        """The writer now, in a few words."""
        lives = [(life[-1], role) for (role, *_), life in self._lives.items() if life]
        writers = [sample for sample, role in lives if role == "writer"]
        if not writers:
            return ""
        _, mib, files, threads = max(writers)
        return f"writer {mib:.0f} MiB, {files:.0f} files, {threads:.0f} threads"

    def slopes(self) -> dict[str, tuple[float, list[float], Sample]]:
        """By role: seconds looked at, growth per minute, and the newest sample."""
        found = {}
        for role in ("writer", "daemon", "nursery", "worker"):
            lives = [_settled(life) for key, life in self._lives.items() if key[0] == role]
            lives = [life for life in lives if len(life) > 5 and _length(life) >= SHORTEST_SECONDS]
            if lives:
                weights = [_length(life) for life in lives]
                growth = [[_per_minute(life, n) for n in (1, 2, 3)] for life in lives]
                mean = np.average(np.array(growth), axis=0, weights=weights)
                found[role] = sum(weights), mean.tolist(), lives[-1][-1]
        return found

    def table(self) -> list[tuple[str, str]]:
        """For the report."""
        rows = []
        for role, (seconds, growth, last) in self.slopes().items():
            now = ", ".join(f"{v:.0f} {name}" for v, name in zip(last[1:], NAMES, strict=True))
            per = ", ".join(f"{g:+.3f} {name}" for g, name in zip(growth, NAMES, strict=True))
            rows.append((role, f"{now}; per minute {per} (over {seconds:.0f} s)"))
        return rows

    def disk_table(self) -> list[tuple[str, str]]:
        """For the report: beginning, most, end."""
        rows = []
        for name in self._disk[0]:
            values = [sample[name] for sample in self._disk]
            if name != "time":
                rows.append((name, f"{values[0]:.1f}, at most {max(values):.1f}, {values[-1]:.1f}"))
        return rows

    def flaws(self) -> list[str]:
        """What is not flat."""
        return [
            f"{role}: {g:+.2f} {name} per minute"
            for role, (_, growth, _) in self.slopes().items()
            for g, name in zip(growth, NAMES, strict=True)
            if g > LIMITS[name]
        ]


def _settled(life: list[Sample]) -> list[Sample]:
    return [sample for sample in life if sample[0] >= life[0][0] + WARM_UP_SECONDS]


def _length(life: list[Sample]) -> float:
    return life[-1][0] - life[0][0]


def _per_minute(life: list[Sample], column: int) -> float:
    """Of all of a life or of its later half, whichever is less."""
    return min(_slope(life, column), _slope(life[len(life) // 2 :], column))


def _slope(life: list[Sample], column: int) -> float:
    values = np.array(life)
    return 60.0 * float(np.polyfit(values[:, 0], values[:, column], 1)[0])


def _mib(paths: Iterable[Path]) -> float:
    total = 0
    for path in paths:
        try:
            total += path.stat().st_blocks * 512 if path.is_file() else 0
        except FileNotFoundError:
            continue
    return total / MIB
