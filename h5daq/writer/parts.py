"""What a writer is made of, put together: each part knows those that it was given, and no others.

`h5daq.writer.process` owns the parts and lives their life; `h5daq.writer.reception` passes messages
between them. What they tell the writer itself comes through `Hooks`.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from h5daq.flow.planner import Planner
from h5daq.flow.records import RunRecord
from h5daq.flow.rollover import Calendar
from h5daq.transports.zmq import WriterPort
from h5daq.writer.alerting import Alerting
from h5daq.writer.answers import Answers
from h5daq.writer.clocks import ClockRows
from h5daq.writer.committer import Committer, Publisher
from h5daq.writer.deaths import Deaths
from h5daq.writer.desk import Desk
from h5daq.writer.ending import Ending
from h5daq.writer.guard import Guard
from h5daq.writer.intake import Intake
from h5daq.writer.notes import Notes
from h5daq.writer.opening import Opened
from h5daq.writer.ownrows import OwnRows
from h5daq.writer.recorded import Recorded
from h5daq.writer.replies import Replies
from h5daq.writer.settings import WriterSettings
from h5daq.writer.store import Store
from h5daq.writer.vaulting import VaultDesk

__all__ = ["MEMORY_BYTES", "Hooks", "Parts"]

MEMORY_BYTES, _MEMORY_CHECKPOINT_BYTES = 192 << 20, 96 << 20
"""Without a journal: what is kept in memory at most, and at which a checkpoint comes."""


@dataclass(frozen=True, slots=True)
class Hooks:
    """What the parts tell the writer, each from a thread of its own.

    Attributes
    ----------
    committed : callable
        The lsn and the bytes of each commit, and whether the files should follow soon.
    checkpointed : callable
        A checkpoint is finished.
    failed : callable
        The error that ended a thread.
    begin_stop : callable
        A client wants the run to end: how long to wait, and for whom not to.
    stopped : callable
        Whether it has ended.
    """

    committed: Callable[[int, int, bool], None]
    checkpointed: Callable[[], None]
    failed: Callable[[BaseException], None]
    begin_stop: Callable[[float | None, list[str]], None]
    stopped: Callable[[], bool]


class Parts:
    """The parts of one writer.

    Parameters
    ----------
    settings : WriterSettings
        What to record where.
    opened : Opened
        Directory, journal and files, recovered.
    port : WriterPort
        The sockets.
    guard : Guard, optional
        Knows which key may send what.
    boot : str
        This writer process.
    clock : callable
        Seconds since 1970-01-01 UTC.
    hooks : Hooks
        What they tell the writer.
    """

    def __init__(
        self,
        settings: WriterSettings,
        opened: Opened,
        port: WriterPort,
        guard: Guard | None,
        boot: str,
        clock: Callable[[], float],
        hooks: Hooks,
    ) -> None:
        self.settings, self.port, self.guard = settings, port, guard
        self.journal, self.ledger, self.builder = opened.journal, opened.ledger, opened.builder
        self._boot, self._clock = boot, clock
        self._make_front()
        self._make_back(hooks)
        self.vault = self._make_vault()
        self.desk.alarms = self.alerting.status
        self.desk.clocks = ClockRows(self.ledger, self.own)
        self.desk.deaths = Deaths(self.ledger, self.journal, self.intake.record)
        self.desk.vault = self.vault
        answers = Answers(self.desk, hooks.begin_stop, hooks.stopped)
        self.replies = Replies(port, answers, self.intake.refused, guard, vault=self.vault)

    def endpoints(self) -> dict[str, Any]:
        """The sockets' real addresses, and which writer has them."""
        real = self.port.endpoints
        return {
            "data": real.data,
            "requests": real.requests,
            "signals": real.signals,
            "boot": self._boot,
            "run": self.settings.run_id,
        }

    def begin_run(self) -> None:
        """Begin the run, unless an earlier writer of it did."""
        settings, ledger = self.settings, self.ledger
        if ledger.ended or ledger.run is None:
            self.vault.check_run(settings.run_path)
            now = self._clock()
            options = settings.run_options()
            run = RunRecord(settings.run_id, settings.run_name, now, dict(settings.attrs), options)
            self.intake.record(run)
            self.intake.record(self.planner.first(now))
        self.intake.know_directories()
        self.publisher.know(ledger.jobs.values())
        self.notes.deliver(self.intake.collect())

    # -- putting together ----------------------------------------------------------------------

    def _make_front(self) -> None:
        """What messages meet first, and what tells of them."""
        settings = self.settings
        self.planner = Planner(
            Calendar(settings.rollover),
            settings.file_format,
            settings.rollover_size,
            settings.rollover_grace,
            lambda: secrets.randbits(63) + 1,
        )
        self.intake = Intake(
            self.journal, self.ledger, self.planner, settings.run_path, self._clock, self.guard
        )
        self.own = OwnRows(self.intake, self._clock, self.port.wake)
        self.publisher = Publisher(
            self.port, self._boot, settings.run_id, settings.run_path, settings.signal_rate,
            self._window,
        )  # fmt: skip
        self.alerting = Alerting(settings, self.intake, self.publisher, self.own, self._clock)

    def _make_back(self, hooks: Hooks) -> None:
        """The threads that commit and write files, and who knows of them."""
        self.notes = Notes()
        self.store = self._make_store(hooks)
        self.committer = Committer(
            self.notes, self.journal, self.publisher, hooks.committed, hooks.failed,
            self.alerting.look,
        )  # fmt: skip
        self.desk = Desk(
            self.settings, self.endpoints(), self.intake, self.journal, self.store,
            self.publisher, self.committer, self.builder,
        )  # fmt: skip
        self.ending = Ending(
            self.settings, self.desk, self.journal, self.builder, self.committer, self.store,
            self.publisher,
        )  # fmt: skip

    def _make_vault(self) -> VaultDesk:
        settings, builder = self.settings, self.builder
        recorded = Recorded(
            settings.run_id, settings.run_path, self.ledger, self.intake.recent, self.journal,
            lambda: builder.checkpoint_lsn,
        )  # fmt: skip
        vault = VaultDesk(
            Path(settings.directory), self.journal, self.intake, self.port, self._boot, self.guard,
            period=settings.write_period, durable=settings.durability == "fsync",
            recorded=recorded,
        )  # fmt: skip
        builder.others_reach, builder.passes_vault = vault.reaches, True
        builder.known_rows = self.intake.recent.batch
        return vault

    def _make_store(self, hooks: Hooks) -> Store:
        settings = self.settings
        in_memory = settings.durability == "none"
        return Store(
            self.builder,
            write_period=settings.write_period,
            jitter=settings.write_period_jitter,
            stream_bytes=settings.stream_bytes,
            checkpoint_bytes=_MEMORY_CHECKPOINT_BYTES if in_memory else settings.checkpoint_bytes,
            checkpointed=hooks.checkpointed,
            failed=hooks.failed,
        )

    def _window(self) -> int:
        share = self.settings.window_bytes // max(1, len(self.ledger.jobs))
        return max(256 << 10, min(32 << 20, share))
