"""The alarms that the events of a run leave raised: what a writer that comes after must know.

Each change of an alarm is a row of the writer's own group of events, and so an entry of the
journal; `Raised` takes these rows as the ledger does, and its state goes into the snapshots. A
writer that is started again finds there what it has to end once the next row says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from h5daq.flow.batch import Batch
from h5daq.flow.names import OWN_GROUP
from h5daq.flow.schema import Schema

__all__ = ["EVENTS", "Raised"]

EVENTS = f"{OWN_GROUP}/events"
"""The group that events are recorded in."""

_LABELS = ("time", "level", "job", "column", "kind", "value", "limit", "text", "id")
_LEVELS = ("warn", "alarm")

Event = dict[str, Any]
"""An event by the labels of its columns; NaN where there is no value or limit."""


class Raised:
    """The alarms that are raised, by job, column and kind.

    Examples
    --------
    >>> raised = Raised()
    >>> told = {"job": "tank", "column": "T", "kind": "high", "level": "warn"}
    >>> raised.put(told); len(raised.events())
    1
    >>> raised.put({**told, "level": "ok"}); raised.events()
    []
    """

    def __init__(self, events: Iterable[Mapping[str, Any]] = ()) -> None:
        self._open: dict[tuple[str, str, str], Event] = {}
        for event in events:
            self.put(event)

    def take(self, batch: Batch, schema: Schema) -> None:
        """Take rows of events; those of other columns, as another version had them, say nothing."""
        columns = dict(zip(schema.labels, batch.columns, strict=True))
        if all(label in columns for label in _LABELS):
            for n in range(batch.n):
                self.put({label: _plain(columns[label][n]) for label in _LABELS})

    def put(self, event: Mapping[str, Any]) -> None:
        """Take one event, in the place of the last one about the same."""
        key = (str(event["job"]), str(event["column"]), str(event["kind"]))
        self._open.pop(key, None)
        if event["level"] in _LEVELS:
            self._open[key] = dict(event)

    def events(self) -> list[Event]:
        """What is raised, in the order in which it was told; `Raised(events)` is the same again."""
        return list(self._open.values())


def _plain(value: Any) -> Any:
    return value if isinstance(value, str) else value.item()
