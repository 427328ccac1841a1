"""How a value went since somebody began to look, in so many points at most.

Time is cut into stretches; of each remain the least and the largest value, so that no peak is
missed. When there are too many stretches they become longer: a minute is kept in tenths of a
second, a week in minutes, in the same memory.
"""

from __future__ import annotations

from array import array

__all__ = ["History"]

FIRST_STRETCH = 0.1
"""Seconds; the signals of a fast job tell hardly anything finer."""


class History:
    """A value over time, thinned out as it grows.

    Parameters
    ----------
    most : int
        Stretches that are kept.

    Examples
    --------
    >>> history = History(most=4)
    >>> for second in range(6):
    ...     history.add(float(second), float(second % 2))
    >>> history.points()
    ([0.0, 0.0, 2.0, 2.0, 4.0, 4.0], [0.0, 1.0, 0.0, 1.0, 0.0, 1.0])
    """

    def __init__(self, most: int = 600) -> None:
        self._most, self._stretch = most, FIRST_STRETCH
        self._clear()

    def add(self, time: float, value: float) -> None:
        """Take in a value and its time, in seconds of any clock."""
        if len(self._times) >= self._most and not self._within(time):
            self._thin()
        self._take(time, value, value, True)

    def points(self) -> tuple[list[float], list[float]]:
        """Times and values to draw a line through: one or two for each stretch."""
        times: list[float] = []
        values: list[float] = []
        for time, low, high, rises in self._entries():
            ends = [low] if low == high else [low, high] if rises else [high, low]
            times += [time] * len(ends)
            values += ends
        return times, values

    def __len__(self) -> int:
        return len(self._times)

    def _clear(self) -> None:
        self._times, self._lows, self._highs = array("d"), array("d"), array("d")
        self._rises = bytearray()  # whether the least value came before the largest

    def _entries(self) -> list[tuple[float, float, float, int]]:
        return list(zip(self._times, self._lows, self._highs, self._rises, strict=True))

    def _within(self, time: float) -> bool:
        return bool(self._times) and 0.0 <= time - self._times[-1] < self._stretch

    def _take(self, time: float, low: float, high: float, rises: bool) -> None:
        if not self._within(time):
            self._times.append(time)
            self._lows.append(low)
            self._highs.append(high)
            self._rises.append(rises)
            return
        higher, lower = high > self._highs[-1], low < self._lows[-1]
        self._highs[-1], self._lows[-1] = max(high, self._highs[-1]), min(low, self._lows[-1])
        if higher or lower:
            self._rises[-1] = rises if higher and lower else higher

    def _thin(self) -> None:
        """Longer stretches, so that half as many suffice."""
        entries = self._entries()
        span = max(self._times) - min(self._times)
        # Twice what would just fit: as many entries as may be span one gap less.
        self._stretch = max(2.0 * self._stretch, 2.0 * span / (self._most - 1))
        self._clear()
        for time, low, high, rises in entries:
            self._take(time, low, high, bool(rises))
        if len(self._times) >= self._most:
            # A clock that goes back all the time: what is oldest goes.
            self._clear()
            for time, low, high, rises in entries[len(entries) // 2 :]:
                self._take(time, low, high, bool(rises))
