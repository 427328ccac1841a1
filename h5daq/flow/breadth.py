"""How much may be in flight on a disk that is slow: as much as a short sync takes, and no more.

What is in flight waits for the same sync, a small job's row behind a large job's rows. So when a
sync takes long all windows are narrowed, by halves, and widened again slowly when it does not.
Nothing is lost by that: what may not be sent is held, or handled as the job's overflow says.
"""

from __future__ import annotations

__all__ = ["Breadth"]

SLOW_SECONDS = 0.25
"""A sync that takes longer makes the rows of all jobs late."""

LEAST_BYTES = 64 << 10
"""Windows are not narrowed below this."""

_NARROWER, _WIDER = 0.5, 1.1
_LEAST = 2.0**-12


class Breadth:
    """The share of their windows that workers may use.

    Examples
    --------
    >>> breadth = Breadth()
    >>> breadth.synced(1.0); breadth.of(1 << 20)
    524288
    >>> for _ in range(8): breadth.synced(0.01)
    >>> breadth.of(1 << 20)
    1048576
    """

    def __init__(self) -> None:
        self._share = 1.0

    def synced(self, seconds: float) -> None:
        """Note how long a sync took."""
        if seconds > SLOW_SECONDS:
            self._share = max(_LEAST, self._share * _NARROWER)
        elif seconds < SLOW_SECONDS / 2:
            self._share = min(1.0, self._share * _WIDER)

    def of(self, window: int) -> int:
        """A window as it is now, in bytes."""
        return min(window, max(LEAST_BYTES, int(window * self._share)))
