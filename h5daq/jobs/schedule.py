"""When the next reading is due: on a grid that never drifts, at once, or when it is triggered.

Deadline number k is ``origin + k * period``: computed, never added up, so the lateness of one
reading is not carried into the next. A reading that ends after the next deadline makes that one
begin late, at once. If whole periods have gone by, a policy says what becomes of them: ``"skip"``
(left out and counted, so that rows + overruns = elapsed / period), ``"catch-up"`` (read one after
the other until the grid is reached) or ``"shift"`` (a new grid begins here).

All times are seconds of a clock that the caller owns; nothing here looks at one.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from typing import Protocol

from h5daq.errors import JobValueError

__all__ = [
    "OVERRUN_POLICIES",
    "Constant",
    "OnTrigger",
    "Pace",
    "Schedule",
    "check_overrun",
    "collecting",
]

OVERRUN_POLICIES = ("skip", "catch-up", "shift")

_LATENESSES = 4096
"""How many readings the figures of lateness are made of, at most."""


_COLLECT_SECONDS, _WAIT_SECONDS = 0.02, 0.1


def collecting(period: float | None) -> float:
    """For how long rows are collected into a message where nobody says it, in seconds.

    20 ms; or as long as it takes two readings of a schedule to share a message, where the first of
    them waits for the second no longer than 0.1 s. To the process that sends it and to the writer a
    message costs several times what a row in it does.

    Parameters
    ----------
    period : float or None
        Seconds between readings; None where they have no schedule.

    Examples
    --------
    >>> [round(collecting(period), 3) for period in (0.001, 0.1, 0.5, None)]
    [0.02, 0.15, 0.02, 0.02]
    """
    if period is None or period > _WAIT_SECONDS:
        return _COLLECT_SECONDS
    return max(_COLLECT_SECONDS, 1.5 * period)


def check_overrun(policy: object) -> str:
    """The policy, if it is one; else a `JobValueError`."""
    if not isinstance(policy, str) or policy not in OVERRUN_POLICIES:
        raise JobValueError(f"overrun={policy!r} must be one of {', '.join(OVERRUN_POLICIES)}")
    return policy


class Pace(Protocol):
    """What the three read modes have in common."""

    overruns: int

    @property
    def due(self) -> float:
        """When the next reading begins; past for at once, infinite for never."""
        ...

    def begin(self, now: float) -> None:
        """A reading begins."""
        ...

    def done(self, now: float, good: bool, wall: float, /) -> None:
        """It is over; `good` says whether it gave something, `wall` is UTC seconds at `now`."""
        ...

    def restart(self, now: float) -> None:
        """Go on after a pause."""
        ...

    def lateness(self) -> tuple[float, float]:
        """Median and 99th percentile of lateness since the last call, in seconds."""
        ...


class Schedule:
    """``"schedule"``: a reading at each deadline.

    Parameters
    ----------
    period : float
        Seconds between readings.
    now : float
        The clock now; the first deadline, unless `align`.
    align : bool
        Keep the deadlines on whole multiples of the period of the wall clock.
    wall : float
        Seconds since 1970-01-01 UTC at `now`; used by `align`.
    overrun : {"skip", "catch-up", "shift"}
        What becomes of deadlines that have gone by.

    Attributes
    ----------
    due : float
        The deadline of the next reading.

    Examples
    --------
    >>> schedule = Schedule(1.0, now=100.0)
    >>> schedule.done(103.5)   # the reading took 3.5 s: 101 and 102 are left out
    >>> schedule.due, schedule.overruns   # 103 begins late, at once
    (103.0, 2)
    """

    def __init__(
        self,
        period: float,
        now: float,
        *,
        align: bool = False,
        wall: float = 0.0,
        overrun: str = "skip",
    ) -> None:
        self.period = period
        self.overruns = 0
        self._overrun = check_overrun(overrun)
        self._align = align
        self._origin = now + (-wall % period if align else 0.0)
        self._number = 0
        self.due = self._deadline()
        self._late: deque[float] = deque(maxlen=_LATENESSES)

    def begin(self, now: float) -> None:
        """Note how late the reading begins."""
        self._late.append(now - self.due)

    def done(self, now: float, _good: bool = True, wall: float = 0.0, /) -> None:
        """Move on to the next deadline that is to be kept."""
        self._number += 1
        self.due = due = self._origin + self._number * self.period
        missed = math.floor((now - due) / self.period)
        if missed > 0:
            self._miss(missed, now)
        if self._align:
            self._follow(wall - now)

    def restart(self, now: float) -> None:
        """Leave out the deadlines before `now` without counting them."""
        self._number += max(0, math.ceil((now - self.due) / self.period))
        self.due = self._deadline()

    def lateness(self) -> tuple[float, float]:
        """Median and 99th percentile of lateness since the last call, in seconds."""
        late, self._late = self._late, deque(maxlen=_LATENESSES)
        return _quantile(sorted(late), 0.5), _quantile(sorted(late), 0.99)

    def _miss(self, missed: int, now: float) -> None:
        if self._overrun == "skip":
            self.overruns += missed
            self._number += missed
        else:
            self.overruns += 1
        if self._overrun == "shift":
            self._origin, self._number = now, 0
        self.due = self._deadline()

    def _follow(self, offset: float) -> None:
        """The wall clock is slewed and set: keep the grid on its multiples."""
        half = self.period / 2
        self._origin -= (self.due + offset + half) % self.period - half
        self.due = self._deadline()

    def _deadline(self) -> float:
        return self._origin + self._number * self.period


class Constant:
    """``"constant"``: at once; after a reading that gave nothing, after `delay` seconds.

    Examples
    --------
    >>> pace = Constant(1.0)
    >>> pace.done(5.0, False)
    >>> pace.due
    6.0
    """

    def __init__(self, delay: float) -> None:
        self.overruns = 0
        self.due = 0.0
        self._delay = delay

    def begin(self, now: float) -> None:
        """Nothing is ever late."""

    def done(self, now: float, good: bool = True, _wall: float = 0.0, /) -> None:
        """Again at once, or after the delay."""
        self.due = now if good else now + self._delay

    def restart(self, now: float) -> None:
        """At once."""
        self.due = now

    def lateness(self) -> tuple[float, float]:
        """None."""
        return 0.0, 0.0


class OnTrigger:
    """``"trigger"``: never by itself."""

    def __init__(self) -> None:
        self.overruns = 0
        self.due = math.inf

    def begin(self, now: float) -> None:
        """Nothing is ever late."""

    def done(self, _now: float, _good: bool = True, _wall: float = 0.0, /) -> None:
        """Wait for the next one."""

    def restart(self, now: float) -> None:
        """Wait for the next one."""

    def lateness(self) -> tuple[float, float]:
        """None."""
        return 0.0, 0.0


def _quantile(ordered: Sequence[float], q: float) -> float:
    return ordered[min(len(ordered) - 1, int(q * len(ordered)))] if ordered else 0.0
