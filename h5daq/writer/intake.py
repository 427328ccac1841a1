"""The writer's front: a worker's message comes in, is judged, journaled, and noted as taken.

Each message meets the ledger first. What is new is appended to the journal and only then changes
the ledger; what is known, early or from a stranger is answered with a position and forgotten;
what can't be a message is counted by cause. So a bad peer costs nobody else a row.

When the journal can't take more (disk full, too far ahead of the files) messages are dropped
without a position: their workers hold them and send them again.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable
from typing import Any, Protocol

from h5daq.errors import StorageError, WireError
from h5daq.flow.familiar_rows import HeadReader
from h5daq.flow.judging import Verdict
from h5daq.flow.ledger import Ledger
from h5daq.flow.names import is_own
from h5daq.flow.planner import Planner
from h5daq.flow.recent import Recent
from h5daq.flow.records import (
    EndRecord,
    MarkRecord,
    NoteRecord,
    PackedAdd,
    Record,
    VaultRecord,
    encode_record,
)
from h5daq.flow.wire import Head, decode_head
from h5daq.flow.wishes import Wishes
from h5daq.writer.accounts import Stood
from h5daq.writer.appearing import Appearing
from h5daq.writer.guard import Guard
from h5daq.writer.notes import Note
from h5daq.writer.refusals import Refusals

__all__ = ["Intake"]

log = logging.getLogger("h5daq.writer")


_OWN = "job {0!r}: what is below 'h5daq' is recorded by the writer itself; take another group"


class Appender(Protocol):
    """The part of a journal that the intake needs."""

    def append(self, message: Any) -> int:
        """Write one entry, not yet synced; returns its lsn."""
        ...


class Intake:
    """Judges messages against the ledger and journals them.

    Parameters
    ----------
    journal : Appender
        Takes the entries.
    ledger : Ledger
        The state at the journal's head.
    planner : Planner
        Decides when files end.
    run_path : str
        The run's directory in the vault.
    clock : callable
        Seconds since 1970-01-01 UTC.
    guard : Guard, optional
        Knows which key may send what.
    """

    def __init__(
        self,
        journal: Appender,
        ledger: Ledger,
        planner: Planner,
        run_path: str,
        clock: Callable[[], float],
        guard: Guard | None = None,
    ) -> None:
        self._journal = journal
        self.ledger = ledger
        self._planner = planner
        self._clock = clock
        self._guard = guard
        self._reader = HeadReader()
        self.appearing = Appearing(run_path)
        self.refusals = Refusals()
        self._marked = self._marked_vault = 0
        self._greeted: set[tuple[str, int]] = set()
        self.note = Note()
        self.wishes = Wishes()
        self.recent = Recent()
        self.fed: dict[str, int] = {}
        self.received_bytes = self.journaled_bytes = 0
        self.received_rows = 0
        self.stalled = ""
        self.statuses: dict[str, dict[str, Any]] = {}
        self.heard: dict[str, float] = {}
        self.stood: dict[str, Stood] = {}
        self.ended: set[tuple[str, int]] = set()
        self.remarks: list[tuple[str, str, dict[str, Any]]] = []
        self.watched: frozenset[str] = frozenset()

    def take(self, message: memoryview, user: str = "") -> None:
        """Take one message from the data socket. Never raises for what a peer sent.

        Parameters
        ----------
        message : memoryview
            The message.
        user : str
            The public key by which it came; where there is a guard, that key's job it must be.
        """
        try:
            head = self._reader.read(message)
        except WireError as error:
            self.refusals.nonsense(error)
        else:
            if is_own(head.job):
                own = WireError(_OWN.format(head.job), cause="name")
                self.refusals.message(head, own, self.note)
            elif self._guard is None or self._guard.may_send(user, head.job):
                self._take_from(head, message)
            else:
                self.refusals.key(head, self._guard.turn_away(user, head.job))

    def _take_from(self, head: Head, message: memoryview) -> None:
        try:
            self._take(head, message)
        except WireError as error:
            self.refusals.message(head, error, self.note)
        except StorageError as error:
            self._stall(error)
            if head.k == "status":
                self._after(head, Verdict.KNOWN)

    def take_own(self, message: bytes) -> bool:
        """Take a message of the writer itself; False while the journal can't take it."""
        head = decode_head(message)
        try:
            if self.ledger.judge(head) is Verdict.TAKE:
                self._journal_message(head, memoryview(message))
        except StorageError as error:
            self._stall(error)
            return False
        return True

    def collect(self) -> Note:
        """What was noted since the last time."""
        note, self.note = self.note, Note()
        return note

    def _take(self, head: Head, message: memoryview) -> None:
        verdict = self.ledger.judge(head) if head.k not in ("bye", "log") else Verdict.KNOWN
        if verdict is Verdict.NEED_HELLO:
            self.note.strangers.add((head.job, head.inc))
        elif verdict is Verdict.TAKE:
            self._journal_message(head, message)
        if verdict is not Verdict.NEED_HELLO:
            self._after(head, verdict)

    def _after(self, head: Head, verdict: Verdict) -> None:
        if head.k == "log":
            self.remarks.append(("log", head.job, head.fields))
            return
        job = self.ledger.jobs.get(head.job)
        if job is None or head.inc not in job.next:
            self.note.strangers.add((head.job, head.inc))
            return
        if head.k == "status":
            self.statuses[head.job], self.heard[head.job] = head.fields, time.monotonic()
            self.stood[head.job] = Stood.of(job, head.inc)
            self.remarks.append(("status", head.job, head.fields))
        elif head.k == "hello":
            self._greeted.add((head.job, head.inc))
            self.wishes.hear(head)
        elif head.k == "bye":
            self._bye(head, job.next[head.inc])
        # What was taken before is dropped without an answer: answers to repeats breed repeats.
        key = head.job, head.inc
        if verdict is not Verdict.KNOWN or head.k in ("hello", "bye"):
            self.note.positions[key] = job.next[head.inc]
            if head.k != "rows" or verdict is Verdict.GAP:
                self.note.prompt.add(key)
        self.note.strangers.discard(key)

    def _bye(self, head: Head, position: int) -> None:
        """The end of a worker, if nothing is missing and it is sure to hear that."""
        # Who has not greeted this writer, but an earlier one, may not be listening to it yet; the
        # position brings it to say hello, and then goodbye again.
        if head.fields.get("end", 0) <= position and (head.job, head.inc) in self._greeted:
            if not head.fields.get("spooled"):
                self.ended.add((head.job, head.inc))
                self.wishes.forget(head.job, head.inc)
            self.note.byes.add((head.job, head.inc))

    def _journal_message(self, head: Head, message: memoryview) -> None:
        if head.k == "rows":
            self._rows(head, message)
        elif head.k == "hello" and self.ledger.schema_changes(head):
            self.record(self._planner.on_schema_change(self.ledger, self._clock()))
            self._append(message)
        else:
            self._append(message)

    def _append(self, message: memoryview | bytes) -> int:
        lsn = self._journal.append(message)
        self.note.bytes += len(message)
        self.journaled_bytes += len(message)
        self.ledger.apply(message)
        self.stalled = ""
        return lsn

    def _rows(self, head: Head, message: memoryview) -> None:
        batch = self.ledger.batch_of(head)
        self.record(self._planner.before_rows(self.ledger, batch.span.newest, self._clock()))
        lsn = self._journal.append(message)
        self.stalled = ""
        effects = self.ledger.apply_rows(batch)
        self.note.bytes += len(message)
        self.journaled_bytes += len(message)
        if not is_own(head.job):
            self.received_bytes += len(message)
            self.received_rows += batch.n
        job = self.ledger.jobs[head.job]
        self.recent.take(lsn, batch, effects, job.schema, len(message))
        self.fed[head.job] = lsn
        if job.rows == batch.n:
            columns = [column.label for column in job.schema.columns]
            self.appearing.announce(self.note, head.job, columns)
            self.note.urgent = True
        self.note.rows(head.job, batch, job.schema, job.rows, job.last_time)
        rest = self.wishes.rest(head.job, head.inc)
        if rest:
            self.note.may_wait((head.job, head.inc), rest, len(message))
        if head.job in self.watched:
            self.note.watched.append((batch, job.schema))

    def record(self, record: Record | None) -> None:
        """Journal one of the writer's own decisions and let it take effect."""
        if record is not None:
            self._append(encode_record(record))
            self.note.urgent = True

    def change(self, record: VaultRecord | NoteRecord | PackedAdd) -> int:
        """Journal a change of the vault; returns its lsn. Raises `StorageError` if it can't be."""
        if isinstance(record, NoteRecord):
            self._need_file()
        if isinstance(record, PackedAdd):
            lsn, size = self._journal.append(record.parts), record.size
            self.ledger.answered.remember(record.session, record.id, None)
        else:
            message = encode_record(record)
            lsn, size = self._journal.append(message), len(message)
            self.recent.take_notes(lsn, self.ledger.apply_record(record))
        self.note.bytes += size
        self.journaled_bytes += size
        return lsn

    def _need_file(self) -> None:
        """A note about a job goes to a file, of which there is none after a long silence."""
        if not self.ledger.files:
            now = self._clock()
            self.record(self._planner.before_rows(self.ledger, now, now))
        if not self.ledger.files:
            raise StorageError("the run has ended: nothing can be noted about its jobs any more")

    def tick(self, kept: int = 0, vault: int = 0) -> None:
        """Seal what the clock says is over, and note how far run files and vault files reach."""
        try:
            self.record(self._planner.to_seal(self.ledger, self._clock()))
            if kept > self._marked or vault > self._marked_vault:
                self._marked = self._append(encode_record(MarkRecord(kept, vault)))
                self._marked_vault = vault
        except StorageError as error:
            self._stall(error)

    def end(self) -> bool:
        """End the run; False while the journal can't take it."""
        # A clock that was set back must not end a file before it begins.
        begun = max((file.start for file in self.ledger.files), default=self.ledger.last_end)
        try:
            self.record(EndRecord(max(self._clock(), begun)))
        except StorageError as error:
            self._stall(error)
            return False
        return True

    def know_directories(self) -> None:
        """Directories of jobs that had rows before this writer began are not told again."""
        self.appearing.know(job.job for job in self.ledger.jobs.values() if job.rows)

    # -- what is not taken -------------------------------------------------------------------

    @property
    def refused(self) -> Counter[str]:
        """Messages and requests that made no sense, by cause."""
        return self.refusals.counts

    @property
    def unwelcome(self) -> dict[str, str]:
        """Jobs whose hello was refused, and why."""
        return self.refusals.unwelcome

    def _stall(self, error: StorageError) -> None:
        if not self.stalled:
            log.error("no more commits for now: %s. Workers hold their rows meanwhile.", error)
        self.stalled = str(error)
