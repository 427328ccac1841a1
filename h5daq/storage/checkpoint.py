"""From the journal to HDF5: entries in, finished checkpoints out.

`Builder` follows the journal with a ledger of its own. It gives each row to the run file that the
ledger names, and at a checkpoint every open file takes in, in one transaction, its rows and the
lsn that they reach to. Recovery is the same walk: it starts from the snapshot of the oldest
segment, and a file skips the entries that it already has.

Whatever goes wrong with a file (disk full, I/O error) leaves it at its last checkpoint. `rewind`
then goes back to the state of that checkpoint, and the same entries are read once more.
"""

from __future__ import annotations

import logging
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from h5daq.errors import FileDamaged, StorageError
from h5daq.flow.batch import Batch
from h5daq.flow.effects import Effect, Ended, Place, Sealed
from h5daq.flow.entries import Entry
from h5daq.flow.ledger import Ledger
from h5daq.flow.records import Noted, is_vault
from h5daq.flow.rollover import file_name
from h5daq.flow.states import FileState, JobState
from h5daq.storage.file_shelf import BuilderOptions, FileShelf, still_waits
from h5daq.storage.find import free_path, run_files
from h5daq.storage.layouts.run import JobHead, RunFile
from h5daq.storage.run_record import file_format

__all__ = ["Builder", "BuilderOptions", "EntrySource"]

log = logging.getLogger("h5daq.storage.checkpoint")


class EntrySource(Protocol):
    """The part of a journal that a builder needs."""

    def entries(self, after: int, upto: int) -> Iterator[Entry]:
        """Entries ``after + 1 … upto`` in order."""
        ...

    def release(self, lsn: int) -> None:
        """Everything up to `lsn` is in the files."""
        ...


class Builder:
    """The only one that writes run files. Not thread-safe: one thread owns it.

    Parameters
    ----------
    journal : EntrySource
        Where entries are read from.
    snapshot : bytes or None
        The ledger's state at `lsn`.
    lsn : int
        The entry up to which the snapshot reaches.
    options : BuilderOptions
        Directory and durability.
    kept : int
        The entry up to which the files are known to have everything: for these the files are not
        looked for, since they may have been moved away.
    replay_end : int
        The last entry that an earlier writer may have brought into the files already.

    Attributes
    ----------
    in_file : dict of str to int
        Rows of the run, by job, that the last checkpoint has brought into the files.
    appended : Counter
        Rows by job that this builder has brought into them.
    passes_vault : bool
        Whether somebody else keeps in mind what the vault's changes were answered: then they are
        passed over unread. They change no run file.
    known_rows : callable
        The rows of an entry, by its lsn, where another ledger has made them of the same entries
        already; None where they are to be made of the message.
    left_alone : set of Path
        Files that have the name of one of ours and are others, or damaged.
    """

    def __init__(
        self,
        journal: EntrySource,
        snapshot: bytes | None,
        lsn: int,
        options: BuilderOptions,
        kept: int = 0,
        replay_end: int = 0,
    ) -> None:
        self._journal = journal
        self._shelf = FileShelf(options)
        self._base, self._base_lsn = snapshot, lsn
        self._options = options
        self._files: dict[int, RunFile] = {}
        self._done: set[int] = set()
        self._refused: set[int] = set()
        self._kept, self._replay_end = kept, replay_end
        self._unapplied: set[Path] = set()
        self.ledger = Ledger.restore(snapshot)
        self.lsn = lsn
        self.bytes_waiting = self.bytes_read = 0
        self.sealed: list[Path] = []
        self.redo_bytes = 0
        self.refused_rows: dict[str, int] = {}
        self.in_file = self._rows_in_files()
        self.appended: Counter[str] = Counter()
        self._fresh: defaultdict[int, Counter[str]] = defaultdict(Counter)
        self._heads: dict[str, tuple[JobState, JobHead]] = {}
        self.others_reach: Callable[[], int | None] = lambda: None
        self.passes_vault = False
        self.known_rows: Callable[[int], Batch | None] = lambda _lsn: None

    @property
    def left_alone(self) -> set[Path]:
        """Files that had a name of ours and were not ours, or damaged."""
        return self._shelf.left_alone

    @property
    def checkpoint_lsn(self) -> int:
        """The entry up to which everything is in the files."""
        return self._base_lsn

    def advance(self, upto: int, most_bytes: int = sys.maxsize) -> None:
        """Bring the entries up to `upto` into the open files (full chunks go to disk at once).

        Stops earlier once `most_bytes` wait for a checkpoint.
        """
        while not self._walk(upto, most_bytes):
            # What came before the refused entry goes into the files first, so that many of them
            # don't have the same entries read again and again.
            refused = max(self._refused)
            self.rewind()
            self._walk(refused - 1, sys.maxsize)
            self.checkpoint()

    def _walk(self, upto: int, most_bytes: int) -> bool:
        """Perform entries; False if HDF5 refused one, and with it what no checkpoint holds yet."""
        for entry in self._journal.entries(self.lsn, upto):
            effects = self._effects(entry)
            if entry.lsn > self._kept and not self._perform(entry, effects):
                return False
            self.lsn = entry.lsn
            nbytes = len(entry.message)
            self.bytes_waiting += nbytes
            self.bytes_read += nbytes
            if self.bytes_waiting >= most_bytes:
                break
        return True

    def _effects(self, entry: Entry) -> list[Effect]:
        batch = self.known_rows(entry.lsn)
        if batch is not None:
            return self.ledger.apply_rows(batch)
        if self.passes_vault and is_vault(entry.message):
            return []
        try:
            return self.ledger.apply(entry.message)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            # Its checksum is right; it must be of a newer version, or from a fault of ours.
            raise FileDamaged(
                f"entry {entry.lsn} of the journal can't be understood ({error}); to go on without "
                f"it and what follows, move the journal's directory away"
            ) from error

    def checkpoint(self) -> int:
        """Finish a checkpoint in every open file; returns the lsn that they now reach to."""
        for run_file in self._files.values():
            self._checkpoint_file(run_file)
        self._base, self._base_lsn = self.ledger.snapshot(), self.lsn
        self.bytes_waiting = 0
        self.in_file = self._rows_in_files()
        self.release()
        return self.lsn

    def release(self) -> None:
        """Let the journal forget what the run files have, and the vault's files too."""
        others = self.others_reach()
        reaches = self._base_lsn
        self._journal.release(reaches if others is None else min(reaches, others))

    def _rows_in_files(self) -> dict[str, int]:
        """Rows of the run by job; replaced as a whole, since other threads look at it."""
        refused = self.refused_rows
        return {job.job: job.rows - refused.get(job.job, 0) for job in self.ledger.jobs.values()}

    @property
    def pending(self) -> bool:
        """Whether a finished checkpoint waits for a reader to let go of its file."""
        return bool(self._unapplied) or any(f.pending for f in self._files.values())

    def apply_pending(self) -> None:
        """Bring waiting checkpoints into files that nobody holds open any more."""
        for run_file in self._files.values():
            run_file.apply_pending()
        self._unapplied = {path for path in self._unapplied if still_waits(path)}

    def overdue(self) -> bool:
        """Whether a finished checkpoint waits for no reader any more, but for the next one."""
        return any(run_file.overdue() for run_file in self._files.values())

    def watch(self, paths: Iterable[Path]) -> None:
        """Apply what waits in these files, too, as soon as their readers let go of them."""
        self._unapplied |= set(paths)

    def rewind(self) -> None:
        """Forget what no checkpoint holds yet: the same entries will be read again."""
        for run_file in self._files.values():
            _give_up(run_file)
        self._files.clear()
        # What was half done before the rewind may be found done when it is met again.
        self._replay_end = max(self._replay_end, self.lsn + 1)
        self.ledger = Ledger.restore(self._base)
        self.lsn = self._base_lsn
        self.bytes_read -= self.bytes_waiting
        self.bytes_waiting = 0
        self._fresh.clear()

    def close(self) -> None:
        """Let go of all files as they are.

        What can't be tidied up on a disk that fails is for the next start; the rest is let go.
        """
        for run_file in self._files.values():
            try:
                run_file.close()
            except StorageError as error:
                log.error("%s: %s", run_file.path, error)
        self._files.clear()

    # -- effects ----------------------------------------------------------------------------

    def _perform(self, entry: Entry, effects: Iterable[Effect]) -> bool:
        """Do to the files what an entry does; False if HDF5 refused it."""
        for effect in effects:
            if isinstance(effect, Place):
                if entry.lsn not in self._refused and not self._append(entry, effect):
                    return False
            elif isinstance(effect, Sealed):
                self._seal(effect)
            elif isinstance(effect, Ended):
                self._end(effect)
            else:
                self._note(entry, effect)
        return True

    def _note(self, entry: Entry, noted: Noted) -> None:
        run_file = self._file(noted.file)
        if run_file is not None and entry.lsn > run_file.lsn:
            run_file.note(noted)

    def _append(self, entry: Entry, place: Place) -> bool:
        """Give rows to their file; False if HDF5 won't take them."""
        run_file = self._file(place.file)
        if run_file is None or entry.lsn <= run_file.lsn:
            return True
        try:
            run_file.append(self._head(self.ledger.jobs[place.job]), place.batch)
        except (ValueError, TypeError, RuntimeError, KeyError, ArithmeticError) as error:
            run_file.check()
            self._refuse(entry, place, error)
            return False
        self._fresh[place.file][place.job] += place.batch.n
        return True

    def _head(self, job: JobState) -> JobHead:
        """What a file is told of a job: the same for all rows since one hello."""
        state, head = self._heads.get(job.job, (None, None))
        if state is not job or head is None:
            head = JobHead(job.job, job.schema, job.attrs, job.period, job.mode, job.chunk or None)
            self._heads[job.job] = job, head
        return head

    def _refuse(self, entry: Entry, place: Place, error: Exception) -> None:
        """Put aside what HDF5 won't take, so that the rest goes on after a rewind."""
        folder = self._options.directory / ".h5daq" / "refused"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{entry.lsn:016d}.msgpack").write_bytes(entry.message)
        except OSError as failure:
            text = f"refused rows of job {place.job} can't be kept: {failure.strerror}"
            raise StorageError(failure.errno, text, str(folder)) from failure
        self._refused.add(entry.lsn)
        self.refused_rows[place.job] = self.refused_rows.get(place.job, 0) + place.batch.n
        log.error(
            "job %s: HDF5 refused %d rows (%s); they are kept in %s and the rest goes on",
            place.job,
            place.batch.n,
            error,
            folder,
        )

    def _checkpoint_file(self, run_file: RunFile) -> None:
        jobs = list(self.ledger.jobs.values())
        done = run_file.checkpoint(
            self.lsn,
            losses={job.job: self._losses(job) for job in jobs},
            restarts=[(job.job, time, cause) for job in jobs for time, cause in job.restarts],
            jumps={job.job: job.clock_jumps for job in jobs},
        )
        self.redo_bytes = done.pages * 4096
        self.appended += self._fresh.pop(run_file.file_id, Counter())

    def _losses(self, job: JobState) -> dict[str, int]:
        refused = self.refused_rows.get(job.job, 0)
        more = {"late": job.late, "refused": refused}
        return {**job.lost, **{cause: n for cause, n in more.items() if n}}

    def _seal(self, sealed: Sealed) -> None:
        run_file = self._file_of(sealed.file) if sealed.file.begun else None
        if run_file is None:
            return
        self._finish(
            run_file,
            run_end=sealed.run_end,
            file_end=sealed.seal.end,
            following_file_id=sealed.seal.following,
            interrupted=sealed.interrupted,
            new_path=self._sealed_path(sealed, run_file.path),
        )
        del self._files[sealed.file.id]
        self._done.add(sealed.file.id)

    def _end(self, ended: Ended) -> None:
        """Take back that another file follows: the run is over, and no more rows came."""
        path = run_files(self._options.directory).get(ended.file)
        if path is None:
            log.warning("the run's last file was moved away and does not say that it is the last")
            return
        run_file = self._shelf.reopen(self.ledger.run, path)
        self._finish(
            run_file,
            run_end=ended.run_end,
            file_end=ended.file_end,
            following_file_id=0,
            interrupted=ended.interrupted,
            new_path=path,
        )

    def _finish(self, run_file: RunFile, **end: Any) -> None:
        self._checkpoint_file(run_file)
        path = run_file.seal(**end)
        if path is not None:
            self._unapplied |= {path} if run_file.pending else set()
            self.sealed += [path] if path not in self.sealed else []
            log.info("sealed %s", path)

    def _sealed_path(self, sealed: Sealed, path: Path) -> Path:
        """The planned name with the real end; never the name of a file that is there already."""
        name = file_name(file_format(self.ledger.run), sealed.file.start, sealed.seal.end)
        return free_path(self._options.directory / name, path)

    # -- finding and making files -------------------------------------------------------------

    def _file(self, file_id: int) -> RunFile | None:
        """The open run file of that id; None when it was sealed already."""
        if file_id in self._files:
            return self._files[file_id]
        state = next((f for f in self.ledger.files if f.id == file_id), None)
        if state is None:
            raise FileDamaged(f"the journal names file {file_id:#x}, which it never opened")
        return self._file_of(state)

    def _file_of(self, state: FileState) -> RunFile | None:
        if state.id in self._done:
            return None
        if state.id not in self._files:
            # A replay may meet rows of a file that has its last name by now, or that was renamed.
            replayed = self.lsn < self._replay_end
            found = self._shelf.find(self.ledger.run, state, anywhere=replayed)
            self._files[state.id] = found or self._create(state)
        return self._files[state.id]

    def _create(self, state: FileState) -> RunFile:
        known = Ledger.restore(self._base).files if self._base else []
        rows = sum(file.rows for file in known if file.id == state.id)
        return self._shelf.create(self.ledger.run, state, rows)


def _give_up(run_file: RunFile) -> None:
    try:
        run_file.abort()
    except StorageError as error:
        log.error("%s: %s", run_file.path, error)
        # Its locks must go all the same, or it could never be opened again.
        with suppress(StorageError):
            run_file.close()
