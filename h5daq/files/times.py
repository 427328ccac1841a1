"""Times as people give them and as files keep them.

Files count UTC seconds since 1970-01-01 as float64, or nanoseconds as int64. People write dates,
with or without a zone, and expect ``datetime64`` on an axis. A date without a zone is UTC here, as
everything in a run file is.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from h5daq.errors import ConfigError
from h5daq.flow.seconds import as_seconds

__all__ = ["Moment", "as_datetime64", "as_seconds", "iso", "seconds_of"]

Moment = float | int | str | datetime | np.datetime64
"""A point in time: UTC seconds since 1970-01-01, a date, or its ISO 8601 text."""


def seconds_of(moment: Moment) -> float:
    """UTC seconds since 1970-01-01 of a point in time.

    Raises
    ------
    ConfigError
        If it can't be read as a time.
    """
    if isinstance(moment, np.datetime64):
        return float((moment - np.datetime64(0, "s")) / np.timedelta64(1, "s"))
    if isinstance(moment, str):
        moment = _parsed(moment)
    if isinstance(moment, datetime):
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    try:
        return float(moment)
    except (TypeError, ValueError) as error:
        raise ConfigError(
            f"{moment!r} is no time: give seconds since 1970, a datetime or ISO 8601 text"
        ) from error


def _parsed(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError as error:
        raise ConfigError(
            f"{text!r} is no ISO 8601 time; one looks like 2026-11-21T09:30:00Z"
        ) from error


def as_datetime64(time: NDArray[Any]) -> NDArray[np.datetime64]:
    """A ``time`` column as ``datetime64[ns]``; what is no number becomes ``NaT``."""
    if time.dtype.kind in "iu":
        return time.astype("datetime64[ns]")
    known = np.isfinite(time)
    # Whole seconds apart from the rest: their product with 1e9 does not fit into a float64.
    whole = np.floor(np.where(known, time, 0.0))
    rest = np.rint((np.where(known, time, 0.0) - whole) * 1e9)
    result = (whole.astype(np.int64) * 1_000_000_000 + rest.astype(np.int64)).astype(
        "datetime64[ns]"
    )
    result[~known] = np.datetime64("NaT")
    return result


def iso(seconds: float | None) -> str:
    """``2026-11-21 09:30:00.250 UTC``, or a dash where there is no time."""
    if seconds is None or not np.isfinite(seconds):
        return "–"
    try:
        moment = datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, ValueError, OSError):
        return f"{seconds:g} s"
    return moment.isoformat(" ", "milliseconds").removesuffix("+00:00") + " UTC"
