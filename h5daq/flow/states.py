"""A file and a job as the ledger keeps them: plain values, made from journal entries alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from h5daq.flow.schema import Schema

__all__ = ["FileState", "JobState"]

_MOST = 2**63 - 1
"""Counts are kept as int64; what peers claim may add up to more."""

_MOST_CAUSES = 100
"""Causes of loss that a job has at most; the rest are counted as ``other``."""

_MOST_RESTARTS = 100
"""Restarts of a job that are kept, the newest; those before are only counted."""


Jump = Sequence[float]
"""When a worker's clock was set, by the clock after it, and by how many seconds."""


@dataclass(slots=True)
class FileState:
    """A file that rows may still go to (times in seconds since 1970-01-01 UTC)."""

    id: int
    previous: int
    following: int
    start: float
    end: float
    name: str
    rows: int = 0
    bytes: int = 0
    notes: int = 0

    @property
    def begun(self) -> bool:
        """Whether there is anything in it; it is not made before."""
        return bool(self.rows or self.notes)


@dataclass(slots=True)
class JobState:
    """A job as the writer knows it: its columns, the position of each incarnation, its losses.

    ``inc`` is its newest worker, ``spooled`` the incarnation whose spool that worker reads out
    before it says hello itself. ``met`` is whether ``inc`` itself said hello in this run.
    ``restarted`` counts all restarts, ``restarts`` has the newest. ``counts`` is what
    each incarnation has told as lost since it began, ``earlier`` how much of it in earlier runs.
    """

    job: str
    schema: Schema
    attrs: dict[str, Any]
    period: float
    mode: str
    chunk: int
    inc: int
    host: str = ""
    pid: int = 0
    file: int = 0
    rows: int = 0
    late: int = 0
    last_time: float | None = None
    next: dict[int, int] = field(default_factory=dict)
    skipped: dict[str, int] = field(default_factory=dict)
    counts: dict[int, dict[str, int]] = field(default_factory=dict)
    earlier: dict[int, dict[str, int]] = field(default_factory=dict)
    restarts: list[tuple[float, str]] = field(default_factory=list)
    jumps: dict[int, list[Jump]] = field(default_factory=dict)
    restarted: int = 0
    met: bool = True
    spooled: int | None = None

    @property
    def speaker(self) -> int:
        """The incarnation that said hello last."""
        return self.inc if self.spooled is None else self.spooled

    @property
    def clock_jumps(self) -> list[Jump]:
        """How often the clock was set on the hosts of its workers, one worker after the other."""
        return [jump for jumps in self.jumps.values() for jump in jumps]

    @property
    def lost(self) -> dict[str, int]:
        """Rows that were not kept, by cause, over all incarnations."""
        total = dict(self.skipped)
        for inc, counts in self.counts.items():
            before = self.earlier.get(inc, {})
            for cause, n in counts.items():
                if n > before.get(cause, 0):
                    _count(total, cause, n - before.get(cause, 0))
        return {cause: min(n, _MOST) for cause, n in total.items()}

    def told(self, inc: int) -> int:
        """What an incarnation has told as lost without a number, in this run or before."""
        return sum(self.told_by(inc).values())

    def told_by(self, inc: int) -> dict[str, int]:
        """The same by cause."""
        return self.counts.get(inc) or self.earlier.get(inc, {})

    def unaccounted(self, inc: int, produced: int) -> int:
        """Of what an incarnation has produced, what did not come and was not told as lost."""
        return max(0, produced - self.next.get(inc, 0) - self.told(inc))

    def bury(self, inc: int, produced: int, cause: str) -> None:
        """An incarnation is gone: what is unaccounted for is lost, and its numbers are given out.

        So a second time finds nothing that is unaccounted for.
        """
        lost = self.unaccounted(inc, produced)
        self.next[inc] = self.next.get(inc, 0) + lost
        if lost:
            self.skip(cause, lost)

    def skip(self, cause: str, n: int) -> None:
        """Count numbered rows that will never come."""
        _count(self.skipped, cause, n)

    def restart(self, time: float, cause: str) -> None:
        """Note a restart of its worker."""
        self.restarted = max(self.restarted, len(self.restarts)) + 1
        self.restarts.append((time, cause))
        del self.restarts[:-_MOST_RESTARTS]


def _count(causes: dict[str, int], cause: str, n: int) -> None:
    # Each becomes an attribute of the file, and its name is anybody's choice.
    known = cause in causes or len(causes) < _MOST_CAUSES
    cause = cause if known else "other"
    causes[cause] = causes.get(cause, 0) + n
