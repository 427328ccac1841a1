"""Journals and the records in them, damaged and then recovered from.

Half of the damage has its checksums made right again, so that what lies behind them is met as
well: what a newer version, or a fault of ours, could leave there.
"""

from __future__ import annotations

import random
import shutil
import time
from pathlib import Path

import msgpack

from benchmarks.fuzz_mutate import Mutator, damage, pack
from benchmarks.fuzz_seeds import GROUPS, WorkerMessages
from benchmarks.fuzz_twin import Twin
from h5daq.flow.entries import frame_head, frame_header, padding, read_head, walk
from h5daq.flow.records import (
    DeathRecord,
    FileRecord,
    RunRecord,
    SealRecord,
    decode_record,
    encode_record,
)
from h5daq.storage.journal import Journal
from h5daq.storage.recovery import journal_directory, recover_run

__all__ = ["JournalFiles", "RunRecords", "refreshed"]

_OPTIONS = {
    "write_period": 60.0, "write_period_jitter": 0.0, "rollover_interval": "1 hours",
    "durability": "fsync", "file_format": "DAQ_{date_from}_{date_to}.hdf5",
    "rollover": {"hours": 1}, "compression": None,
}  # fmt: skip


def refreshed(folder: Path) -> Path:
    """The folder, empty."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


class JournalFiles:
    """A journal with a run in it, that a writer left in the midst of everything."""

    name, foreign = "journal", False

    def make(self, folder: Path) -> None:
        dice, twin, whole = random.Random(1), Twin(), folder / "whole"
        journal = Journal.open(journal_directory(whole), segment_bytes=1 << 14, durability="os",
                               snapshot=twin.intake.ledger.snapshot)  # fmt: skip
        twin.intake._journal = journal
        now = time.time()
        twin.intake.record(RunRecord("r", "run", now, {"a": 1}, _OPTIONS))
        twin.intake.record(FileRecord(7, 0, 8, now, now + 3600, "DAQ_a_b.hdf5"))
        messages = WorkerMessages(dice, lambda: now, twin.position)
        for group in GROUPS:
            twin.take(pack(messages.hello(group, 1)))
        for _ in range(100):
            twin.take(pack(messages.any()))
        twin.intake.record(SealRecord(7, now + 10, 8))
        journal.sync()
        journal.close()
        self._segments = {p.name: p.read_bytes() for p in journal_directory(whole).iterdir()}
        self._here = folder / "trial"

    def trial(self, dice: random.Random) -> str:
        refreshed(self._here)
        place = refreshed(journal_directory(self._here))
        victim = dice.choice(sorted(self._segments))
        for name, data in self._segments.items():
            if name == victim:
                data = _rewritten(data, dice) if dice.random() < 0.6 else damage(data, dice)
            (place / name).write_bytes(data)
        report = recover_run(self._here)
        return "recovered" if report.entries else "empty"


def _rewritten(data: bytes, dice: random.Random) -> bytes:
    """A segment with one message or its snapshot changed, and all checksums right."""
    head = read_head(data)
    if head is None:
        return damage(data, dice)
    entries = [bytes(entry.message) for entry in walk(data, head.lsn + 1, head.salt, head.end)]
    snapshot = head.snapshot
    if not entries or dice.random() < 0.2:
        snapshot = _mutated(snapshot, dice)
    else:
        at = dice.randrange(len(entries))
        entries[at] = _mutated(entries[at], dice)
    made = [frame_head(head.number, head.lsn, head.synced_lsn, head.salt, snapshot)]
    for lsn, entry in enumerate(entries, head.lsn + 1):
        made += [frame_header(lsn, 0, [entry], head.salt), entry, padding(len(entry))]
    return b"".join(made)


def _mutated(packed: bytes, dice: random.Random) -> bytes:
    try:
        fields = msgpack.unpackb(packed, strict_map_key=False)
    except ValueError:
        return damage(packed, dice)
    return Mutator(dice).mutate(fields, [packed])


class RunRecords:
    """The writer's own records."""

    name, foreign = "records", False

    def make(self, _folder: Path) -> None:
        self._whole = [
            encode_record(RunRecord("r", "run", 1.0, {"a": 1}, _OPTIONS)),
            encode_record(FileRecord(7, 0, 8, 1.0, 2.0, "x.hdf5")),
            encode_record(SealRecord(7, 2.0, 8)),
            encode_record(DeathRecord("a", 7, 9)),
        ]

    def trial(self, dice: random.Random) -> str:
        decode_record(_mutated(dice.choice(self._whole), dice))
        return "read"
