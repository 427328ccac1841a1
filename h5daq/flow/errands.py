"""What a client has asked and has no answer to: when each request is to be sent, and sent again.

An answer may be lost with a connection or with the writer that owed it. So a request is repeated,
word for word, until it is answered or given up: its number lets the writer see that it is the same
one, and nothing is done twice. Pauses double, and what is large is given time to get through.

::

    ask ──▶ waiting ──due──▶ sent ──due, after 1, 2, 4, 8 s──▶ sent again
                               └──answered──▶ forgotten
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from h5daq.flow.packing import Buffer

__all__ = ["Errands"]

FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 8.0

SLOWEST_BYTES_PER_SECOND = 4e6
"""A network slower than this gets large requests more often than it needs."""


@dataclass(slots=True)
class _Errand:
    frames: Sequence[Buffer]
    due: float
    pause: float
    sent: int = 0


class Errands:
    """Requests under way, by their numbers.

    Examples
    --------
    >>> errands = Errands()
    >>> errands.ask(7, [b"question"], now=0.0)
    >>> errands.due(now=0.0), errands.due(now=0.5), errands.due(now=1.1)
    ([(7, [b'question'])], [], [(7, [b'question'])])
    >>> errands.answered(7)
    2
    """

    def __init__(self) -> None:
        self._open: dict[int, _Errand] = {}

    def __len__(self) -> int:
        return len(self._open)

    def ask(self, number: int, frames: Sequence[Buffer], now: float, coming: int = 0) -> None:
        """A new request, due at once; up to its answer there are `coming` bytes to come."""
        size = sum(map(len, frames)) + coming
        pause = FIRST_PAUSE_SECONDS + size / SLOWEST_BYTES_PER_SECOND
        self._open[number] = _Errand(frames, now, pause)

    def due(self, now: float) -> list[tuple[int, Sequence[Buffer]]]:
        """What is to be sent now, in the order in which it was asked."""
        found = []
        for number, errand in self._open.items():
            if errand.due <= now:
                found.append((number, errand.frames))
                errand.due, errand.sent = now + errand.pause, errand.sent + 1
                errand.pause = max(errand.pause, min(2 * errand.pause, LONGEST_PAUSE_SECONDS))
        return found

    def unsent(self, number: int, due: float) -> None:
        """It was not sent, or not looked at: it is due again then."""
        errand = self._open.get(number)
        if errand is not None:
            errand.due, errand.sent = due, errand.sent - 1

    def answered(self, number: int) -> int | None:
        """It has its answer. How often it was sent; None if nobody waits for it any more."""
        errand = self._open.pop(number, None)
        return None if errand is None else errand.sent

    def give_up(self, number: int) -> None:
        """Ask no more."""
        self._open.pop(number, None)

    def wait(self, now: float) -> float | None:
        """Seconds until the next is due; None if there is none."""
        return min((max(0.0, e.due - now) for e in self._open.values()), default=None)
