"""Which alarm is to be delivered when, to somebody who may be slow, busy or away.

Of each alarm only the newest change waits; what it takes the place of is counted in ``missed``. A
delivery that fails is tried again after a pause that doubles, some times; then it is given up, and
counted. And there are no more deliveries per minute than are wanted.

Pure; times are seconds of a clock that never goes back.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from h5daq.flow.ratelimit import RateLimit

__all__ = ["AlarmQueue"]

MOST_TRIES = 6
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
MOST_WAITING = 1000

_ONE = b""


class AlarmQueue:
    """The alarms that one receiver has still to be told.

    Parameters
    ----------
    per_minute : float
        Most deliveries per minute; so many may come at once.

    Attributes
    ----------
    delivered, failed, dropped : int
        Deliveries that went well; that were given up; alarms that had no room to wait.

    Examples
    --------
    >>> queue = AlarmQueue(per_minute=60)
    >>> for level in ("warn", "alarm"):
    ...     queue.put({"job": "tank", "column": "T", "kind": "high", "level": level})
    >>> queue.wait(now=0.0), queue.take(now=0.0)["level"]
    (0.0, 'alarm')
    >>> queue.done(False, now=0.5)
    >>> queue.wait(now=0.5), queue.wait(now=1.5)
    (1.0, 0.0)
    """

    def __init__(self, per_minute: float) -> None:
        self._waiting: dict[tuple[str, str, str], dict[str, Any]] = {}
        self._limit = RateLimit(per_minute / 60.0, max(1.0, per_minute))
        self._now: dict[str, Any] | None = None
        self._tries = 0
        self._not_before = float("-inf")
        self.delivered = self.failed = self.dropped = 0

    def put(self, alarm: Mapping[str, Any]) -> None:
        """Take a change of an alarm, in the place of an earlier one that still waits."""
        key = (str(alarm["job"]), str(alarm["column"]), str(alarm["kind"]))
        earlier = self._waiting.pop(key, None)
        missed = 0 if earlier is None else earlier["missed"] + 1
        self._waiting[key] = {**alarm, "missed": missed}
        if len(self._waiting) > MOST_WAITING:
            del self._waiting[next(iter(self._waiting))]
            self.dropped += 1

    def wait(self, now: float) -> float | None:
        """Seconds until there is something to deliver; None if nothing waits."""
        if not self._waiting and self._now is None:
            return None
        return max(0.0, self._not_before - now)

    def take(self, now: float) -> dict[str, Any] | None:
        """What to deliver now; None if it is not time yet. `done` is to follow."""
        if self.wait(now) != 0.0:
            return None
        if self._now is None and not self._begin(now):
            return None
        self._tries += 1
        return self._now

    def _begin(self, now: float) -> bool:
        pause = self._limit.wait(_ONE, now)
        if pause:
            self._not_before = now + pause
            return False
        self._now = self._waiting.pop(next(iter(self._waiting)))
        self._tries = 0
        return True

    def done(self, well: bool, now: float) -> None:
        """How the delivery of what `take` gave went."""
        if not well and self._tries < MOST_TRIES:
            self._not_before = now + min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** (self._tries - 1))
            self._give_way()
            return
        self.delivered += well
        self.failed += not well
        self._now = None

    def _give_way(self) -> None:
        """To a newer change of the same alarm, if there is one; tries go on."""
        alarm = self._now or {}
        key = (str(alarm["job"]), str(alarm["column"]), str(alarm["kind"]))
        newer = self._waiting.pop(key, None)
        if newer is not None:
            missed = newer["missed"] + alarm["missed"] + 1
            self._now = {**newer, "missed": missed}

    def __len__(self) -> int:
        return len(self._waiting) + (self._now is not None)
