"""The group ``h5daq/events`` of a run: what happened when, row by row.

An event has a time, a level (``ok``, ``info``, ``warn``, ``alarm``), what it is about (job and
column; empty where it is about none), a kind, a value with its limit (NaN where there is none), a
text for people, and an id that rises.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from h5daq.flow.raised import EVENTS
from h5daq.flow.schema import Column
from h5daq.writer.ownrows import OwnRows, Series

__all__ = ["EventLog", "plain_text"]

MOST_CHARACTERS = 1000
"""Longest text of an event."""

_TEXT, _NUMBER = np.dtype(object), np.dtype("<f8")
_COLUMNS = (
    Column("level", _TEXT),
    Column("job", _TEXT),
    Column("column", _TEXT),
    Column("kind", _TEXT),
    Column("value", _NUMBER),
    Column("limit", _NUMBER),
    Column("text", _TEXT),
    Column("id", np.dtype("<i8")),
)


class EventLog:
    """Records events. For any thread.

    Parameters
    ----------
    own : OwnRows
        The writer's own rows.
    """

    def __init__(self, own: OwnRows) -> None:
        self._series: Series = own.series(EVENTS, _COLUMNS)

    def put(self, event: Mapping[str, Any]) -> None:
        """Record one, given by the names of the columns; it waits for nothing."""
        texts = {name: plain_text(str(event.get(name) or "")) for name in _TEXTS}
        values = {name: _real(event.get(name)) for name in ("value", "limit")}
        row = {**texts, **values, "id": int(event.get("id") or 0)}
        self._series.put(*(row[column.label] for column in _COLUMNS), time=float(event["time"]))


_TEXTS = [column.label for column in _COLUMNS if column.is_text]


def _real(value: float | None) -> float:
    return math.nan if value is None else float(value)


def plain_text(text: str) -> str:
    """Text that files and messages can hold, cut where it is long."""
    return text[:MOST_CHARACTERS].encode("utf-8", "replace").decode().replace("\0", "?")
