"""The alarms of a writer, set up from its settings: who watches, who records, who is told.

A writer without alarms in its settings has none of these threads, and its parts look at nothing;
what others tell it of itself, that it was dead and for how long, it records all the same.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from h5daq.flow.alarm_options import AlarmOptions
from h5daq.flow.batch import Batch
from h5daq.flow.ledger import Ledger
from h5daq.flow.schema import Schema
from h5daq.flow.vigil import WRITER
from h5daq.flow.watched import Seen
from h5daq.writer.alarms import AlarmWatch
from h5daq.writer.committer import Publisher
from h5daq.writer.events import EventLog
from h5daq.writer.intake import Intake
from h5daq.writer.ownrows import OwnRows
from h5daq.writer.settings import WriterSettings
from h5daq.writer.tellers import Messenger, messengers

__all__ = ["Alerting", "about_run"]

_LAST_SECONDS = 5.0
"""How long the end of a writer waits for alarms to be delivered."""


class Alerting:
    """All that a writer has to do with alarms; does nothing where there are none.

    Parameters
    ----------
    settings : WriterSettings
        What is watched, and of which run.
    intake : Intake
        Is told of which jobs it has to hand over the batches.
    publisher : Publisher
        Publishes alarms.
    own : OwnRows
        Records events.
    clock : callable
        UTC seconds since 1970-01-01.
    """

    def __init__(
        self,
        settings: WriterSettings,
        intake: Intake,
        publisher: Publisher,
        own: OwnRows,
        clock: Callable[[], float],
    ) -> None:
        self._publish, self._events = publisher.send, EventLog(own)
        self._watch: AlarmWatch | None = None
        self._messengers: list[Messenger] = []
        self._expected: frozenset[str] = frozenset()
        if settings.alarms is None:
            return
        options = AlarmOptions.of(settings.alarms)
        self._messengers = messengers(options, about_run(settings))
        self._expected = frozenset(options.rules.jobs) | options.limits.keys()
        self._watch = AlarmWatch(
            options, settings.directory, publisher.send, self._events,
            _lost_before(intake.ledger, settings.run_id),
            self._messengers, clock, _raised_before(intake.ledger, settings.run_id),
        )  # fmt: skip
        intake.watched = self._watch.jobs

    @property
    def on(self) -> bool:
        """Whether anything is watched."""
        return self._watch is not None

    def start(self) -> None:
        """Begin to watch."""
        for thread in (self._watch, *self._messengers):
            if thread is not None:
                thread.start()

    def look(self, watched: Sequence[tuple[Batch, Schema]]) -> None:
        """Have committed batches looked at. Any thread."""
        if self._watch is not None:
            self._watch.look(watched)

    def tick(self, seen: Callable[[], dict[str, Seen]], trouble: str) -> None:
        """Once a second: the state of the jobs, and what keeps rows from the disk."""
        if self._watch is None:
            return
        # Anybody may say hello in any name; only a job that is meant to be can be down for that.
        jobs = {
            job: state
            for job, state in seen().items()
            if state.state != "refused" or job in self._expected
        }
        self._watch.see(jobs, trouble)

    def record(self, told: Mapping[str, Any]) -> None:
        """An alarm that somebody else has raised and handed on: tell and record it. Any thread."""
        self._publish("alarm", f"{told['job']}/{told['column']}", **told)
        self._events.put(told)

    def close(self) -> None:
        """Look at what is left; events may still be recorded after it."""
        if self._watch is not None:
            self._watch.close()

    def end(self) -> None:
        """Deliver what is left, as far as that is soon done."""
        for messenger in self._messengers:
            messenger.ask_end(_LAST_SECONDS)
        for messenger in self._messengers:
            messenger.close(_LAST_SECONDS)

    def status(self) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """What a status says of it: of the writer, and the alarms that are raised."""
        if self._watch is None:
            return {}, []
        newest, raised = self._watch.raised()
        told = {messenger.receiver: messenger.status() for messenger in self._messengers}
        of_writer = {
            "alarm_id": newest, "alarm_receivers": told, "alarm_skipped": self._watch.skipped,
            "alarm_trouble": self._watch.trouble,
        }  # fmt: skip
        return of_writer, raised


def about_run(settings: WriterSettings) -> dict[str, Any]:
    """What a command or a webhook is told with each alarm: which run it is about."""
    run = {"id": settings.run_id, "name": settings.run_name, "directory": settings.directory}
    return {"run": run, "host": socket.gethostname()}


def _raised_before(ledger: Ledger, run: str) -> list[dict[str, Any]]:
    """The alarms of this run that an earlier writer has raised, and not taken back.

    That there is no writer is told by who starts it, and taken back by the same.
    """
    if ledger.run is None or ledger.run.id != run:
        return []
    return [event for event in ledger.raised.events() if event["kind"] != WRITER]


def _lost_before(ledger: Ledger, run: str) -> dict[str, int]:
    """What jobs have lost in this run under earlier writers, which have told of it."""
    if ledger.run is None or ledger.run.id != run:
        return {}
    return {job.job: sum(job.lost.values()) for job in ledger.jobs.values()}
