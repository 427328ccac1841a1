"""How fast rows come, and how a value went lately; from news that arrive when they like.

`Rate` is an average whose memory fades over some seconds, weighted by time: a job that is told of
20 times a second and one that is told of once a minute are both right. `Trend` keeps a point per
second or so for a sparkline, `Room` tells how long what is left will last. Time is always an
argument, in seconds of any clock.
"""

from __future__ import annotations

import math
from collections import deque

__all__ = ["Rate", "Room", "Trend"]

FADE_SECONDS = 5.0
"""After this time news weigh 1/e of what they did."""

SHORTEST_SECONDS = 0.2
"""Stretch of time from which on a rate means something."""


class Rate:
    """Rows per second from a count that only grows.

    Examples
    --------
    >>> rate = Rate()
    >>> for second in range(4):
    ...     rate.count(10 * second, float(second))
    >>> rate.at(3.0)
    10.0
    """

    def __init__(self, fade: float = FADE_SECONDS) -> None:
        self._fade = fade
        self._total: int | None = None
        self._since = 0.0
        self._sum = self._weight = 0.0
        self._seen = 0.0
        self._last_rows, self._last_gap = 0, 0.0

    def count(self, total: int, now: float) -> None:
        """Take in the total as it is told at `now`. A total that fell is a new beginning."""
        if self._total is None or total < self._total:
            self._total, self._since = total, now
            return
        gap = now - self._since
        if total == self._total or gap <= 0.0:
            return
        self._add(total - self._total, gap)
        self._total, self._since = total, now

    def _add(self, rows: int, gap: float) -> None:
        keep = math.exp(-gap / self._fade)
        self._sum = self._sum * keep + (1.0 - keep) * rows / gap
        self._weight = self._weight * keep + (1.0 - keep)
        self._seen += gap
        self._last_rows, self._last_gap = rows, gap

    def at(self, now: float) -> float | None:
        """Rows per second; None until there were enough news to tell.

        Silence of more than twice the last gap counts: no more rows can have come per second than
        the next news would tell if they came now.
        """
        if self._seen < SHORTEST_SECONDS or not self._weight:
            return None
        rate = self._sum / self._weight
        silence = now - self._since
        if silence > max(2.0 * self._last_gap, 1.0):
            rate = min(rate, self._last_rows / silence)
        return rate


class Trend:
    """The last points of a value, at most one for each `every` seconds, for a sparkline."""

    def __init__(self, points: int = 40, every: float = 1.0) -> None:
        self._every = every
        self._points: deque[float] = deque(maxlen=points)
        self._begun: float | None = None

    def add(self, value: float, now: float) -> None:
        """Take in a value; of several within `every` seconds the last one stays."""
        fresh = self._begun is None or not 0.0 <= now - self._begun < self._every
        if fresh:
            self._points.append(value)
            self._begun = now
        else:
            self._points[-1] = value

    @property
    def points(self) -> tuple[float, ...]:
        """Oldest first."""
        return tuple(self._points)


class Room:
    """How long free space will last, by how it went in the last ten minutes.

    Space comes and goes in steps (a checkpoint, a segment of the journal, another program's file);
    only what is gone after a minute and more counts.

    Examples
    --------
    >>> room = Room()
    >>> for minute in range(3):
    ...     room.count(1000 - 100 * minute, 60.0 * minute)
    >>> room.lasts
    480.0
    """

    def __init__(self, span: float = 600.0, least: float = 60.0) -> None:
        self._span, self._least = span, least
        self._looks: deque[tuple[float, int]] = deque()

    def count(self, free: int, now: float) -> None:
        """Take in how much is free at `now`."""
        if self._looks and now < self._looks[-1][0]:
            self._looks.clear()
        self._looks.append((now, free))
        while now - self._looks[0][0] > self._span:
            self._looks.popleft()

    @property
    def lasts(self) -> float | None:
        """Seconds until nothing is free; None if it doesn't shrink, or it is too soon to tell."""
        if not self._looks:
            return None
        (begun, before), (now, free) = self._looks[0], self._looks[-1]
        if now - begun < self._least or free >= before:
            return None
        return free * (now - begun) / (before - free)
