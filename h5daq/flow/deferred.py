"""Positions that may be told a little later, all together: most workers need none at once.

A position only lets its worker forget rows. A worker whose window is far from full loses nothing
when it hears it a few times per second, and a hundred of them on a small computer gain much: each
message wakes two threads of a process. So a hello may say for how long a position may wait
(``rest``). What a heartbeat has told meanwhile is not told again, since a position that is repeated
would look like lost rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

__all__ = ["MOST_BYTES", "Deferred", "Key", "Wait"]

Key = tuple[str, int]
"""A job and an incarnation of it."""

MOST_BYTES = 32 << 10
"""With more than this untold, a worker is told at once: half of the narrowest window."""


class Wait(NamedTuple):
    """For how many seconds a position may wait, and the bytes of the rows that it is about."""

    seconds: float
    nbytes: int


class _Held(NamedTuple):
    position: int
    nbytes: int
    until: float
    seconds: float


class Deferred:
    """The positions that wait.

    Examples
    --------
    >>> deferred = Deferred()
    >>> deferred.holds(("tank", 1), 5, Wait(0.6, 100), now=10.0)
    True
    >>> deferred.holds(("tank", 1), 6, Wait(0.6, 100), now=10.1)
    True
    >>> deferred.due(10.5), deferred.due(10.6)
    ({}, {('tank', 1): 6})
    """

    def __init__(self) -> None:
        self._held: dict[Key, _Held] = {}
        self._deadline: float | None = None

    def holds(self, key: Key, position: int, wait: Wait, now: float) -> bool:
        """Whether a position waits from now on; if not, it is to be told at once."""
        held = self._held.get(key)
        nbytes = wait.nbytes + (held.nbytes if held else 0)
        if wait.seconds <= 0.0 or nbytes > MOST_BYTES:
            self.forget(key)
            return False
        until = held.until if held else now + wait.seconds
        self._held[key] = _Held(position, nbytes, until, wait.seconds)
        self._deadline = until if self._deadline is None else min(self._deadline, until)
        return True

    def forget(self, key: Key) -> None:
        """It is told otherwise."""
        self._held.pop(key, None)

    def told(self, positions: Mapping[str, tuple[int, int]], now: float) -> None:
        """A heartbeat has told these: ``{job: (inc, next)}``. What came since waits anew."""
        for key, held in list(self._held.items()):
            inc, following = positions.get(key[0], (None, 0))
            if inc == key[1] and following == held.position:
                self.forget(key)
            elif inc == key[1]:
                self._held[key] = held._replace(until=now + held.seconds)
        self._deadline = min((held.until for held in self._held.values()), default=None)

    def due(self, now: float) -> dict[Key, int]:
        """All that waits, once the first has waited as long as it may."""
        if self._deadline is None or now < self._deadline:
            return {}
        told, self._held, self._deadline = self._held, {}, None
        return {key: held.position for key, held in told.items()}

    def next_deadline(self) -> float | None:
        """When `due` has something to tell; None if nothing waits."""
        return self._deadline
