"""Coming back after a crash: what the last writer of a directory left, made whole.

Recovery is the ordinary walk from the journal to the files, begun at the snapshot of the oldest
segment: pending redo records are finished or forgotten, each file skips what it has, and the rest
is appended. A run that nobody ended is then sealed as interrupted, unless the caller goes on
with it. Where the disk is nearly full the steps become smaller, and each gives room back.
"""

from __future__ import annotations

import errno
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from h5daq.errors import StorageError
from h5daq.flow.ledger import Ledger
from h5daq.flow.records import EndRecord, MarkRecord, decode_record, encode_record, is_record
from h5daq.storage.checkpoint import Builder, BuilderOptions
from h5daq.storage.journal import Journal, MemoryJournal
from h5daq.storage.lock import DirectoryLock
from h5daq.storage.transaction import Recovery, recover_tree

__all__ = [
    "Progress",
    "Recovered",
    "VaultChanges",
    "end_interrupted",
    "end_record",
    "entry_kept",
    "journal_directory",
    "mark_kept",
    "recover_run",
    "replay",
]

log = logging.getLogger("h5daq.storage.recovery")

Progress = Callable[[int, int], None]
"""Told how many bytes of the journal are read again, and how many there are in all."""


_STEP_BYTES = 256 << 20
_LEAST_STEP_BYTES = 1 << 20
_TOLD_BYTES = 8 << 20


@dataclass(slots=True)
class VaultChanges:
    """What a journal held for the Data Vault.

    Attributes
    ----------
    entries : int
        Entries that were looked at.
    brought : dict of str to dict of str to int
        By dataset or directory what was not there, or would be brought: how many of ``"row"``,
        ``"parameter"``, ``"comment"``, ``"dataset"``, ``"directory"``, ``"tags"``.
    aside : int
        Entries that can't take effect any more; they are kept in ``.h5daq/refused``.
    """

    entries: int = 0
    brought: dict[str, dict[str, int]] = field(default_factory=dict)
    aside: int = 0

    def add(self, place: str, what: str, count: int = 1) -> None:
        """Count something that was brought to a place."""
        known = self.brought.setdefault(place, {})
        known[what] = known.get(what, 0) + count


VaultReplay = Callable[[Journal, Path], VaultChanges]
"""Brings the journal's changes of the vault into its files: `vault.replay.replay_vault`."""


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
    verdicts : list of Recovery
        The same with what was done to each, and the files for which nothing could be done.
    appended : dict of str to int
        Rows by job that were missing in the files and were in the journal.
    refused : dict of str to int
        Rows by job that HDF5 did not take; they lie in ``.h5daq/refused``.
    was : dict of Path to Path
        In a dry run: the name at present of each file that would be sealed.
    left_alone : list of Path
        Files that have the name of one of the run's and are others, or damaged.
    vault : VaultChanges
        What was missing in the Data Vault and was in the journal.
    """

    entries: int = 0
    run: str = ""
    rows: int = 0
    sealed: list[Path] = field(default_factory=list)
    finished: list[Path] = field(default_factory=list)
    verdicts: list[Recovery] = field(default_factory=list)
    appended: dict[str, int] = field(default_factory=dict)
    refused: dict[str, int] = field(default_factory=dict)
    left_alone: list[Path] = field(default_factory=list)
    was: dict[Path, Path] = field(default_factory=dict)
    vault: VaultChanges = field(default_factory=VaultChanges)


def journal_directory(directory: Path) -> Path:
    """Where the journal of a directory lies."""
    return directory / ".h5daq" / "journal"


def replay(
    journal: Journal | MemoryJournal, options: BuilderOptions, progress: Progress | None = None
) -> Builder:
    """A builder that has brought every entry of the journal into the files.

    Raises
    ------
    StorageError
        If the files can't be written; what is in them is in, and the journal keeps the rest.
    """
    first, last = journal.oldest - 1, journal.last
    builder = Builder(
        journal, journal.snapshot, first, options, entry_kept(journal), replay_end=last
    )
    step, total = _STEP_BYTES, journal.waiting_bytes
    while builder.lsn < last:
        try:
            # In steps, so that a nearly full disk gets room back as the journal is taken in.
            _step(builder, last, step, lambda done: progress and progress(min(done, total), total))
        except StorageError as error:
            builder.rewind()
            if error.errno != errno.ENOSPC or step <= _LEAST_STEP_BYTES:
                raise
            step = max(_LEAST_STEP_BYTES, step // 16)
    return builder


def _step(builder: Builder, last: int, step: int, told: Callable[[int], object]) -> None:
    while builder.lsn < last and builder.bytes_waiting < step:
        builder.advance(last, min(step, builder.bytes_waiting + _TOLD_BYTES))
        told(builder.bytes_read)
    builder.checkpoint()


def entry_kept(journal: Journal | MemoryJournal) -> int:
    """The entry up to which the files are known to have everything."""
    messages = (entry.message for entry in journal.entries(journal.oldest - 1, journal.last))
    records = (decode_record(message) for message in messages if is_record(message))
    return max((record.lsn for record in records if isinstance(record, MarkRecord)), default=0)


def mark_kept(journal: Journal | MemoryJournal, builder: Builder, vault: int = 0) -> None:
    """Note in the journal how far the files, and those of the vault, have taken it in."""
    journal.append(encode_record(MarkRecord(builder.checkpoint_lsn, vault)))
    journal.sync()


def end_record(ledger: Ledger) -> EndRecord:
    """The end of a run that nobody ended: it was when its last row was taken."""
    times = [job.last_time for job in ledger.jobs.values() if job.last_time is not None]
    # A clock that was set back must not end a file before it begins.
    times += [file.start for file in ledger.files if file.begun]
    start = ledger.run.start if ledger.run else 0.0
    return EndRecord(max(times, default=start), True)


def end_interrupted(journal: Journal, builder: Builder) -> Recovered:
    """End the run that the last writer left open, at the time of its last row."""
    report = Recovered()
    ledger = builder.ledger
    if ledger.ended or ledger.run is None:
        return report
    report.run, report.rows = ledger.run.name, sum(job.rows for job in ledger.jobs.values())
    journal.append(encode_record(end_record(ledger)))
    journal.sync()
    builder.advance(journal.last)
    builder.checkpoint()
    mark_kept(journal, builder)
    builder.advance(journal.last)
    report.sealed, builder.sealed = builder.sealed, []
    return report


def recover_run(
    directory: Path, progress: Progress | None = None, vault: VaultReplay | None = None
) -> Recovered:
    """Finish what the last writer of `directory` left; what ``h5daq recover`` does.

    Parameters
    ----------
    directory : Path
        The directory of the run files.
    progress : callable, optional
        Told how far the journal is read again.
    vault : callable, optional
        Brings the changes of the vault into its files, before the rows of the run.

    Raises
    ------
    FileBusy
        While a writer lives there.
    FileDamaged
        If the journal has a hole below what was synced.
    StorageError
        If the disk is full or fails; it says how to go on.
    """
    with DirectoryLock(directory), _explaining_full_disk(directory):
        # Spares hold nothing, and what follows may need their room.
        for spare in journal_directory(directory).glob("*.spare"):
            spare.unlink(missing_ok=True)
        verdicts = recover_tree(directory)
        report = Recovered()
        if journal_directory(directory).is_dir():
            report = _replayed(directory, progress, vault)
        report.verdicts, report.finished = verdicts, [found.path for found in verdicts]
        # Nobody listens at the addresses of a dead writer.
        (directory / ".h5daq" / "endpoints.json").unlink(missing_ok=True)
        return report


def _replayed(directory: Path, progress: Progress | None, vault: VaultReplay | None) -> Recovered:
    ledgers: list[Ledger] = []
    journal = Journal.open(
        journal_directory(directory), snapshot=lambda: ledgers[0].snapshot(), frugal=True
    )
    try:
        entries = max(0, journal.last - journal.oldest + 1)
        changes = VaultChanges() if vault is None else vault(journal, directory)
        builder = replay(journal, BuilderOptions(directory), progress)
        ledgers.append(builder.ledger)
        report = end_interrupted(journal, builder)
        if vault is not None:
            mark_kept(journal, builder, journal.last)
        builder.close()
    except BaseException:
        with suppress(StorageError):
            journal.close()
        raise
    journal.close()
    report.entries, report.vault = entries, changes
    report.appended, report.refused = dict(builder.appended), dict(builder.refused_rows)
    report.left_alone = sorted(builder.left_alone)
    return report


@contextmanager
def _explaining_full_disk(directory: Path) -> Iterator[None]:
    try:
        yield
    except StorageError as error:
        if error.errno != errno.ENOSPC:
            raise
        journal = sum(path.stat().st_size for path in journal_directory(directory).glob("*.seg"))
        mib = journal // (1 << 20) + 8
        text = (
            f"the disk is full: with {mib} MiB more free there (finished files may be moved away) "
            f"`h5daq recover` goes on where it stopped. What is in the files is in, and the "
            f"journal keeps the rest"
        )
        raise StorageError(error.errno, text, str(directory)) from error
