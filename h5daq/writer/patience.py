"""How long a stop waits for a disk that takes nothing: as long as something moves, and a bit more.

A slow disk may need minutes for what is left, and gets them. One that is full, or gone, may never
come back: then a writer that is to stop had better end, let go of the directory, and leave what is
committed to the next start.
"""

from __future__ import annotations

import time
from collections.abc import Callable

__all__ = ["STUCK_SECONDS", "Patience"]

STUCK_SECONDS = 20.0
"""How long a stop bears trouble in which nothing moves."""


class Patience:
    """Watches whether anything moves.

    Parameters
    ----------
    trouble : callable
        Says what is wrong; empty if nothing is.
    progress : callable
        Changes with everything that is brought to the disk.
    seconds : float
        How long trouble without progress is borne.
    clock : callable
        Monotonic seconds.

    Examples
    --------
    >>> now = iter([0.0, 19.0, 21.0])
    >>> patience = Patience(lambda: "disk full", lambda: 7, 20.0, lambda: next(now))
    >>> [patience.over() for _ in range(3)]
    ['', '', 'disk full']
    """

    def __init__(
        self,
        trouble: Callable[[], str],
        progress: Callable[[], object],
        seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._trouble, self._progress = trouble, progress
        self._seconds, self._clock = seconds, clock
        self._seen: object = None
        self._since: float | None = None

    def over(self) -> str:
        """The trouble, once nothing has moved in it for too long; empty until then."""
        now, trouble, seen = self._clock(), self._trouble(), self._progress()
        if not trouble or self._since is None or seen != self._seen:
            self._since, self._seen = now, seen
        return trouble if now - self._since > self._seconds else ""
