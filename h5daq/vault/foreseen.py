"""What a recovery would bring into the vault, found out without bringing anything.

The journal's changes are followed as `replay` follows them, and held against the directories and
files as they are: a file says itself which entry it reaches to.
"""

from __future__ import annotations

from pathlib import Path

from h5daq.errors import DirectoryNotFound
from h5daq.flow.records import VaultRecord
from h5daq.storage.foresee import reached
from h5daq.storage.journal import Journal
from h5daq.storage.recovery import VaultChanges
from h5daq.storage.shadow import ShadowDisk
from h5daq.vault.applying import with_tags
from h5daq.vault.folders import Folders
from h5daq.vault.journaled import counting, note
from h5daq.vault.names import VaultPath, number_of
from h5daq.vault.session import Session

__all__ = ["foresee_vault"]


def foresee_vault(journal: Journal, directory: Path, disk: ShadowDisk) -> VaultChanges:
    """What `replay_vault` would do; nothing is changed.

    Parameters
    ----------
    journal : Journal
        On `disk`.
    directory : Path
        The vault's root.
    disk : ShadowDisk
        On which the files' pending checkpoints are in.
    """
    coming = _Coming(Folders(directory), disk)
    for entry, record in counting(journal):
        coming.changes.entries += 1
        coming.meet(record, entry.lsn)
    return coming.changes


class _Coming:
    """Follows the changes."""

    def __init__(self, folders: Folders, disk: ShadowDisk) -> None:
        self.changes = VaultChanges()
        self._folders, self._disk = folders, disk
        self._made: set[tuple[VaultPath, str]] = set()
        self._sessions: dict[VaultPath, Session] = {}
        self._reached: dict[tuple[VaultPath, str], int | None] = {}

    def meet(self, record: VaultRecord, lsn: int) -> None:
        """Count what an entry would change."""
        if record.verb == "mkdir":
            missing = [p for p in map(tuple, record.args["directories"]) if self._makes(p)]
            if missing:
                record.args["directories"] = missing
                note(self.changes, record)
        elif record.verb == "new":
            self._make(record, tuple(record.path))
        elif record.verb == "tags":
            self._tag(record, tuple(record.path))
        else:
            self._feed(record, lsn)

    def _makes(self, path: VaultPath) -> bool:
        missing = (path, "") not in self._made and not self._folders.exists(path)
        self._made.add((path, ""))
        return missing

    def _make(self, record: VaultRecord, path: VaultPath) -> None:
        if self._file(path, record.name) is None:
            number, session = number_of(record.name) or 0, self._session(path)
            if number < session.counter:
                # It was there, and somebody has removed it: the number is not given again.
                self.changes.aside += 1
                return
            self._sessions[path] = session.grown(number, record.time)
            note(self.changes, record)
        self._made.add((path, record.name))

    def _tag(self, record: VaultRecord, path: VaultPath) -> None:
        before = self._session(path)
        self._sessions[path] = with_tags(before, record)
        if self._sessions[path] != before:
            note(self.changes, record)

    def _session(self, path: VaultPath) -> Session:
        return self._sessions[path] if path in self._sessions else self._folders.session(path)

    def _file(self, path: VaultPath, name: str) -> Path | None:
        try:
            return self._folders.dataset(path, name)
        except DirectoryNotFound:
            return None

    def _feed(self, record: VaultRecord, lsn: int) -> None:
        key = (tuple(record.path), record.name)
        if key not in self._reached:
            file = self._file(*key)
            self._reached[key] = None if file is None else reached(self._disk, file)
        last = self._reached[key]
        if last is None and key not in self._made:
            self.changes.aside += 1
        elif lsn > (last or 0):
            note(self.changes, record)
