"""What a recovery would do, found out without doing anything.

The redo logs and the journal are opened by the code that recovers them, on a disk that keeps all
changes to itself (`h5daq.storage.shadow`). The journal's entries are then followed as the builder
follows them, but rows are only counted. Whether HDF5 will take them is not tried.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import h5py

from h5daq.errors import FileDamaged
from h5daq.flow.effects import Effect, Ended, Place, Sealed
from h5daq.flow.ledger import Ledger
from h5daq.flow.rollover import file_name
from h5daq.flow.states import FileState
from h5daq.storage.find import numbered
from h5daq.storage.journal import Journal
from h5daq.storage.lock import DirectoryLock
from h5daq.storage.recover import recover_tree
from h5daq.storage.recovery import (
    Progress,
    Recovered,
    VaultChanges,
    end_record,
    entry_kept,
    journal_directory,
)
from h5daq.storage.run_record import file_format
from h5daq.storage.shadow import ShadowDisk, ShadowFile

__all__ = ["foresee", "reached"]

VaultForesight = Callable[[Journal, Path, ShadowDisk], VaultChanges]
"""Says what would be brought into the vault: `vault.foreseen.foresee_vault`."""


def foresee(
    directory: Path, progress: Progress | None = None, vault: VaultForesight | None = None
) -> Recovered:
    """What `recover_run` would do in `directory`; nothing in it is changed.

    Parameters
    ----------
    directory : Path
        The directory of the run files.
    progress : callable, optional
        Told how far the journal is read.
    vault : callable, optional
        Says what the journal has for the vault.

    Raises
    ------
    FileBusy
        While a writer lives there.
    FileDamaged
        If the journal has a hole below what was synced.
    """
    directory = directory.absolute()
    lock, disk = DirectoryLock(directory), ShadowDisk()
    lock.acquire_untouched()
    try:
        verdicts = recover_tree(directory, disk=disk)
        report = Recovered()
        if journal_directory(directory).is_dir():
            report = _Walk(directory, disk).over_the_journal(progress, vault)
        report.verdicts, report.finished = verdicts, [found.path for found in verdicts]
        return report
    finally:
        lock.let_go()


def reached(disk: ShadowDisk, path: Path) -> int | None:
    """The journal's entry that a file reaches to, 0 without one; None if it can't be read."""
    try:
        with ShadowFile(disk, path) as raw, h5py.File(raw, "r") as file:
            return int(file.attrs.get("journal_lsn", 0))
    except (OSError, KeyError, ValueError, TypeError, RuntimeError):
        return None


@dataclass(slots=True)
class _File:
    """A run file: what it is called, and the entry up to which it has everything."""

    path: Path
    lsn: int = 0


class _Walk:
    """The builder's way through the journal."""

    def __init__(self, directory: Path, disk: ShadowDisk) -> None:
        self._directory, self._disk = directory, disk
        self._files: dict[int, _File] = {}
        self._done: set[int] = set()
        self._here: dict[int, _File] | None = None
        self._ledger = Ledger()
        self._report = Recovered()

    def over_the_journal(
        self, progress: Progress | None, vault: VaultForesight | None
    ) -> Recovered:
        journal = Journal.open(journal_directory(self._directory), disk=self._disk, frugal=True)
        try:
            kept, total = entry_kept(journal), journal.waiting_bytes
            self._ledger, read = Ledger.restore(journal.snapshot), 0
            for entry in journal.entries(journal.oldest - 1, journal.last):
                effects = self._ledger.apply(entry.message)
                if entry.lsn > kept:
                    self._follow(entry.lsn, effects)
                read += len(entry.message)
                if progress is not None and entry.lsn % 64 == 0:
                    progress(read, total)
            self._report.entries = max(0, journal.last - journal.oldest + 1)
            if vault is not None:
                self._report.vault = vault(journal, self._directory, self._disk)
            self._end(journal.last + 1)
        finally:
            journal.close()
        return self._report

    def _end(self, lsn: int) -> None:
        ledger, report = self._ledger, self._report
        if ledger.ended or ledger.run is None:
            return
        report.run, report.rows = ledger.run.name, sum(job.rows for job in ledger.jobs.values())
        self._follow(lsn, ledger.apply_record(end_record(ledger)))

    def _follow(self, lsn: int, effects: Iterable[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, Sealed):
                self._seal(effect)
            elif isinstance(effect, Ended):
                self._mark_end(effect.file)
            else:
                file = self._file(effect.file)
                if isinstance(effect, Place) and file is not None and lsn > file.lsn:
                    counted = self._report.appended
                    counted[effect.job] = counted.get(effect.job, 0) + effect.batch.n

    def _seal(self, sealed: Sealed) -> None:
        file = self._file_of(sealed.file) if sealed.file.begun else None
        if file is None:
            return
        name = file_name(file_format(self._ledger.run), sealed.file.start, sealed.seal.end)
        new = next(p for p in numbered(self._directory / name) if p == file.path or self._free(p))
        self._give_name(file, new)
        self._done.add(sealed.file.id)

    def _give_name(self, file: _File, new: Path) -> None:
        self._report.was[new], file.path = file.path, new
        if new not in self._report.sealed:
            self._report.sealed.append(new)

    def _mark_end(self, file_id: int) -> None:
        found = self._all().get(file_id) or self._files.get(file_id)
        if found is not None:
            self._give_name(found, found.path)

    # -- which files there are -----------------------------------------------------------------

    def _file(self, file_id: int) -> _File | None:
        state = next((f for f in self._ledger.files if f.id == file_id), None)
        if file_id in self._files:
            return None if file_id in self._done else self._files[file_id]
        if state is None:
            raise FileDamaged(f"the journal names file {file_id:#x}, which it never opened")
        return self._file_of(state)

    def _file_of(self, state: FileState) -> _File | None:
        if state.id in self._done:
            return None
        if state.id not in self._files:
            planned = self._directory / state.name
            found = self._under_its_name(planned, state.id) or self._all().get(state.id)
            self._files[state.id] = found or _File(next(filter(self._free, numbered(planned))))
        return self._files[state.id]

    def _under_its_name(self, planned: Path, file_id: int) -> _File | None:
        for path in numbered(planned):
            if self._disk.identity_of(path) is None:
                return None
            found = self._look(path)
            if found is not None and found[0] == file_id:
                return found[1]
            if path not in self._report.left_alone:
                self._report.left_alone.append(path)
        return None

    def _all(self) -> dict[int, _File]:
        if self._here is None:
            names = [n for n in self._disk.names(self._directory) if not n.startswith(".")]
            paths = [p for p in (self._directory / name for name in names) if p.is_file()]
            self._here = dict(filter(None, map(self._look, paths)))
        return self._here

    def _look(self, path: Path) -> tuple[int, _File] | None:
        """Id and place of a run file, as it is once its pending change is in."""
        try:
            with ShadowFile(self._disk, path) as raw, h5py.File(raw, "r") as file:
                attrs = file.attrs
                return int(attrs["file_id"]), _File(path, int(attrs["journal_lsn"]))
        except (OSError, KeyError, ValueError, TypeError, RuntimeError):
            return None

    def _free(self, path: Path) -> bool:
        taken = {file.path for file in self._files.values()}
        return path not in taken and self._disk.identity_of(path) is None
