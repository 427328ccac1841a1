"""What workers want of a writer's time: how soon their rows, and how late their answers.

A hello may say for how long its worker collects rows (``interval``) and for how long an answer may
wait (``rest``). A writer that hears of intervals of 20 ms need not look at its socket a thousand
times per second: after a look that brought little it leaves the socket alone for half of the
shortest interval, and takes what has come meanwhile with one sync. The first row after a silence
waits for nothing.
"""

from __future__ import annotations

from typing import NamedTuple

from h5daq.flow.wire import Head

__all__ = ["Pause", "Wishes"]

LONGEST_PAUSE, SHORTEST_PAUSE = 0.02, 0.002
"""Seconds that the socket is left alone at most; and below this, not at all."""

LONGEST_REST = 2.0
"""Seconds that an answer waits at most."""

_MANY_MESSAGES, _MANY_BYTES = 256, 64 << 10
"""A look that brought more shows a writer that is busy: it goes on at once."""


class _Wish(NamedTuple):
    inc: int
    interval: float
    rest: float


class Wishes:
    """The wishes of the newest worker of each job."""

    def __init__(self) -> None:
        self._wishes: dict[str, _Wish] = {}
        self._pause: float | None = 0.0

    def hear(self, hello: Head) -> None:
        """A worker says hello. One that says nothing of it is in a hurry."""
        interval = max(0.0, float(hello.fields.get("interval") or 0.0))
        rest = min(max(0.0, float(hello.fields.get("rest") or 0.0)), LONGEST_REST)
        self._wishes[hello.job] = _Wish(hello.inc, interval, rest)
        self._pause = None

    def forget(self, job: str, inc: int) -> None:
        """A worker has ended."""
        if job in self._wishes and self._wishes[job].inc == inc:
            del self._wishes[job]
            self._pause = None

    def rest(self, job: str, inc: int) -> float:
        """For how many seconds a position of this worker may wait."""
        wish = self._wishes.get(job)
        return wish.rest if wish is not None and wish.inc == inc else 0.0

    @property
    def pause(self) -> float:
        """Seconds for which the socket may be left alone after a look."""
        if self._pause is None:
            shortest = min((wish.interval for wish in self._wishes.values()), default=0.0)
            pause = min(shortest / 2, LONGEST_PAUSE)
            self._pause = pause if pause >= SHORTEST_PAUSE else 0.0
        return self._pause


class Pause:
    """Until when the socket is left alone.

    Examples
    --------
    >>> pause = Pause()
    >>> pause.looked(10.0, messages=3, nbytes=400, seconds=0.01)
    >>> pause.left(10.004) > 0, pause.left(10.01)
    (True, 0.0)
    """

    def __init__(self) -> None:
        self._until = 0.0

    def looked(self, now: float, messages: int, nbytes: int, seconds: float) -> None:
        """A look at the socket brought so much; `seconds` is what the wishes allow."""
        busy = messages > _MANY_MESSAGES or nbytes > _MANY_BYTES
        self._until = 0.0 if busy or not messages else now + seconds

    def left(self, now: float) -> float:
        """Seconds for which it is still left alone."""
        return max(0.0, self._until - now)
