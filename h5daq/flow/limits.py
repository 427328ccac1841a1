"""Limits of a column: from where on a value is worth a warning, and from where on an alarm.

Each level has a low and a high bound; a value beyond one raises the level, and only a value inside
it by `hysteresis` takes it back, so that noise at a bound does not chatter. `stale` is for how long
a column may have no number. The configuration and `DAQJob` say the same words, checked here.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from h5daq.errors import JobTypeError, JobValueError
from h5daq.flow.schema import Column, Schema

__all__ = ["Band", "Limits", "Problem", "check_limits", "greatest", "least"]

_LIMITED_KINDS = "biuf"


@dataclass(frozen=True, slots=True)
class Band:
    """What lies between two bounds is good; without a bound, all on that side is."""

    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Problem:
    """What makes no sense in limits: the key, and what is wrong and right there."""

    key: tuple[str, ...]
    problem: str
    right: str


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of one column, in its unit.

    Parameters
    ----------
    warn, alarm : Band
        Values beyond them are a warning, an alarm. Of an array each element counts.
    hysteresis : float
        How far inside a bound a value must be to take back what it has raised.
    stale : float, optional
        Seconds without a number, from which on that is an alarm.

    Examples
    --------
    >>> limits = Limits.of({"warn": {"high": 300}, "alarm": {"high": 310}, "hysteresis": 0.5})
    >>> limits.warn.high, limits.alarm.high, limits.stale
    (300.0, 310.0, None)
    """

    warn: Band = field(default_factory=Band)
    alarm: Band = field(default_factory=Band)
    hysteresis: float = 0.0
    stale: float | None = None

    @classmethod
    def of(cls, told: Any) -> Limits:
        """Limits from a mapping, as the configuration has it.

        Raises
        ------
        JobTypeError
            If it is no mapping, or a number in it is none.
        JobValueError
            If a key is unknown, or the numbers make no sense together.
        """
        if isinstance(told, Limits):
            return told
        known = _mapping(told, ("warn", "alarm", "hysteresis", "stale"), "limits")
        bands = {name: _band(known[name], name) for name in ("warn", "alarm") if name in known}
        limits = cls(
            **bands,
            hysteresis=_number(known.get("hysteresis"), "hysteresis") or 0.0,
            stale=_number(known.get("stale"), "stale"),
        )
        for found in limits.problems():
            raise JobValueError(f"limits {'.'.join(found.key)}: {found.problem}; {found.right}")
        return limits

    def to_map(self) -> dict[str, Any]:
        """The same as plain values, from which `of` makes it again."""
        told = asdict(self)
        return {
            "warn": {k: v for k, v in told["warn"].items() if v is not None},
            "alarm": {k: v for k, v in told["alarm"].items() if v is not None},
            "hysteresis": self.hysteresis,
            "stale": self.stale,
        }

    @property
    def bounds(self) -> dict[str, tuple[float | None, float | None]]:
        """By kind, ``"low"`` and ``"high"``: the bounds of warning and alarm; only those set."""
        kinds = {kind: (getattr(self.warn, kind), getattr(self.alarm, kind)) for kind in _SIGNS}
        return {kind: pair for kind, pair in kinds.items() if pair != (None, None)}

    def problems(self) -> Iterator[Problem]:
        """What makes no sense in them."""
        if not self.bounds and self.stale is None:
            yield Problem((), "no limit at all", "low or high in warn or alarm, or stale")
        if self.hysteresis < 0:
            yield Problem(("hysteresis",), "below 0", "0 or more, in the column's unit")
        if self.stale is not None and not self.stale > 0:
            yield Problem(("stale",), "not above 0", "a number of seconds above 0")
        yield from self._orders()

    def _orders(self) -> Iterator[Problem]:
        for kind, (warn, alarm) in self.bounds.items():
            sign = _SIGNS[kind]
            if warn is not None and alarm is not None and sign * alarm < sign * warn:
                words = f"comes before the warning at {warn:g}"
                yield Problem(("alarm", kind), words, f"an alarm further out than {warn:g}")
        lows = [low for low in (self.warn.low, self.alarm.low) if low is not None]
        highs = [high for high in (self.warn.high, self.alarm.high) if high is not None]
        if lows and highs:
            yield from self._inside(max(lows), min(highs))

    def _inside(self, low: float, high: float) -> Iterator[Problem]:
        if low >= high:
            key = ("warn" if self.warn.low == low else "alarm", "low")
            yield Problem(key, f"not below the high bound {high:g}", "low below high")
        elif not 0 <= self.hysteresis < high - low:
            words = f"no value between {low:g} and {high:g} would be inside by so much"
            yield Problem(("hysteresis",), words, f"less than {high - low:g}")


_SIGNS = {"low": -1.0, "high": 1.0}


def _mapping(told: Any, known: tuple[str, ...], what: str) -> dict[str, Any]:
    if not isinstance(told, Mapping):
        raise JobTypeError(f"{what} must be a mapping of {', '.join(known)}, not {told!r}")
    for key in told:
        if key not in known:
            raise JobValueError(f"{what}: unknown key {key!r}; known are {', '.join(known)}")
    return {str(key): value for key, value in told.items() if value is not None}


def _band(told: Any, what: str) -> Band:
    known = _mapping(told, ("low", "high"), what)
    return Band(**{key: _number(value, f"{what}.{key}") for key, value in known.items()})


def _number(value: Any, what: str) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise JobTypeError(f"limits: {what} must be a number, not {value!r}")
    if not math.isfinite(value):
        raise JobValueError(f"limits: {what} must be finite, not {value!r}")
    return float(value)


def check_limits(told: Any, schema: Schema) -> dict[str, Limits]:
    """The limits of a job, by label.

    Parameters
    ----------
    told : mapping of str to mapping, or None
        By label, as `Limits.of` takes them.
    schema : Schema
        The job's columns.

    Raises
    ------
    JobTypeError
        If something is of the wrong kind.
    JobValueError
        If there is no such column, it has no numbers, or its limits make no sense.
    """
    if told is None:
        return {}
    columns = {column.label: column for column in schema.columns[1:]}
    found = _mapping(told, tuple(columns), "limits")
    return {label: _limits_of(columns[label], value) for label, value in found.items()}


def _limits_of(column: Column, told: Any) -> Limits:
    try:
        limits = Limits.of(told)
    except (JobTypeError, JobValueError) as error:
        raise type(error)(f"label {column.label!r}: {error}") from None
    if column.dtype.kind not in _LIMITED_KINDS:
        kind = "text" if column.is_text else str(column.dtype)
        raise JobValueError(
            f"label {column.label!r}: limits are for real numbers, and this column is {kind}"
        )
    return limits


def least(values: NDArray[Any]) -> float | None:
    """The least number in an array of any shape; None if there is none but NaN.

    >>> least(np.array([[3.0, np.nan], [2.0, 5.0]])), least(np.array([np.nan]))
    (2.0, None)
    """
    return _number_in(np.fmin.reduce(values, axis=None)) if values.size else None


def greatest(values: NDArray[Any]) -> float | None:
    """The greatest number in an array of any shape; None if there is none but NaN."""
    return _number_in(np.fmax.reduce(values, axis=None)) if values.size else None


def _number_in(value: Any) -> float | None:
    number = float(value)
    return None if math.isnan(number) else number
