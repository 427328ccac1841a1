"""What a dead writer had journaled for the vault and not brought into its files is brought there.

The files know the last entry that they hold, so each entry takes effect once. One that can't
take effect any more (its dataset was moved away, or is damaged) is put aside and named, and the
rest goes on.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from pathlib import Path

from h5daq.errors import StorageError, VaultError, WireError
from h5daq.flow.entries import Entry
from h5daq.flow.records import MarkRecord, VaultRecord, decode_record, is_record
from h5daq.storage.journal import Journal, MemoryJournal
from h5daq.storage.ondisk import naming
from h5daq.vault.applying import Applier
from h5daq.vault.live import Live
from h5daq.vault.tree import Tree

__all__ = ["replay_vault"]

log = logging.getLogger("h5daq.vault")

_STEP_BYTES = 64 << 20


def replay_vault(journal: Journal | MemoryJournal, directory: Path, *, durable: bool = True) -> int:
    """Bring the vault's entries into its files; returns how many there were to look at.

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
    kept, void = _survey(journal)
    tree = Tree(directory, durable=durable)
    live = Live(tree, lambda: journal.last)
    applier, count, waiting = Applier(tree, live), 0, 0
    for entry, record in _changes(journal):
        if entry.lsn <= kept or entry.lsn in void or record.verb == "void":
            continue
        _again(applier, entry, record, directory)
        count, waiting = count + 1, waiting + len(entry.message)
        if waiting >= _STEP_BYTES:
            _checkpoint(live, entry.lsn)
            waiting = 0
    _checkpoint(live, journal.last)
    live.close()
    return count


def _survey(journal: Journal | MemoryJournal) -> tuple[int, set[int]]:
    """The entry up to which the files have everything, and the entries that were taken back."""
    kept, void = 0, set[int]()
    for entry in journal.entries(journal.oldest - 1, journal.last):
        if is_record(entry.message):
            record = decode_record(entry.message)
            if isinstance(record, MarkRecord):
                kept = max(kept, record.vault)
            elif isinstance(record, VaultRecord) and record.verb == "void":
                void.add(int(record.args["lsn"]))
    return kept, void


def _changes(journal: Journal | MemoryJournal) -> Iterator[tuple[Entry, VaultRecord]]:
    for entry in journal.entries(journal.oldest - 1, journal.last):
        if is_record(entry.message):
            record = decode_record(entry.message)
            if isinstance(record, VaultRecord):
                yield entry, record


def _again(applier: Applier, entry: Entry, record: VaultRecord, directory: Path) -> None:
    try:
        applier.again(record, entry.lsn)
    except (VaultError, StorageError, WireError) as error:
        folder = directory / ".h5daq" / "refused"
        with naming(folder, "a change of the vault can't be put aside"):
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"vault-{entry.lsn:016d}.msgpack").write_bytes(entry.message)
        log.error("vault: a change could not be made again (%s); it is kept in %s", error, folder)


def _checkpoint(live: Live, lsn: int) -> None:
    live.checkpoint(time.time(), lsn)
    if live.failure is not None:
        raise live.failure
