"""Few signals for many changes: the first at once, the rest as one, the last one never left out.

A dataset that grows a thousand times per second is announced at most `rate` times. What happens
between two announcements is merged into one payload, which is told when the dataset's turn comes,
whether or not anything more has happened by then.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import Generic, TypeVar

__all__ = ["Coalescer"]

P = TypeVar("P")


class Coalescer(Generic[P]):
    """At most `rate` announcements per second and path.

    Parameters
    ----------
    rate : float
        Announcements per second and path.
    merge : callable, optional
        ``merge(held, newer)`` makes one payload of two. By default the newer one wins.

    Examples
    --------
    >>> coalescer = Coalescer(rate=10, merge=lambda held, newer: held + newer)
    >>> [coalescer.offer("tank", 1, now) for now in (0.0, 0.01, 0.02)]
    [1, None, None]
    >>> coalescer.due(0.05), coalescer.due(0.1)
    ([], [('tank', 2)])
    """

    def __init__(self, rate: float = 20.0, merge: Callable[[P, P], P] | None = None) -> None:
        self._pause = 1 / rate
        self._merge = merge or _newer
        self._told: dict[str, float] = {}  # when; the oldest first
        self._held: dict[str, P] = {}
        self._turns: list[tuple[float, str]] = []

    def offer(self, path: str, payload: P, now: float) -> P | None:
        """The payload if it may be told now; None if it is held until its turn."""
        if path in self._held:
            self._held[path] = self._merge(self._held[path], payload)
            return None
        turn = self._told.get(path, now - self._pause) + self._pause
        if turn <= now:
            self._tell(path, now)
            return payload
        self._held[path] = payload
        heapq.heappush(self._turns, (turn, path))
        return None

    def due(self, now: float) -> list[tuple[str, P]]:
        """The payloads whose turn has come, with their paths."""
        told = []
        while self._turns and self._turns[0][0] <= now:
            told.append(self._release(now))
        return told

    def flush(self, now: float) -> list[tuple[str, P]]:
        """All that is held, due or not: for the end of a run."""
        return [self._release(now) for _ in range(len(self._turns))]

    def next_deadline(self) -> float | None:
        """When `due` has something to tell; None if nothing is held."""
        return self._turns[0][0] if self._turns else None

    def _release(self, now: float) -> tuple[str, P]:
        _, path = heapq.heappop(self._turns)
        self._tell(path, now)
        return path, self._held.pop(path)

    def _tell(self, path: str, now: float) -> None:
        self._told.pop(path, None)
        self._told[path] = now
        # Paths that were told long ago are forgotten, so that many of them take no room.
        oldest = next(iter(self._told))
        while self._told[oldest] < now - 2 * self._pause:
            del self._told[oldest]
            oldest = next(iter(self._told))


def _newer(_held: P, newer: P) -> P:
    return newer
