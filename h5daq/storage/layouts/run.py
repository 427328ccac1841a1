"""A run file: the rows of all jobs of a run, for a stretch of time.

Between checkpoints only full chunks go to the file, each once. A checkpoint brings every job's
datasets to their common length, writes counts of losses and the journal's position, and ends the
transaction: that state is what any reader sees until the next one. `RunFile.seal` ends the file.

The layout itself is in the modules beside this one: root attributes (`run_attrs`), a job's group
(`job_group`), its columns (`columns`), dimension scales (`dimensions`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from h5daq.errors import FileDamaged
from h5daq.flow.batch import Batch
from h5daq.flow.records import Noted
from h5daq.storage.filters import Filters
from h5daq.storage.layouts.heads import FileHead, JobHead
from h5daq.storage.layouts.job_group import JobGroup, expected
from h5daq.storage.layouts.run_attrs import JobNotes, write_end, write_head
from h5daq.storage.layouts.run_notes import NoteBook
from h5daq.storage.layouts.sealing import give_name, remove, verify, wait_for_readers
from h5daq.storage.layouts.session import Session
from h5daq.storage.layouts.survey import Found, look_at
from h5daq.storage.transaction import CommitInfo, TransactionFile

__all__ = ["FileHead", "JobHead", "RunFile"]


class RunFile:
    """A run file that is open for writing. Made by `create` or `reopen`; one thread owns it.

    Attributes
    ----------
    file_id : int
        The file's own number, which stays when its name changes.
    lsn : int
        The journal entry up to which the last checkpoint reaches (root attribute
        ``journal_lsn``).
    """

    def __init__(
        self, session: Session, filters: Filters, write_period: float, found: Found
    ) -> None:
        self._session = session
        self._filters = filters
        self._write_period = write_period
        self._jobs: dict[str, JobGroup] = {}
        self._notes = JobNotes()
        self._book = NoteBook()
        self._found = found
        self._noted = found.noted
        self.file_id, self.lsn = found.file_id, found.lsn

    @classmethod
    def create(
        cls,
        path: Path,
        head: FileHead,
        *,
        compression: Mapping[str, Any] | None = None,
        durable: bool = True,
        overlay_bytes: int = 64 << 20,
        write_period: float = 60.0,
    ) -> RunFile:
        """Make a new file, with its head.

        Parameters
        ----------
        path : Path
            Where; nothing may be there.
        head : FileHead
            What its root attributes say.
        compression : mapping, optional
            As for `Filters`.
        durable : bool
            Whether a checkpoint waits for the disk.
        overlay_bytes : int
            Most bytes of changed pages in memory.
        write_period : float
            Seconds between checkpoints, for the size of chunks.

        Raises
        ------
        StorageError
            If the name is taken, or the file can't be written.
        """
        filters = Filters(compression)
        target = TransactionFile(path, overlay_bytes=overlay_bytes, create=True, durable=durable)
        session = Session(target)
        with session.or_close(), session.finishing() as file:
            write_head(file, head)
            session.commit()
        return cls(session, filters, write_period, Found(head.file_id, 0, {}, None, False))

    @classmethod
    def reopen(
        cls,
        path: Path,
        *,
        compression: Mapping[str, Any] | None = None,
        durable: bool = True,
        overlay_bytes: int = 64 << 20,
        write_period: float = 60.0,
    ) -> RunFile:
        """Go on with a file at its last checkpoint; the arguments are those of `create`.

        Raises
        ------
        FileDamaged
            If it is no run file.
        """
        filters = Filters(compression)
        target = TransactionFile(path, overlay_bytes=overlay_bytes, durable=durable)
        session = Session(target)
        with session.or_close() as file:
            found = _looked_at(file, target)
            session.abort()
        return cls(session, filters, write_period, found)

    # -- what it is --------------------------------------------------------------------------

    @property
    def path(self) -> Path:
        """Its name at the moment."""
        return self._session.target.path

    @property
    def size_bytes(self) -> int:
        """Length of the file, with what has gone to disk since the last checkpoint."""
        return self._session.target.size_bytes

    @property
    def pending(self) -> bool:
        """Whether a finished checkpoint waits for a reader to let go of the file."""
        return self._session.target.pending

    @property
    def empty(self) -> bool:
        """Whether no job has a row in it, and nobody noted anything."""
        return not (any(self._lengths().values()) or self._noted)

    @property
    def last_time(self) -> float | None:
        """Seconds of the newest row: the latest of the jobs' last rows. None without rows."""
        times = [self._found.newest, *(job.last_time for job in self._jobs.values())]
        return max((time for time in times if time is not None), default=None)

    def rows(self, job: str) -> int:
        """Rows of a job, with those that no checkpoint holds yet."""
        return self._lengths().get(job, 0)

    def _lengths(self) -> dict[str, int]:
        return {**self._found.rows, **{name: job.rows for name, job in self._jobs.items()}}

    # -- rows --------------------------------------------------------------------------------

    def append(self, job: JobHead, batch: Batch, *, expected_rows: int | None = None) -> None:
        """Take rows; the chunks that they fill go to the file.

        Parameters
        ----------
        job : JobHead
            The job; its group and datasets are made with its first rows.
        batch : Batch
            The rows. Large ones are read again until the next checkpoint, so they must not change.
        expected_rows : int, optional
            Rows expected in a few checkpoints, where that is known better than from `batch`.

        Raises
        ------
        ValueError, TypeError, KeyError, RuntimeError
            If HDF5 can't hold them. The file must then be given up with `abort`.
        StorageError
            If the file can't be written; the same holds.
        """
        if batch.n:
            with self._session.adding() as file:
                group = self._job(file, job, batch, expected_rows)
                group.append(batch, self._session.pool)

    def note(self, note: Noted) -> None:
        """Take what somebody notes about a job, or about a group above jobs."""
        self._book.add(note)
        self._noted = True

    def _job(self, file: h5py.File, head: JobHead, batch: Batch, rows: int | None) -> JobGroup:
        job = self._jobs.get(head.job)
        if job is None:
            job = self._jobs[head.job] = self._open_job(file, head, batch, rows)
        if job.schema is not head.schema and job.schema != head.schema:
            raise ValueError(f"job {head.job}: its columns changed, and need a new file")
        return job

    def _open_job(self, file: h5py.File, head: JobHead, batch: Batch, rows: int | None) -> JobGroup:
        if head.job in self._found.rows:
            return JobGroup.load(file[head.job], head.schema, self._filters)
        rows = expected(head, batch, self._write_period) if rows is None else rows
        return JobGroup.create(file, head, self._filters, rows)

    # -- checkpoints -------------------------------------------------------------------------

    def checkpoint(
        self,
        lsn: int,
        *,
        losses: Mapping[str, Mapping[str, int]] | None = None,
        restarts: Iterable[tuple[str, float, str]] = (),
        jumps: Mapping[str, Sequence[Sequence[float]]] | None = None,
    ) -> CommitInfo:
        """Bring all rows into the file, in one transaction; without news nothing is written.

        Parameters
        ----------
        lsn : int
            The journal entry that the rows reach to.
        losses : mapping of str to mapping of str to int
            Rows lost by job and cause, in the run so far.
        restarts : iterable of (str, float, str)
            Job, time in seconds and cause of every restart of a worker in the run so far.
        jumps : mapping of str to sequence of (float, float)
            By job, when and by how many seconds the clock of its host was set in the run so far.

        Raises
        ------
        StorageError
            If the file can't be written; it is as at its last checkpoint.
        """
        self._notes.update(losses or {}, restarts, jumps or {})
        news = self._notes.changed or self._book.changed
        if not news and not any(job.changed for job in self._jobs.values()):
            self._session.abort()
            return CommitInfo(0, 0, not self.pending, 0.0)
        with self._session.finishing() as file:
            self._finish_rows(file)
            self._notes.write(file)
            self._book.write(file)
            h5py.h5a.open(file.id, b"journal_lsn").write(np.array(lsn, np.int64))
        info = self._session.commit()
        self.lsn = lsn
        return info

    def _finish_rows(self, file: h5py.File) -> None:
        self._session.pool.drain()
        for job in self._jobs.values():
            if job.changed:
                job.finish(file)

    def check(self) -> None:
        """Look through the file as it is now, before something is said against its rows.

        Raises
        ------
        FileDamaged
            If another program has changed it.
        """
        _looked_at(self._session.file, self._session.target)

    def apply_pending(self) -> bool:
        """Bring a waiting checkpoint into the file, if nobody holds it open any more."""
        return self._session.target.apply_pending()

    def overdue(self) -> bool:
        """Whether a checkpoint waits though its readers have gone, for another has begun."""
        return self._session.target.overdue()

    def abort(self) -> None:
        """Give up everything since the last checkpoint, and the file with it."""
        self.close()

    def close(self) -> None:
        """Let go of the file as it is at its last checkpoint."""
        self._session.close()

    def seal(
        self,
        *,
        run_end: float | None,
        file_end: float,
        following_file_id: int,
        interrupted: bool = False,
        new_path: Path,
    ) -> Path | None:
        """End the file: last rows and attributes, row counts verified, its final name.

        Parameters
        ----------
        run_end : float or None
            End of the run in seconds; None where it goes on in the next file.
        file_end : float
            End of this file in seconds.
        following_file_id : int
            The next file; 0 where there is none.
        interrupted : bool
            Whether the run ended without being stopped.
        new_path : Path
            The final name, in the same directory.

        Returns
        -------
        Path or None
            Where the file is now; None if it had no rows and was removed.

        Raises
        ------
        FileBusy
            If another file has the name.
        FileDamaged
            If the file does not hold the rows that were written to it.
        """
        if self.empty:
            remove(self._session)
            return None
        with self._session.finishing() as file:
            self._finish_rows(file)
            self._book.gather(file)
            write_end(file, run_end, file_end, following_file_id, interrupted=interrupted)
        self._session.commit()
        wait_for_readers(self._session.target)
        verify(self._session, {name: rows for name, rows in self._lengths().items() if rows})
        give_name(self._session.target, new_path)
        self.close()
        return new_path


def _looked_at(file: h5py.File, target: TransactionFile) -> Found:
    try:
        return look_at(file, target.path)
    except FileDamaged:
        # A disk that can't be read looks the same to HDF5.
        target.check()
        raise
