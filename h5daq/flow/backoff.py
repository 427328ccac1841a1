"""How long to wait before a process that died is started again, and when to give it up.

The pause doubles with each death and is forgotten once the process has lived for a while; a
process that dies ``limit`` times in a row without living that long is given up.
"""

from __future__ import annotations

__all__ = ["Backoff"]


class Backoff:
    """The restarts of one process (all times in seconds of one monotonic clock).

    Parameters
    ----------
    first, most : float
        The first and the longest pause.
    healthy : float
        A process that lived so long has left its troubles behind.
    limit : int
        Deaths in a row after which there is no further start.

    Examples
    --------
    >>> backoff = Backoff(first=0.5, most=2.0, limit=4)
    >>> [backoff.died(started=0.0, now=1.0) for _ in range(5)]
    [0.5, 1.0, 2.0, 2.0, None]
    """

    def __init__(
        self, first: float = 0.25, most: float = 30.0, healthy: float = 60.0, limit: int = 10
    ) -> None:
        self._first, self._most, self._healthy = first, most, healthy
        self._limit = limit
        self.deaths = 0
        self.total = 0

    def died(self, started: float, now: float) -> float | None:
        """Note a death; the pause before the next start, or None to give up."""
        self.deaths = 1 if now - started >= self._healthy else self.deaths + 1
        self.total += 1
        if self.deaths > self._limit:
            return None
        return min(self._most, self._first * 2.0 ** (self.deaths - 1))
