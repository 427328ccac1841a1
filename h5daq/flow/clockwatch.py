"""The wall clock against a clock that never jumps: has it been set, and by how much?

Rows carry wall time, which people and time servers set; deadlines follow a monotonic clock. The
difference of the two changes by leaps only when the wall clock was set, or when the computer
slept. Slow corrections, as time servers make them, are followed and no news.
"""

from __future__ import annotations

__all__ = ["JUMP_SECONDS", "MOST_JUMPS", "ClockWatch"]

JUMP_SECONDS = 0.25
"""Changes between two looks below this are corrections."""

SURE_SECONDS = 0.02
"""Two clocks can't be read at once: a look that took longer than this tells nothing."""

MOST_JUMPS = 256
"""Jumps that are told of one incarnation; those after it are only logged."""


class ClockWatch:
    """Compares at each look.

    Attributes
    ----------
    jumps : list of (float, float)
        When, by the clock after the jump (seconds since 1970-01-01 UTC), and by how many seconds,
        below zero for back. At most `MOST_JUMPS`.

    Examples
    --------
    >>> watch = ClockWatch()
    >>> [watch.look(now, wall, now) for now, wall in [(1.0, 101.0), (2.0, 102.0), (3.0, 3703.0)]]
    [0.0, 0.0, 3600.0]
    >>> watch.jumps
    [(3703.0, 3600.0)]
    """

    def __init__(self) -> None:
        self.jumps: list[tuple[float, float]] = []
        self._offset: float | None = None

    def look(self, before: float, wall: float, after: float) -> float:
        """Seconds by which the wall clock was set since the last look; 0 if it wasn't.

        Parameters
        ----------
        before, after : float
            The monotonic clock, read before and after the other one.
        wall : float
            Seconds since 1970-01-01 UTC.
        """
        if after - before > SURE_SECONDS:
            return 0.0
        known, self._offset = self._offset, wall - (before + after) / 2
        size = 0.0 if known is None else self._offset - known
        if abs(size) < JUMP_SECONDS:
            return 0.0
        if len(self.jumps) < MOST_JUMPS:
            self.jumps.append((wall, size))
        return size
