"""What is to be told to the world once the entries behind it are committed.

The intake notes here what changed while it reads the socket; the committer takes the whole note,
syncs the journal, and only then publishes it. Nothing is announced before its commit, and however
many messages came in meanwhile, each job is told once.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Any

from h5daq.flow.batch import Batch
from h5daq.flow.deferred import Key, Wait
from h5daq.flow.schema import Schema

__all__ = ["Change", "Note", "Notes", "more_news"]


@dataclass(slots=True)
class Change:
    """New rows of one job: how many, how many in all, and the newest batch."""

    rows: int
    total: int
    last_time: float | None
    batch: Batch
    schema: Schema


@dataclass(slots=True)
class Note:
    """Everything that waits for one commit."""

    positions: dict[Key, int] = field(default_factory=dict)
    waits: dict[Key, Wait] = field(default_factory=dict)
    prompt: set[Key] = field(default_factory=set)
    strangers: set[Key] = field(default_factory=set)
    byes: set[Key] = field(default_factory=set)
    refused: dict[str, str] = field(default_factory=dict)
    changes: dict[str, Change] = field(default_factory=dict)
    signals: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)
    news: dict[str, dict[str, Any]] = field(default_factory=dict)
    watched: list[tuple[Batch, Schema]] = field(default_factory=list)
    bytes: int = 0
    urgent: bool = False

    def rows(self, job: str, batch: Batch, schema: Schema, total: int, last: float | None) -> None:
        """Add rows of a job to what will be told of it."""
        earlier = self.changes.get(job)
        rows = batch.n + (earlier.rows if earlier else 0)
        self.changes[job] = Change(rows, total, last, batch, schema)

    def may_wait(self, key: Key, seconds: float, nbytes: int) -> None:
        """The position about so many bytes of rows need not be told at once."""
        earlier = self.waits.get(key)
        self.waits[key] = Wait(seconds, nbytes + (earlier.nbytes if earlier else 0))

    def tell(self, kind: str, path: str, fields: dict[str, Any]) -> None:
        """Add a signal of the vault; new rows of a dataset are told as one."""
        if kind == "data-available":
            self.news[path] = more_news(self.news.get(path), fields)
        else:
            self.signals.append((kind, path, fields))

    @property
    def only_news(self) -> bool:
        """Whether there are but new rows of the vault's datasets to tell, or nothing."""
        return not (
            self.urgent
            or self.positions
            or self.strangers
            or self.byes
            or self.refused
            or self.changes
            or self.signals
        )

    @property
    def empty(self) -> bool:
        """Whether there is nothing to tell and nothing to sync."""
        return not (
            self.positions
            or self.strangers
            or self.byes
            or self.refused
            or self.changes
            or self.signals
            or self.news
            or self.bytes
        )


def more_news(old: dict[str, Any] | None, new: dict[str, Any]) -> dict[str, Any]:
    """News of a dataset of the vault, together with earlier ones that were not told."""
    return new if old is None else {**new, "rows": old["rows"] + new["rows"]}


class Notes:
    """Hands notes from the thread that receives to the thread that commits."""

    def __init__(self) -> None:
        self._ready = threading.Condition()
        self._note = Note()
        self._closed = self._idle = False

    def deliver(self, note: Note) -> None:
        """Pass on a note; merged into one that still waits."""
        with self._ready:
            self._merge(note)
            self._ready.notify_all()

    def take(self, timeout: float | None) -> Note:
        """Wait up to `timeout` seconds for something to commit; an empty note if there is none."""
        with self._ready:
            self._idle = self._note.empty
            if self._idle and not self._closed:
                self._ready.notify_all()
                self._ready.wait(timeout)
            self._idle = False
            note, self._note = self._note, Note()
            return note

    def settle(self, seconds: float) -> bool:
        """Wait until all that was delivered is committed and told; False if it takes longer."""
        with self._ready:
            return self._ready.wait_for(lambda: self._idle and self._note.empty, seconds)

    def close(self) -> None:
        """Wake the committer for good."""
        with self._ready:
            self._closed = True
            self._ready.notify_all()

    @property
    def closed(self) -> bool:
        """Whether there will be no more notes."""
        return self._closed and self._note.empty

    def _merge(self, note: Note) -> None:
        mine = self._note
        if mine.empty:
            self._note = note
            return
        mine.positions.update(note.positions)
        mine.prompt |= note.prompt
        for key, wait in note.waits.items():
            mine.may_wait(key, *wait)
        # Who was a stranger may have said hello since.
        mine.strangers = (mine.strangers | note.strangers) - mine.positions.keys()
        mine.byes |= note.byes
        mine.refused |= note.refused
        mine.signals += note.signals
        mine.watched += note.watched
        for path, fields in note.news.items():
            mine.news[path] = more_news(mine.news.get(path), fields)
        mine.bytes += note.bytes
        mine.urgent |= note.urgent
        for job, change in note.changes.items():
            mine.rows(job, change.batch, change.schema, change.total, change.last_time)
            mine.changes[job].rows += change.rows - change.batch.n
