"""One job as a monitor sees it, put together from what four messages tell of it.

The reply to a ``status`` request tells all but the values, when asked; ``status`` signals come from
the worker about once a second; ``data-available`` comes with the rows; the reply to a ``peek`` has
the newest row whole, arrays too. Each is taken as it is, later news over earlier ones, and none is
needed for the others to make sense.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from h5daq.monitor import words
from h5daq.monitor.history import History
from h5daq.monitor.rate import Rate, Trend

__all__ = ["ALARMING", "JobPicture"]

MOST_TRENDS = 8
"""Columns of a job whose history is kept."""

MOST_ELEMENTS = 64
"""Elements of an array that a signal tells; a peek tells of larger ones."""

SILENT_SECONDS = 5.0
"""A worker of which nothing was heard for so long is shown as silent."""

AT_REST = frozenset({"new", "ended", "stopped", "failed", "restarting", "given up"})
"""States in which nothing is to be heard of a worker."""

ALARMING = frozenset({"refused", "down", "failed", "hanging", "silent", "given up", "restarting"})
"""States that somebody should look at."""

_PLAIN = {
    "state": str, "host": str, "read_mode": str, "message": str, "pid": int, "restarts": int,
    "held": int, "overruns": int, "rss": int, "read_period": float, "last_time": float,
    "in_file": int, "produced": int, "spooled": int, "spooled_bytes": int, "refused": int,
}  # fmt: skip


@dataclass(slots=True)
class JobPicture:
    """What is known of a job.

    Attributes
    ----------
    rows : int
        Committed rows of the run.
    produced, in_file, spooled, refused : int
        Rows that were read, that are in the files, that are on the worker's disk, that HDF5 did
        not take.
    lost : dict of str to int
        Rows that could not be kept, by cause.
    late : int
        Rows that came after the file of their time was sealed.
    lateness_ms : float or None
        By how many milliseconds readings begin late (99th percentile).
    rss : int
        Memory of the worker in bytes; 0 if it can't be told.
    last_time : float or None
        Time of the newest row, UTC seconds.
    last : dict
        The newest row by label; long arrays are left out.
    shapes, arrays : dict
        By label, of the arrays that are left out of `last`: their shapes, and the newest of them
        as (nested) lists; of very large ones an array, perhaps of a part of the elements.
    peeked, glimpsed : int
        Rows that there were when the newest row, or large arrays of it, were asked for.
    units : dict of str to str or None
        Units by label; None while nobody has asked.
    histories : dict of str to History
        By label, how its values went since the monitor began.
    history_length : int
        Stretches of time that a history has.
    """

    name: str
    state: str = "new"
    rows: int = 0
    late: int = 0
    held: int = 0
    produced: int = 0
    in_file: int = 0
    spooled: int = 0
    spooled_bytes: int = 0
    refused: int = 0
    overruns: int = 0
    restarts: int = 0
    rss: int = 0
    inc: int | None = None
    host: str = ""
    pid: int = 0
    message: str = ""
    read_mode: str = ""
    read_period: float | None = None
    lateness_ms: float | None = None
    last_time: float | None = None
    heard: float | None = None
    lost: dict[str, int] = field(default_factory=dict)
    last: dict[str, Any] = field(default_factory=dict)
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)
    units: dict[str, str] | None = None
    arrays: dict[str, list[Any] | NDArray[Any]] = field(default_factory=dict)
    trends: dict[str, Trend] = field(default_factory=dict)
    histories: dict[str, History] = field(default_factory=dict)
    history_length: int = 600
    peeked: int = -1
    glimpsed: int = -1
    _rate: Rate = field(default_factory=Rate)

    def take_reply(self, part: Mapping[str, Any], now: float) -> None:
        """The job's part of the reply to a status request."""
        self._take_plain(part)
        self.inc = _number(part.get("inc"), int, self.inc)
        self.late = _number(part.get("late"), int, self.late)
        self.lateness_ms = _number(part.get("lateness_ms"), float, self.lateness_ms)
        if isinstance(part.get("lost"), Mapping):
            self.lost = _counts(part["lost"])
        self._count(_number(part.get("rows"), int, None), now)

    def take_status(self, told: Mapping[str, Any], now: float) -> bool:
        """A status signal; whether it comes from another incarnation than the known one.

        It has the worker's own words, or, from a writer that knows more, those of the reply.
        """
        inc = _number(told.get("inc"), int, self.inc)
        other = self.inc is not None and inc != self.inc
        self.inc, self.heard = inc, now
        if "lateness_ms" in told or "rows" in told:
            self.take_reply(told, now)
        else:
            self._take_own(told)
        return other

    def _take_own(self, told: Mapping[str, Any]) -> None:
        self._take_plain(told)
        late = _number(told.get("late"), float, None)
        self.lateness_ms = self.lateness_ms if late is None else 1000.0 * late
        # A worker counts from its own start; what earlier ones lost must not be forgotten.
        for cause, n in _counts(told.get("counts", {})).items():
            self.lost[cause] = max(n, self.lost.get(cause, 0))

    def take_rows(self, told: Mapping[str, Any], now: float) -> None:
        """A data-available signal."""
        self.heard = now
        total = _number(told.get("total"), int, None)
        if total is None:
            total = self.rows + _number(told.get("rows"), int, 0)
        self.last_time = _number(told.get("last_time"), float, self.last_time)
        self._count(total, now)
        if isinstance(told.get("last"), Mapping):
            self._take_last(told["last"], now)

    def take_values(self, row: Any, now: float, *, whole: bool) -> None:
        """The reply to a peek: the newest row, or None; large arrays are kept if `whole`."""
        self.peeked = self.rows
        if not isinstance(row, Mapping):
            return
        large = {str(k): v for k, v in row.items() if _elements(v) > MOST_ELEMENTS}
        self.shapes |= {label: _shape(value) for label, value in large.items()}
        kept = {label: self.arrays[label] for label in self.arrays if label not in row}
        self.arrays = {**kept, **large} if whole else {}
        time = _number(row.get("time"), float, None)
        # Signals may have overtaken it; only what they leave out is news then.
        if self.last_time is None or time is None or time >= self.last_time:
            self._take_last({k: v for k, v in row.items() if str(k) not in large}, now)

    def take_columns(self, columns: Iterable[tuple[str, tuple[int, ...], str]]) -> None:
        """The columns as the vault describes them: label, shape (``(1,)`` of scalars) and unit."""
        self.units = {}
        for label, shape, unit in columns:
            self.units[label] = unit
            if math.prod(shape) > MOST_ELEMENTS:
                self.shapes[label] = tuple(shape)

    def take_glimpse(self, label: str, value: NDArray[Any]) -> None:
        """The newest value of a large array, or elements of it."""
        self.arrays[label], self.glimpsed = value, self.rows

    def _take_last(self, row: Mapping[Any, Any], now: float) -> None:
        self.last = {str(label): value for label, value in row.items()}
        self._follow(now)

    @property
    def labels(self) -> list[str]:
        """The columns that something is known of."""
        return [label for label in {**self.last, **self.shapes} if label != "time"]

    def text(self, label: str) -> str:
        """The newest value of a column, for people; of an array its shape."""
        if label in self.last and not isinstance(self.last[label], list):
            return words.value(self.last[label])
        return words.shape(self.shapes.get(label) or _shape(self.last.get(label)))

    def heading(self, label: str) -> str:
        """A column's name and unit, for people."""
        unit = (self.units or {}).get(label)
        return words.clean(f"{self.name}/{label}" + (f" [{unit}]" if unit else ""))

    def array(self, label: str) -> list[Any] | NDArray[Any] | None:
        """The newest array of a column, as (nested) lists or an array, if it is known."""
        value = self.arrays.get(label, self.last.get(label))
        return value if isinstance(value, list | np.ndarray) else None

    def rate(self, now: float) -> float | None:
        """Rows per second, or None while it can't be told."""
        return self._rate.at(now)

    def silent(self, now: float) -> bool:
        """Whether a living job has not been heard of for longer than it should take."""
        if self.heard is None or self.state in AT_REST:
            return False
        return now - self.heard > max(SILENT_SECONDS, 3.0 * (self.read_period or 0.0))

    @property
    def lost_rows(self) -> int:
        """Rows lost, of all causes."""
        return sum(self.lost.values())

    def as_dict(self, now: float) -> dict[str, Any]:
        """All of it as plain values, for JSON."""
        rate = self.rate(now)
        return {
            "state": self.state, "rows": self.rows, "rate": rate, "lost": dict(self.lost),
            "produced": self.produced, "in_file": self.in_file, "spooled": self.spooled,
            "late": self.late, "held": self.held, "overruns": self.overruns,
            "restarts": self.restarts, "lateness_ms": self.lateness_ms, "host": self.host,
            "pid": self.pid, "rss": self.rss, "read_mode": self.read_mode,
            "read_period": self.read_period,
            "last_time": self.last_time, "last": dict(self.last), "message": self.message,
            "silent": self.silent(now),
            "trends": {label: list(trend.points) for label, trend in self.trends.items()},
        }  # fmt: skip

    def _take_plain(self, told: Mapping[str, Any]) -> None:
        for name, kind in _PLAIN.items():
            value = told.get(name)
            if kind is str and isinstance(value, str):
                setattr(self, name, value)
            elif kind is not str:
                setattr(self, name, _number(value, kind, getattr(self, name)))

    def _count(self, total: int | None, now: float) -> None:
        # The reply runs ahead of the signals, which are told after the commit: never go back.
        if total is not None and total >= self.rows:
            self.rows = total
            self._rate.count(total, now)

    def _follow(self, now: float) -> None:
        for label, value in self.last.items():
            known = label in self.trends
            if label == "time" or not _is_real(value) or not (known or self._room()):
                continue
            self.trends.setdefault(label, Trend()).add(float(value), now)
            history = self.histories.setdefault(label, History(self.history_length))
            history.add(now if self.last_time is None else self.last_time, float(value))

    def _room(self) -> bool:
        return len(self.trends) < MOST_TRENDS


def _shape(value: Any) -> tuple[int, ...]:
    """The shape of nested lists."""
    return (len(value), *_shape(value[0])) if isinstance(value, list) and value else ()


def _elements(value: Any) -> int:
    return math.prod(_shape(value))


def _is_real(value: Any) -> bool:
    return isinstance(value, int | float) and value == value and abs(value) != float("inf")


def _number(value: Any, kind: type, default: Any) -> Any:
    return kind(value) if _is_real(value) else default


def _counts(told: Any) -> dict[str, int]:
    if not isinstance(told, Mapping):
        return {}
    return {str(cause): int(n) for cause, n in told.items() if _is_real(n) and n > 0}
