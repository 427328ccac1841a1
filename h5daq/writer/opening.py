"""How a writer begins: it takes the directory, and finishes what the last writer left there.

The journal on disk is always replayed, also by a writer that will keep none. A run in it that is
not ours was interrupted, and is sealed; ours goes on where it stood.
"""

from __future__ import annotations

import errno
from pathlib import Path

from h5daq.errors import StorageError
from h5daq.flow.ledger import Ledger
from h5daq.storage.checkpoint import Builder, BuilderOptions
from h5daq.storage.filters import Filters
from h5daq.storage.journal import Journal, MemoryJournal
from h5daq.storage.lock import DirectoryLock, make_directory
from h5daq.storage.recovery import Recovered, end_interrupted, journal_directory, mark_kept, replay
from h5daq.storage.transaction import recover_tree
from h5daq.vault.replay import replay_vault
from h5daq.writer.settings import WriterSettings

__all__ = ["Opened"]


class Opened:
    """A directory that is ours, recovered, with what the writer goes on from.

    Parameters
    ----------
    settings : WriterSettings
        Whose directory, and which run is ours.
    memory_bytes : int
        Most bytes that wait for the files where there is no journal.

    Attributes
    ----------
    lock : DirectoryLock
        Held.
    journal : Journal or MemoryJournal
        Where entries go.
    ledger : Ledger
        The state at the journal's head.
    builder : Builder
        At the same place, with the files.
    recovered : Recovered
        What was found to finish.

    Raises
    ------
    FileBusy
        If another writer has the directory.
    StorageError
        If it can't be made, read or written.
    """

    def __init__(self, settings: WriterSettings, memory_bytes: int) -> None:
        # What stands in the journal is replayed with each start; nothing wrong may get there.
        Filters(settings.compression)
        self._settings, self._memory_bytes = settings, memory_bytes
        self._directory = Path(settings.directory)
        self._options = BuilderOptions(
            self._directory, settings.durability == "fsync", settings.overlay_bytes
        )
        self._enter_directory()
        self.lock = DirectoryLock(self._directory)
        self.lock.acquire()
        found = recover_tree(self._directory)
        self.recovered, self.ledger = Recovered(), Ledger()
        self.journal: Journal | MemoryJournal
        self.builder = self._recover()
        self.builder.watch(item.path for item in found if item.action == "pending")
        self.recovered.finished = [item.path for item in found]

    def _enter_directory(self) -> None:
        if self._settings.make_directory:
            make_directory(self._directory)
        elif not self._directory.is_dir():
            raise StorageError(
                errno.ENOENT,
                "the directory has vanished, and is waited for: mount it again, or make it anew",
                str(self._directory),
            )

    def _recover(self) -> Builder:
        """Replay the journal on disk; end the run in it unless it is ours."""
        in_memory = self._settings.durability == "none"
        if in_memory and not journal_directory(self._directory).is_dir():
            return self._without_journal()
        self.journal = journal = self._open_journal()
        entries = max(0, journal.last - journal.oldest + 1)
        # First, since the run's replay lets go of the entries that run files have.
        changes = replay_vault(journal, self._directory, durable=self._options.durable)
        builder = replay(journal, self._options)
        self.ledger = builder.ledger
        if changes.entries:
            # The files may be fed from another journal next, with numbers of its own.
            mark_kept(journal, builder, journal.last)
            builder.advance(journal.last)
        if builder.ledger.run is None or builder.ledger.run.id != self._settings.run_id:
            self.recovered = end_interrupted(journal, builder)
        self.recovered.entries = entries
        if in_memory:
            builder.close()
            journal.close()
            return self._without_journal()
        self.ledger = Ledger.restore(builder.ledger.snapshot())
        return builder

    def _open_journal(self) -> Journal:
        return Journal.open(
            journal_directory(self._directory),
            durability="os" if self._settings.durability == "os" else "fsync",
            segment_bytes=self._settings.segment_bytes,
            limit_bytes=self._settings.journal_bytes,
            snapshot=lambda: self.ledger.snapshot(),
        )

    def _without_journal(self) -> Builder:
        """Commits live in memory until the next checkpoint."""
        self.journal = MemoryJournal(limit_bytes=self._memory_bytes)
        self.ledger = Ledger()
        return Builder(self.journal, None, self.journal.oldest - 1, self._options)
