"""What the journal's entries add up to: the run, its jobs, their positions, the open files.

The writer keeps two ledgers over the same entries. The first runs at the journal's head: it says
which rows are wanted next and which file is current. The second runs where the HDF5 files are,
behind it: `Ledger.apply` tells it into which file each row goes. Both come to the same answers,
since a ledger looks at nothing but the entries; so recovery is a replay and needs no code of its
own.

A job is in one file at a time. It crosses to the next with its first row at or past that file's
start and never goes back; what comes later with an earlier time is counted as ``late``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from h5daq.errors import FileDamaged
from h5daq.flow.answered import Answered
from h5daq.flow.batch import Batch
from h5daq.flow.effects import Effect, Ended, Place, Sealed
from h5daq.flow.judging import Verdict, judge
from h5daq.flow.raised import EVENTS, Raised
from h5daq.flow.records import (
    DeathRecord,
    EndRecord,
    FileRecord,
    Noted,
    NoteRecord,
    Record,
    RunRecord,
    SealRecord,
    VaultRecord,
    decode_record,
    is_record,
)
from h5daq.flow.schema import Schema
from h5daq.flow.snapshots import fill, packed
from h5daq.flow.states import FileState, JobState
from h5daq.flow.wire import Head, decode_head, rows_of

__all__ = ["Ledger"]


class Ledger:
    """The state that a stretch of journal entries leads to."""

    def __init__(self) -> None:
        self.run: RunRecord | None = None
        self.ended = True
        self.jobs: dict[str, JobState] = {}
        self.archive: dict[str, dict[int, int]] = {}
        self.told: dict[str, dict[int, dict[str, int]]] = {}
        self.files: list[FileState] = []
        self.last_file = 0
        self.last_end = 0.0
        self.last_following = 0
        self.answered = Answered()
        self.raised = Raised()

    # -- before an entry is journaled ------------------------------------------------------

    def judge(self, head: Head) -> Verdict:
        """What to do with a worker's message; changes nothing. Raises as `judge` does."""
        return judge(self.jobs, head)

    def schema_changes(self, head: Head) -> bool:
        """Whether a hello describes other columns than the rows that the file already has."""
        job = self.jobs.get(head.job)
        if job is None or not job.rows or not self.files:
            return False
        return job.schema != Schema.from_wire(head.fields.get("schema"))

    def batch_of(self, head: Head) -> Batch:
        """The rows of a message that are new: what was taken before is cut off."""
        job = self.jobs[head.job]
        batch = rows_of(head, job.schema)
        return batch.tail(max(0, job.next[head.inc] - batch.first))

    # -- entries -------------------------------------------------------------------------------

    def apply(self, message: bytes | memoryview) -> list[Effect]:
        """Take one entry of the journal, and say what it does to the files."""
        if is_record(message):
            return list(self.apply_record(decode_record(message)))
        head = decode_head(message)
        return self.apply_rows(self.batch_of(head)) if head.k == "rows" else self._note(head)

    def apply_rows(self, batch: Batch) -> list[Effect]:
        """Rows move their incarnation's position and go to one file or to several.

        They are those of `batch_of`, made by this ledger or by one that has had the same entries.
        """
        job = self.jobs[batch.job]
        job.next[batch.inc] = batch.end
        if batch.job == EVENTS:
            self.raised.take(batch, job.schema)
        places = self._place(job, batch)
        job.rows += batch.n
        return places

    def _note(self, head: Head) -> list[Effect]:
        if head.k == "hello":
            self._hello(head)
        elif head.k == "skip":
            self._skip(head)
        elif head.k == "status":
            self._status(self.jobs[head.job], head)
        return []

    def _hello(self, head: Head) -> None:
        known = self.jobs.get(head.job)
        fields = head.fields
        job = JobState(
            job=head.job,
            schema=Schema.from_wire(fields.get("schema")),
            attrs=dict(fields.get("attrs") or {}),
            period=float(fields.get("period") or 0.0),
            mode=str(fields.get("mode") or "schedule"),
            chunk=int(fields.get("chunk") or 0),
            inc=head.inc,
            host=str(fields.get("host") or ""),
            pid=int(fields.get("pid") or 0),
        )
        spooled = fields.get("spooled") is True
        if known is not None:
            self._inherit(job, known, fields, spooled)
        else:
            job.next = self.archive.pop(head.job, {})
            job.earlier = self.told.pop(head.job, {})
            job.met = not spooled
        job.spooled = head.inc if spooled else None
        job.next.setdefault(head.inc, 0)
        self.jobs[head.job] = job

    def _inherit(
        self, job: JobState, known: JobState, fields: dict[str, Any], spooled: bool
    ) -> None:
        job.file, job.rows, job.late = known.file, known.rows, known.late
        job.last_time, job.next = known.last_time, known.next
        job.skipped, job.counts, job.restarts = known.skipped, known.counts, known.restarts
        job.jumps, job.earlier = known.jumps, known.earlier
        job.restarted = known.restarted
        if spooled:
            # It tells of rows of the past; the job is still what its own worker said.
            job.inc, job.met, job.host, job.pid = known.inc, known.met, known.host, known.pid
        elif known.met and known.inc != job.inc and self.run is not None:
            time = float(fields.get("time") or known.last_time or self.run.start)
            job.restart(time, str(fields.get("cause") or "restarted"))

    def _skip(self, head: Head) -> None:
        job = self.jobs[head.job]
        missing = head.first + head.n - job.next[head.inc]
        cause = str(head.fields.get("cause") or "skipped")
        job.skip(cause, missing)
        job.next[head.inc] = head.first + head.n

    def _status(self, job: JobState, head: Head) -> None:
        if "counts" in head.fields:
            job.counts[head.inc] = dict(head.fields["counts"])
        if "jumps" in head.fields:
            job.jumps[head.inc] = list(head.fields["jumps"])

    # -- where rows go --------------------------------------------------------------------------

    def _place(self, job: JobState, batch: Batch) -> list[Effect]:
        if not self.files:
            raise FileDamaged(f"the journal holds rows of job {job.job} before any file")
        places: list[Effect] = []
        index = self._index(job.file)
        if batch.n:
            job.last_time = batch.span.last
        while batch.n and index + 1 < len(self.files):
            cut = _first_past(batch, self.files[index + 1].start)
            if cut is None:
                break
            places += self._put(index, job, batch.part(slice(0, cut)))
            batch, index = batch.part(slice(cut, None)), index + 1
        places += self._put(index, job, batch)
        job.file = self.files[index].id
        return places

    def _put(self, index: int, job: JobState, batch: Batch) -> list[Place]:
        if not batch.n:
            return []
        file = self.files[index]
        if batch.span.oldest < file.start:
            job.late += int(np.count_nonzero(batch.times() < file.start))
        file.rows += batch.n
        file.bytes += batch.n * job.schema.row_bytes
        return [Place(file.id, job.job, batch)]

    def _index(self, file_id: int) -> int:
        """Where a job's file stands; a job without one begins with the oldest that is open."""
        for index, file in enumerate(self.files):
            if file.id == file_id:
                return index
        return 0

    # -- records --------------------------------------------------------------------------------

    def apply_record(self, record: Record) -> Iterator[Effect]:
        """Take one of the writer's own records."""
        if isinstance(record, RunRecord):
            self._begin(record)
        elif isinstance(record, FileRecord):
            self._open(record)
        elif isinstance(record, SealRecord):
            yield from self._seal(record)
        elif isinstance(record, EndRecord):
            yield from self._end(record)
        elif isinstance(record, DeathRecord):
            self._bury(record)
        elif isinstance(record, VaultRecord):
            self._answer(record)
        elif isinstance(record, NoteRecord):
            self.answered.remember(record.session, record.id, None)
            for note in record.notes:
                yield self._noted(*note)

    def _bury(self, record: DeathRecord) -> None:
        if record.job not in self.jobs:
            raise FileDamaged(f"the journal holds a death in job {record.job} before any hello")
        self.jobs[record.job].bury(record.inc, record.produced, record.cause)

    def _noted(self, group: str, kind: str, value: Any) -> Noted:
        """A note goes where the job's next row would go, unless that begins another file."""
        if not self.files:
            raise FileDamaged(f"the journal holds a note about {group} before any file")
        # A group above those of jobs is in no file by itself: the newest of any job has its notes.
        jobs = [self.jobs[group]] if group in self.jobs else list(self.jobs.values())
        file = self.files[max((self._index(job.file) for job in jobs), default=0)]
        file.notes += 1
        return Noted(file.id, group, kind, value)

    def _answer(self, record: VaultRecord) -> None:
        """The vault's changes are no affair of run files; but who asked for them may ask again."""
        if record.verb == "void":
            self.answered.forget(record.session, record.id)
        else:
            self.answered.remember(record.session, record.id, record.result)

    def _begin(self, record: RunRecord) -> None:
        self.run, self.ended = record, False
        self.files, self.raised = [], Raised()
        self.last_file, self.last_following, self.last_end = 0, 0, record.start
        # Positions outlive a run, since a spool may bring rows of the last one; the rest is new.
        for job in self.jobs.values():
            self.archive[job.job] = job.next
            self.told[job.job] = {inc: job.told_by(inc) for inc in {*job.earlier, *job.counts}}
        self.jobs = {}

    def _open(self, record: FileRecord) -> None:
        # A file that never got a row or a note is never made; the new one takes its
        # place in the chain.
        if self.files and not self.files[-1].begun:
            self.files.pop()
        self.files.append(
            FileState(
                record.id, record.previous, record.following, record.start, record.end, record.name
            )
        )
        if record.cross_all:
            for job in self.jobs.values():
                job.file = record.id

    def _seal(self, record: SealRecord) -> Iterator[Sealed]:
        for file in [f for f in self.files if f.id == record.id]:
            self.files.remove(file)
            self.last_file = file.id if file.begun else self.last_file
            self.last_end, self.last_following = record.end, record.following
            yield Sealed(file, record, None, False)

    def _end(self, record: EndRecord) -> Iterator[Sealed | Ended]:
        # The newest file may have got nothing, and is then never made: nothing follows into it.
        self.files = [file for file in self.files if file.begun]
        if self.last_following and not self.files:
            yield Ended(self.last_file, self.last_end, record.time, record.interrupted)
            self.last_following = 0
        while self.files:
            file, *later = self.files
            end, following = (later[0].start, later[0].id) if later else (record.time, 0)
            for sealed in self._seal(SealRecord(file.id, end, following)):
                yield Sealed(sealed.file, sealed.seal, record.time, record.interrupted)
        self.ended = True

    # -- the snapshot that opens a segment ------------------------------------------------------

    def snapshot(self) -> bytes:
        """All of it as bytes, from which `restore` makes an equal ledger."""
        return packed(self)

    @classmethod
    def restore(cls, snapshot: bytes | None) -> Ledger:
        """The ledger that a snapshot describes; an empty one for None.

        Raises
        ------
        FileDamaged
            If it is no snapshot.
        """
        ledger = cls()
        if snapshot is not None:
            fill(ledger, snapshot)
        return ledger


def _first_past(batch: Batch, start: float) -> int | None:
    """The first row at or past a time; None if there is none."""
    if batch.span.newest < start:
        return None
    return int(np.argmax(batch.times() >= start))
