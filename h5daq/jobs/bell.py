"""A `Bell` wakes the one thread that waits for it: to the microsecond, and from a signal handler.

It is a binary semaphore made of a raw lock. A `threading.Event` would do, but for two things: it
must not be set in a signal handler of the thread that waits (it takes a lock that this thread may
hold), and each wait of it makes a new lock.
"""

from __future__ import annotations

import contextlib
import threading

__all__ = ["Bell"]


class Bell:
    """Rung once or often, it ends one wait.

    Examples
    --------
    >>> bell = Bell()
    >>> bell.ring(); bell.ring()
    >>> bell.wait(1.0), bell.wait(0.0)
    (True, False)
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lock.acquire()

    def ring(self) -> None:
        """End the wait that is under way, or the next one."""
        with contextlib.suppress(RuntimeError):  # it was rung before
            self._lock.release()

    def wait(self, timeout: float) -> bool:
        """Wait up to `timeout` seconds; whether the bell was rung."""
        return self._lock.acquire(timeout=min(max(timeout, 0.0), threading.TIMEOUT_MAX))
