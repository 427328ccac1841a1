"""What a dead writer had journaled for the vault and not brought into its files is brought there.

The files know the last entry that they hold, so each entry takes effect once. One that can't
take effect any more (its dataset was moved away, or is damaged) is put aside and named, and the
rest goes on. A disk that is full or fails, or a file that another program holds, is waited for.
"""

from __future__ import annotations

import errno
import logging
import time
from pathlib import Path

from h5daq.errors import FileBusy, FileDamaged, StorageError, VaultError, WireError
from h5daq.flow.entries import Entry
from h5daq.flow.records import VaultRecord, encode_record
from h5daq.storage.journal import Journal, MemoryJournal
from h5daq.storage.ondisk import naming
from h5daq.storage.recovery import VaultChanges
from h5daq.vault.applying import Applier, void
from h5daq.vault.journaled import counting, note
from h5daq.vault.live import Live
from h5daq.vault.tree import Tree

__all__ = ["replay_vault"]

log = logging.getLogger("h5daq.vault")

_STEP_BYTES = 64 << 20

_FOR_EVER = frozenset({errno.ENAMETOOLONG, errno.EINVAL, errno.EILSEQ, errno.EEXIST, errno.ENOENT})
"""What no mending of the disk makes good: the name can't be had, or is another's."""


def replay_vault(
    journal: Journal | MemoryJournal, directory: Path, *, durable: bool = True
) -> VaultChanges:
    """Bring the vault's entries into its files; returns what there was to look at, and to bring.

    Parameters
    ----------
    journal : Journal or MemoryJournal
        Synced, and not used by anybody else meanwhile.
    directory : Path
        The vault's root.
    durable : bool
        Whether the files are to outlive the loss of power.

    Raises
    ------
    StorageError
        If a file can't be written: nothing is lost, and the next start tries again.
    """
    tree = Tree(directory, durable=durable)
    live = Live(tree, lambda: journal.last)
    replay = _Replay(Applier(tree, live), directory)
    try:
        waiting = 0
        for entry, record in counting(journal):
            replay.again(entry, record)
            waiting += len(entry.message)
            if waiting >= _STEP_BYTES:
                _checkpoint(live, entry.lsn)
                waiting = 0
        _checkpoint(live, journal.last)
    finally:
        live.close()
    for taken_back in replay.voids:
        journal.append(encode_record(taken_back))
    journal.sync()
    return replay.changes


class _Replay:
    """Makes changes again.

    Attributes
    ----------
    changes : VaultChanges
        The account.
    voids : list of VaultRecord
        Take back what can't be made again: who asks for it once more is not told that it is done.
    """

    def __init__(self, applier: Applier, directory: Path) -> None:
        self._applier, self._directory = applier, directory
        self.changes, self.voids = VaultChanges(), list[VaultRecord]()

    def again(self, entry: Entry, record: VaultRecord) -> None:
        self.changes.entries += 1
        try:
            if self._applier.again(record, entry.lsn):
                note(self.changes, record)
        except (VaultError, StorageError, WireError) as error:
            if _passes(error):
                raise
            _put_aside(entry, self._directory, error)
            self.changes.aside += 1
            self.voids.append(void(record, entry.lsn))


def _passes(error: Exception) -> bool:
    """Whether the same may succeed when somebody has mended the disk, or let go of the file."""
    if not isinstance(error, StorageError) or isinstance(error, FileDamaged):
        return False
    return isinstance(error, FileBusy) or error.errno not in _FOR_EVER


def _put_aside(entry: Entry, directory: Path, error: Exception) -> None:
    folder = directory / ".h5daq" / "refused"
    with naming(folder, "a change of the vault can't be put aside"):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"vault-{entry.lsn:016d}.msgpack").write_bytes(entry.message)
    log.error("vault: a change could not be made again (%s); it is kept in %s", error, folder)


def _checkpoint(live: Live, lsn: int) -> None:
    live.checkpoint(time.time(), lsn)
    if live.failure is not None:
        raise live.failure
