"""A worker's messages go to the writer, and from there to wherever the run's log is kept.

They may be lost, and never keep a reading waiting. A getter that logs without end is held to a
burst of messages and a few per second; how many were left out is said with the next one.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

from h5daq.logs import SendingHandler

__all__ = ["Throttle", "send_messages"]

BURST = 100
PER_SECOND = 20.0


class Throttle:
    """Lets a burst through, and then some per second.

    Examples
    --------
    >>> throttle = Throttle(burst=2, rate=1.0, now=0.0)
    >>> [throttle.allows(0.0) for _ in range(4)], throttle.allows(1.0), throttle.left_out()
    ([True, True, False, False], True, 2)
    """

    def __init__(self, burst: int, rate: float, now: float) -> None:
        self._burst, self._rate = burst, rate
        self._credit, self._at = float(burst), now
        self._left_out = 0

    def allows(self, now: float) -> bool:
        """Whether one more may go now."""
        self._credit = min(self._burst, self._credit + (now - self._at) * self._rate)
        self._at = now
        if self._credit < 1.0:
            self._left_out += 1
            return False
        self._credit -= 1.0
        return True

    def left_out(self) -> int:
        """How many were refused since this was last asked."""
        count, self._left_out = self._left_out, 0
        return count


def send_messages(job: str, level: str | int, say: Callable[..., object]) -> logging.Handler:
    """Send all messages of this process, from `level` on, by `say`."""
    throttle = Throttle(BURST, PER_SECOND, time.monotonic())

    def send(fields: dict[str, Any]) -> None:
        if throttle.allows(time.monotonic()):
            count = throttle.left_out()
            more = f" ({count} messages before it were left out)" if count else ""
            # Whose it is stands in every message of a worker already.
            whole = {name: value for name, value in fields.items() if name != "job"}
            say("log", **{**whole, "text": fields["text"] + more})

    handler = SendingHandler(job, send)
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(level)
    return handler
