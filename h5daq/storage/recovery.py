"""Coming back after a crash: what the last writer of a directory left, made whole.

Recovery is the ordinary walk from the journal to the files, begun at the snapshot of the oldest
segment: pending redo records are finished or forgotten, each file skips what it has, and the rest
is appended. A run that nobody ended is then sealed as interrupted, unless the caller goes on
with it.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from pathlib import Path

from h5daq.flow.ledger import Ledger
from h5daq.flow.records import EndRecord, MarkRecord, decode_record, encode_record, is_record
from h5daq.storage.checkpoint import Builder, BuilderOptions
from h5daq.storage.journal import Journal, MemoryJournal
from h5daq.storage.lock import DirectoryLock
from h5daq.storage.transaction import recover_directory

__all__ = [
    "Recovered",
    "end_interrupted",
    "journal_directory",
    "mark_kept",
    "recover_run",
    "replay",
]

log = logging.getLogger("h5daq.storage.recovery")

_STEP_BYTES = 256 << 20


@dataclass(slots=True)
class Recovered:
    """What a recovery found and did.

    Attributes
    ----------
    entries : int
        Journal entries read again.
    run : str
        Name of the run that was sealed as interrupted, or the empty string.
    rows : int
        Rows of that run in all.
    sealed : list of Path
        Files that got their last name.
    finished : list of Path
        Files whose pending checkpoint was finished or forgotten.
    """

    entries: int = 0
    run: str = ""
    rows: int = 0
    sealed: list[Path] = field(default_factory=list)
    finished: list[Path] = field(default_factory=list)


def journal_directory(directory: Path) -> Path:
    """Where the journal of a directory lies."""
    return directory / ".h5daq" / "journal"


def replay(journal: Journal | MemoryJournal, options: BuilderOptions) -> Builder:
    """A builder that has brought every entry of the journal into the files."""
    first, last = journal.oldest - 1, journal.last
    kept = _kept(journal)
    builder = Builder(journal, journal.snapshot, first, options, kept, replay_end=last)
    while builder.lsn < last:
        # In steps, so that a nearly full disk gets room back as the journal is taken in.
        builder.advance(last, _STEP_BYTES)
        builder.checkpoint()
    return builder


def _kept(journal: Journal | MemoryJournal) -> int:
    """The entry up to which the files are known to have everything."""
    messages = (entry.message for entry in journal.entries(journal.oldest - 1, journal.last))
    records = (decode_record(message) for message in messages if is_record(message))
    return max((record.lsn for record in records if isinstance(record, MarkRecord)), default=0)


def mark_kept(journal: Journal | MemoryJournal, builder: Builder) -> None:
    """Note in the journal how far the files have taken it in."""
    journal.append(encode_record(MarkRecord(builder.checkpoint_lsn)))
    journal.sync()


def end_interrupted(journal: Journal, builder: Builder) -> Recovered:
    """End the run that the last writer left open, at the time of its last row."""
    report = Recovered()
    ledger = builder.ledger
    if ledger.ended or ledger.run is None:
        return report
    times = [job.last_time for job in ledger.jobs.values() if job.last_time is not None]
    report.run, report.rows = ledger.run.name, sum(job.rows for job in ledger.jobs.values())
    # A clock that was set back must not end a file before it begins.
    times += [file.start for file in ledger.files if file.rows]
    journal.append(encode_record(EndRecord(max(times, default=ledger.run.start), True)))
    journal.sync()
    builder.advance(journal.last)
    builder.checkpoint()
    mark_kept(journal, builder)
    builder.advance(journal.last)
    report.sealed, builder.sealed = builder.sealed, []
    return report


def recover_run(directory: Path) -> Recovered:
    """Finish what the last writer of `directory` left; what ``h5daq recover`` does.

    Parameters
    ----------
    directory : Path
        The directory of the run files.

    Raises
    ------
    FileBusy
        While a writer lives there.
    FileDamaged
        If the journal has a hole below what was synced.
    """
    with DirectoryLock(directory):
        finished = [found.path for found in recover_directory(directory)]
        journal_path = journal_directory(directory)
        if not journal_path.is_dir():
            return Recovered(finished=finished)
        ledgers: list[Ledger] = []
        journal = Journal.open(journal_path, snapshot=lambda: ledgers[0].snapshot())
        entries = journal.last - journal.oldest + 1
        builder = replay(journal, BuilderOptions(directory))
        ledgers.append(builder.ledger)
        report = end_interrupted(journal, builder)
        builder.close()
        journal.close()
        report.entries, report.finished = max(0, entries), finished
        return report
