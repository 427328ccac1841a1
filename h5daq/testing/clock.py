"""A clock that moves only when a test says so."""

from __future__ import annotations

import threading

__all__ = ["FakeClock"]


class FakeClock:
    """Stands in for ``time.monotonic`` or ``time.time``, and for ``time.sleep``.

    Parameters
    ----------
    now : float
        Where it starts, seconds.

    Examples
    --------
    >>> clock = FakeClock(100.0)
    >>> clock.sleep(2.5)
    >>> clock(), clock.slept
    (102.5, [2.5])
    """

    def __init__(self, now: float = 0.0) -> None:
        self._now = now
        self._lock = threading.Lock()
        self.slept: list[float] = []

    def __call__(self) -> float:
        """The time, seconds."""
        return self._now

    @property
    def now(self) -> float:
        """The time, seconds."""
        return self._now

    def advance(self, seconds: float) -> float:
        """Move on by `seconds` (negative: somebody set the clock back); the new time."""
        with self._lock:
            self._now += seconds
            return self._now

    def set(self, now: float) -> None:
        """Set it."""
        with self._lock:
            self._now = now

    def sleep(self, seconds: float) -> None:
        """Move on at once, and remember for how long."""
        self.slept.append(seconds)
        self.advance(max(0.0, seconds))
