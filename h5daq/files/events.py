"""What happened in a run, in one table: alarms, restarts of workers, clocks that were set.

Alarms stand in the group ``h5daq/events`` of the files; the rest is in attributes of the jobs'
groups and of the root, where it was always kept. Here they are brought together, in order of time.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from h5daq.storage.runs.contents import FileHead, GroupInfo

if TYPE_CHECKING:
    from h5daq.files.group import Group

__all__ = [
    "EVENTS",
    "EVENT_DTYPE",
    "Row",
    "ends",
    "events_of",
    "restarts_and_jumps",
    "still_raised",
    "table_of",
]

EVENTS = "h5daq/events"
"""The group that the writer records events in."""

EVENT_DTYPE = np.dtype(
    [
        ("time", "f8"), ("level", object), ("job", object), ("column", object), ("kind", object),
        ("value", "f8"), ("limit", "f8"), ("text", object),
    ]
)  # fmt: skip
"""One event; see `Recording.events`."""

NO_ALARMS = ("restart", "clock", "interrupted")
"""Kinds of events that have no end."""

Row = tuple[float, str, str, str, str, float, float, str]


def events_of(recorded: Group | None) -> Iterator[Row]:
    """The events that a writer has recorded."""
    if recorded is None or not len(recorded):
        return
    labels = [name for name in EVENT_DTYPE.names or () if name in recorded.columns]
    found = recorded.read(*labels)
    columns = [found.get(name, _missing(name, len(recorded))) for name in EVENT_DTYPE.names or ()]
    yield from zip(*(column.tolist() for column in columns), strict=True)


def _missing(name: str, rows: int) -> NDArray[Any]:
    number = EVENT_DTYPE[name].kind == "f"
    return np.full(rows, math.nan) if number else np.full(rows, "", object)


def restarts_and_jumps(infos: Iterable[GroupInfo]) -> Iterator[Row]:
    """Restarts of workers, and clocks of their hosts that were set; each once."""
    seen: dict[Row, None] = {}
    for info in infos:
        for time, cause in info.restarts:
            seen[_row(time, "warn", info.name, "restart", text=f"started again: {cause}")] = None
        for time, size in info.clock_jumps:
            text = f"the clock was set by {size:+g} s"
            seen[_row(time, "warn", info.name, "clock", value=size, text=text)] = None
    yield from seen


def ends(heads: Iterable[FileHead]) -> Iterator[Row]:
    """Runs that nobody ended."""
    for head in heads:
        end = head.attrs.get("run_end")
        if head.attrs.get("interrupted") and isinstance(end, float) and end == end:
            text = f"the run {head.name or 'without a name'} was interrupted after this"
            yield _row(end, "alarm", "", "interrupted", text=text)


def _row(
    time: float, level: str, job: str, kind: str, *, value: float = math.nan, text: str
) -> Row:
    return (time, level, job, "", kind, value, math.nan, text)


def still_raised(events: NDArray[Any]) -> NDArray[Any]:
    """The alarms among the events that were not taken back, in order of time.

    Parameters
    ----------
    events : ndarray
        Of one run, as `Recording.events` or `Recording.alarms`.

    Examples
    --------
    >>> import h5daq
    >>> still_raised(h5daq.open("data").events)["text"]  # doctest: +SKIP
    array(['tank/T = 325 K: above 320 K'], dtype=object)
    """
    last = {
        (event["job"], event["column"], event["kind"]): place
        for place, event in enumerate(events)
        if event["kind"] not in NO_ALARMS
    }
    places = sorted(place for place in last.values() if events[place]["level"] != "ok")
    raised: NDArray[Any] = events[np.array(places, int)]
    return raised


def table_of(rows: Iterable[Row]) -> NDArray[Any]:
    """Events as a structured array, in order of time."""
    table = np.array(list(rows), EVENT_DTYPE)
    ordered: NDArray[Any] = table[np.argsort(table["time"], kind="stable")]
    return ordered
