"""When a file of a run ends by the calendar, and how it is called.

`Calendar` cuts time into whole units of UTC: the first file ends at the next whole unit plus
``value - 1`` units, each later one ``value`` units on. Both are one rule, since a later file
begins on a whole unit: round down, then go on by ``value`` units. So neither leap years nor
month lengths need care: months and years are only ever added to the first of a month.

Names carry milliseconds. All of them are rounded down in one place, so that the ``date_to`` of a
file is exactly one millisecond before the ``date_from`` of the next.
"""

from __future__ import annotations

import math
import operator
import string
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from h5daq.errors import ConfigError, ConfigKeyError
from h5daq.flow.batch import EARLIEST, LATEST

__all__ = ["UNITS", "Calendar", "check_format", "file_name", "stamp"]

UNITS = ("years", "months", "weeks", "days", "hours", "minutes", "seconds")
"""Keys of a rollover interval, longest first."""

_EPOCH = datetime(1970, 1, 1)
_PLACEHOLDERS = ("date_from", "date_to")
_BAD_IN_NAMES = ("/", "\\", "\0")


@dataclass(frozen=True, slots=True)
class Calendar:
    """Boundaries of files, in seconds since 1970-01-01 UTC.

    Parameters
    ----------
    interval : mapping
        Exactly one of ``years, months, weeks, days, hours, minutes, seconds`` and a whole number
        from 1 on, e.g. ``{"days": 1}``. Weeks end on Sunday night.

    Raises
    ------
    ConfigKeyError
        If the key is unknown, or not the only one, or the value is no such number.

    Examples
    --------
    >>> Calendar({"hours": 2}).first_end(3_723.0)
    10800.0
    """

    interval: Mapping[str, int]
    unit: str = field(init=False)
    count: int = field(init=False)

    def __post_init__(self) -> None:
        unit, count = _check_interval(self.interval)
        object.__setattr__(self, "unit", unit)
        object.__setattr__(self, "count", count)

    def first_end(self, start: float) -> float:
        """End of the file that begins at `start`; never beyond the year 9999."""
        begin = _EPOCH + timedelta(seconds=math.floor(min(max(start, EARLIEST), LATEST - 1.0)))
        try:
            end = _ADD[self.unit](_floor(begin, self.unit), self.count)
        except (OverflowError, ValueError):
            return LATEST
        return (end - _EPOCH) / timedelta(seconds=1)

    def next_end(self, end: float) -> float:
        """End of the file that follows the one that ended at `end`."""
        return self.first_end(end)


def _check_interval(interval: Mapping[str, int]) -> tuple[str, int]:
    hint = 'give one of them and a whole number from 1 on, e.g. {"days": 1}'
    if not isinstance(interval, Mapping) or len(interval) != 1:
        raise ConfigKeyError(
            f"rollover interval {interval!r} must have exactly one of {', '.join(UNITS)}: {hint}"
        )
    ((unit, value),) = interval.items()
    if unit not in UNITS:
        raise ConfigKeyError(f"rollover interval {unit!r} is none of {', '.join(UNITS)}: {hint}")
    return unit, _check_count(unit, value, hint)


def _check_count(unit: str, value: object, hint: str) -> int:
    try:
        count = 0 if isinstance(value, bool) else operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        count = 0
    if count < 1:
        raise ConfigKeyError(f"rollover interval {unit} = {value!r}: {hint}")
    return count


def _floor(time: datetime, unit: str) -> datetime:
    """`time` (whole seconds) rounded down to a whole unit."""
    if unit == "seconds":
        return time
    if unit == "minutes":
        return time.replace(second=0)
    if unit == "hours":
        return time.replace(minute=0, second=0)
    day = time.replace(hour=0, minute=0, second=0)
    if unit == "weeks":
        return day - timedelta(days=day.weekday())
    if unit == "months":
        return day.replace(day=1)
    return day.replace(month=1, day=1) if unit == "years" else day


def _add_months(time: datetime, months: int) -> datetime:
    years, month = divmod(time.month - 1 + months, 12)
    return time.replace(year=time.year + years, month=month + 1)


_ADD: dict[str, Callable[[datetime, int], datetime]] = {
    "years": lambda time, n: _add_months(time, 12 * n),
    "months": _add_months,
    "weeks": lambda time, n: time + timedelta(weeks=n),
    "days": lambda time, n: time + timedelta(days=n),
    "hours": lambda time, n: time + timedelta(hours=n),
    "minutes": lambda time, n: time + timedelta(minutes=n),
    "seconds": lambda time, n: time + timedelta(seconds=n),
}


def check_format(file_format: str) -> str:
    """A format of file names, as `file_name` takes it.

    Raises
    ------
    ConfigKeyError
        If it has neither ``{date_from}`` nor ``{date_to}``, or another placeholder.
    ConfigError
        If it is no valid format, or has a path separator.
    """
    try:
        parts = list(string.Formatter().parse(file_format))
    except (ValueError, TypeError) as error:
        raise ConfigError(f"file format {file_format!r}: {error}") from error
    _check_placeholders(file_format, [part for part in parts if part[1] is not None])
    if any(sign in file_format for sign in _BAD_IN_NAMES) or file_format.startswith("."):
        raise ConfigError(
            f"file format {file_format!r} is a name, without '/' and not hidden: "
            "the place goes into directory"
        )
    return file_format


def _check_placeholders(
    file_format: str, parts: list[tuple[str, str | None, str | None, str | None]]
) -> None:
    wanted = " or ".join(f"{{{name}}}" for name in _PLACEHOLDERS)
    if not parts:
        raise ConfigKeyError(f"file format {file_format!r} needs {wanted}, or files share a name")
    for _, name, spec, conversion in parts:
        if name not in _PLACEHOLDERS or spec or conversion:
            raise ConfigKeyError(f"file format {file_format!r}: {{{name}}} must be {wanted}")


def file_name(file_format: str, start: float, end: float) -> str:
    """Name of the file of rows from `start` up to, but without, `end` (seconds, UTC).

    Examples
    --------
    >>> file_name("DAQ_{date_from}_{date_to}.hdf5", 0.0, 86_400.0)
    'DAQ_19700101T000000.000Z_19700101T235959.999Z.hdf5'
    """
    first = _milliseconds(start)
    last = max(first, _milliseconds(end) - 1)
    return file_format.format(date_from=_stamp(first), date_to=_stamp(last))


def stamp(time: float) -> str:
    """A time in seconds as files' names have it.

    Examples
    --------
    >>> stamp(0.25)
    '19700101T000000.250Z'
    """
    return _stamp(_milliseconds(time))


def _milliseconds(time: float) -> int:
    # By way of microseconds, the true resolution of such a float: 0.001 must not become 0.000.
    return round(min(max(time, EARLIEST), LATEST) * 1e6) // 1000


def _stamp(milliseconds: int) -> str:
    seconds, rest = divmod(min(milliseconds, int(LATEST) * 1000 - 1), 1000)
    time = _EPOCH.replace(tzinfo=UTC) + timedelta(seconds=seconds)
    # Not strftime("%Y"): it leaves out the leading zeros of years below 1000 on some systems.
    return f"{time.year:04d}{time:%m%dT%H%M%S}.{rest:03d}Z"
