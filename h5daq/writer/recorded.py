"""The run that this writer records, as those see it who read its jobs through the vault.

It knows what is newer than the files; what a reader has looked at is noted, since nothing may be
answered that rests on rows which are not committed yet.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from h5daq.errors import StorageError
from h5daq.flow.batch import Batch
from h5daq.flow.ledger import Ledger
from h5daq.flow.recent import Piece, Recent
from h5daq.flow.records import Noted
from h5daq.flow.schema import Schema
from h5daq.flow.wire import decode_head, rows_of
from h5daq.storage.journal import Journal, MemoryJournal

__all__ = ["Recorded"]


class Recorded:
    """See `h5daq.vault.job_store.Recorder`.

    Parameters
    ----------
    run_id, run_path : str
        The run, and its directory in the vault.
    ledger : Ledger
        The state at the journal's head.
    recent : Recent
        What the intake has taken.
    journal : Journal or MemoryJournal
        Where it stands.
    filed : callable
        The entry up to which the files have everything.

    Attributes
    ----------
    touched : int
        The newest entry that anybody has looked at here.
    """

    def __init__(
        self,
        run_id: str,
        run_path: str,
        ledger: Ledger,
        recent: Recent,
        journal: Journal | MemoryJournal,
        filed: Callable[[], int],
    ) -> None:
        self.run_id, self.run_path = run_id, run_path
        self._ledger, self._recent, self._journal = ledger, recent, journal
        self._filed = filed
        # Those of an earlier writer of this run.
        self._before = [job.job for job in ledger.jobs.values() if job.rows]
        self.touched = 0

    def jobs(self) -> Sequence[str]:
        """See `Recorder`."""
        return list(dict.fromkeys([*self._before, *self._recent.order]))

    def schema(self, job: str) -> Schema:
        """See `Recorder`."""
        return self._ledger.jobs[job].schema

    def reach(self) -> int:
        """See `Recorder`."""
        self._recent.forget(self._filed())
        return self._recent.reach

    def pieces(self, job: str) -> Sequence[Piece]:
        """See `Recorder`."""
        pieces = self._recent.pieces(job)
        if pieces:
            self.touched = max(self.touched, pieces[-1].lsn)
        return pieces

    def notes(self, group: str) -> list[tuple[int, Noted]]:
        """See `Recorder`."""
        return self._recent.notes(group)

    def fetch(self, pieces: Sequence[Piece]) -> list[Batch]:
        """See `Recorder`."""
        gone = {(piece.lsn, piece.file): piece for piece in pieces if piece.batch is None}
        found = self._read(gone) if gone else {}
        return [
            piece.batch if piece.batch is not None else found[piece.lsn, piece.file]
            for piece in pieces
        ]

    def _read(self, wanted: dict[tuple[int, int], Piece]) -> dict[tuple[int, int], Batch]:
        """Rows that are not kept in memory any more, from the journal."""
        by_entry: dict[int, list[Piece]] = {}
        for piece in wanted.values():
            by_entry.setdefault(piece.lsn, []).append(piece)
        found: dict[tuple[int, int], Batch] = {}
        for entry in self._journal.entries(min(by_entry) - 1, max(by_entry)):
            for piece in by_entry.get(entry.lsn, ()):
                batch = rows_of(decode_head(entry.message), piece.schema)
                skip = piece.first - batch.first
                found[piece.lsn, piece.file] = batch.part(slice(skip, skip + piece.n))
        if len(found) < len(wanted):
            raise StorageError("the journal has let go of rows: they are in the files")
        return found
