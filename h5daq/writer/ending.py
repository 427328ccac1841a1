"""The end of a writer: everything in the files, or, on a disk that takes nothing, said so and left.

What a stop can't bring into the files stays in the journal, and the next start in the directory
goes on with it. So a writer need not stay, and keep the directory from others, for a disk that may
be full for days.
"""

from __future__ import annotations

import logging

from h5daq.errors import StorageError
from h5daq.storage.checkpoint import Builder
from h5daq.storage.journal import Journal, MemoryJournal
from h5daq.storage.recovery import mark_kept
from h5daq.writer.committer import Committer, Publisher
from h5daq.writer.desk import Desk
from h5daq.writer.patience import Patience
from h5daq.writer.settings import WriterSettings
from h5daq.writer.store import Store

__all__ = ["Ending"]

log = logging.getLogger("h5daq.writer")


class Ending:
    """What a writer still does when its run is over."""

    def __init__(
        self,
        settings: WriterSettings,
        desk: Desk,
        journal: Journal | MemoryJournal,
        builder: Builder,
        committer: Committer,
        store: Store,
        publisher: Publisher,
    ) -> None:
        self._settings, self._desk = settings, desk
        self._journal, self._builder, self._publisher = journal, builder, publisher
        self._committer, self._store = committer, store
        self._patience = Patience(
            desk.trouble, lambda: (journal.synced, store.done_lsn), settings.stuck_timeout
        )

    def gives_up(self) -> bool:
        """Whether the disk has kept the stop waiting for too long; the threads are told then."""
        if not self._desk.left and (trouble := self._patience.over()):
            self._desk.left = trouble
            self._committer.abandon()
            self._store.abandon()
        return bool(self._desk.left)

    def close_journal(self) -> None:
        """Note in the journal how far the files have taken it in, and let go of it."""
        try:
            vault = self._desk.vault
            mark_kept(self._journal, self._builder, vault.kept if vault is not None else 0)
            self._journal.close()
        except StorageError as error:
            # The next start looks at the files once more.
            log.warning("the journal could not be closed: %s", error)

    def report(self) -> None:
        """Say which rows are not in the files."""
        for job, held in self._desk.stop_report()["held"].items():
            log.warning("job %s: stopped with %d rows still held by its worker", job, held)
        if self._desk.left:
            inside = sum(job.rows for job in self._builder.ledger.jobs.values())
            rows = sum(self._publisher.totals.values()) - inside
            kept = self._settings.durability != "none"
            fate = "stay in the journal for the next start" if kept else "are lost: no journal"
            text = "stopped with files that can't be finished (%s): %d committed rows %s"
            log.error(text, self._desk.left, rows, fate)
