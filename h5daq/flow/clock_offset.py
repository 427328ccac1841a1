"""How far two clocks are apart, from questions and answers that carry times: `ClockOffset`.

An answer says when the other side had the question and when it answered; with the two times of our
own, the difference of the clocks is known but for half of the time that the messages took. Of the
last few exchanges the one that leaves least doubt counts (the clock filter of NTP, RFC 5905,
sections 8 and 10). One that contradicts it means that a clock was set: then only the newest does.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

__all__ = ["ClockOffset", "Offset"]

DRIFT = 1e-4
"""Seconds per second by which a free crystal may go wrong; so grows the doubt of an exchange."""

_KEEP = 8

_ROUNDING = 1e-6
"""Seconds that the last bits of times of this century may make."""


class Offset(NamedTuple):
    """The other clock minus ours, by how much that may be wrong at most, and the time that the
    messages took there and back; in seconds."""

    offset: float
    error: float
    delay: float


class _Exchange(NamedTuple):
    heard: float
    offset: float
    delay: float

    def at(self, now: float) -> Offset:
        error = self.delay / 2 + DRIFT * abs(now - self.heard)
        return Offset(self.offset, error, self.delay)


class ClockOffset:
    """The last exchanges with one other clock (all times in seconds).

    Examples
    --------
    >>> clock = ClockOffset()
    >>> clock.take(sent=10.0, received=60.1, answered=60.1, heard=10.4)
    >>> clock.take(sent=20.0, received=70.1, answered=70.1, heard=20.2)
    >>> found = clock.at(20.2)
    >>> round(found.offset, 3), round(found.error, 3)
    (50.0, 0.1)
    """

    def __init__(self) -> None:
        self._exchanges: deque[_Exchange] = deque(maxlen=_KEEP)

    def take(self, sent: float, received: float, answered: float, heard: float) -> None:
        """Note an exchange.

        Parameters
        ----------
        sent, heard : float
            When the question left and when its answer was there, by our clock.
        received, answered : float
            When the question came and when the answer left, by the other one.
        """
        delay = (heard - sent) - (answered - received)
        if not (heard >= sent and answered >= received and delay >= -_ROUNDING):
            return  # a clock was set meanwhile: this one tells nothing
        delay = max(0.0, delay)
        new = _Exchange(heard, ((received - sent) + (answered - heard)) / 2, delay)
        known = self.at(heard)
        if known is not None and abs(known.offset - new.offset) > known.error + delay / 2:
            self._exchanges.clear()
        self._exchanges.append(new)

    def at(self, now: float) -> Offset | None:
        """The difference as it is known at `now` (by our clock); None before an exchange."""
        told = [exchange.at(now) for exchange in self._exchanges]
        return min(told, key=lambda offset: offset.error, default=None)
