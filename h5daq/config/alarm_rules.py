"""Rules for limits and alarms: bounds in the wrong order, limits of what is no number.

Told like those of `rules`, from the tables as they stand in the file.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from h5daq.config.kinds import parse_size
from h5daq.config.mistakes import KeyPath, Mistake, shown
from h5daq.flow.limits import Band, Limits

__all__ = ["broken_alarm_rules"]

_Table = Mapping[str, Any]
_NO_NUMBERS = ("text", "str", "c16", "c8", "complex", "S")


def broken_alarm_rules(raw: _Table) -> Iterator[Mistake]:
    """Every rule about alarms that the tables of `raw` break."""
    for number, job in enumerate(_list(raw, "jobs")):
        for place, column in enumerate(_list(job, "columns")):
            key = ("jobs", number, "columns", place, "limits")
            if isinstance(column, dict) and isinstance(limits := column.get("limits"), dict):
                yield from _bounds(key, limits)
                yield from _kind(key, column)
                yield from _folded(key, job, limits)
    yield from _disk(_dict(_dict(raw, "alarms"), "disk"))


def _list(table: Any, name: str) -> list[Any]:
    value = table.get(name) if isinstance(table, dict) else None
    return value if isinstance(value, list) else []


def _dict(table: Any, name: str) -> _Table:
    value = table.get(name) if isinstance(table, dict) else None
    return value if isinstance(value, dict) else {}


def _number(table: _Table, name: str) -> float | None:
    value = table.get(name)
    known = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if known and value is not None else None


def _bounds(key: KeyPath, table: _Table) -> Iterator[Mistake]:
    limits = Limits(
        warn=_band(_dict(table, "warn")),
        alarm=_band(_dict(table, "alarm")),
        hysteresis=_number(table, "hysteresis") or 0.0,
        stale=_number(table, "stale"),
    )
    # One that is wrong in itself is told by the model, and may be all that there is.
    told = any(value != {} for name, value in table.items() if name != "hysteresis")
    for found in limits.problems():
        if found.key or not told:
            place = (*key, *found.key)
            yield Mistake(place, found.problem, shown(_value_at(table, found.key)), found.right)


def _band(table: _Table) -> Band:
    return Band(_number(table, "low"), _number(table, "high"))


def _value_at(table: Any, key: tuple[str, ...]) -> Any:
    for part in key:
        table = table[part]
    return table


def _kind(key: KeyPath, column: _Table) -> Iterator[Mistake]:
    dtype = column.get("dtype", "f8")
    if isinstance(dtype, str) and dtype.startswith(_NO_NUMBERS):
        right = "leave limits out, or take a dtype of real numbers"
        yield Mistake(key, "limits are for real numbers", f'dtype = "{dtype}"', right)


def _folded(key: KeyPath, job: _Table, limits: _Table) -> Iterator[Mistake]:
    if job.get("compress") is True and "stale" in limits:
        found = f"compress = true, stale = {shown(limits['stale'])}"
        problem = "a job that folds sends nothing while nothing changes"
        yield Mistake((*key, "stale"), problem, found, "leave stale or compress out")


def _disk(table: _Table) -> Iterator[Mistake]:
    try:
        warn, alarm = (parse_size(table[name]) for name in ("warn", "alarm"))
    except (KeyError, ValueError):  # one is left out, or told by the model
        return
    if alarm > warn:
        right = "an alarm with less free space than the warning"
        key = ("alarms", "disk", "alarm")
        yield Mistake(key, "the alarm would come before the warning", shown(table), right)
