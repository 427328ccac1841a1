"""The vault's entries in a journal that a dead writer left: which of them count, and what they are.

An entry counts if the files may lack it and it was not taken back. The account of them is by the
place of the dataset or directory, as people name it.
"""

from __future__ import annotations

from collections.abc import Iterator

from h5daq.flow.entries import Entry
from h5daq.flow.records import MarkRecord, VaultRecord, decode_record, is_record
from h5daq.storage.journal import Journal, MemoryJournal
from h5daq.storage.recovery import VaultChanges
from h5daq.vault.names import VaultPath

__all__ = ["counting", "note", "place_of"]


def counting(journal: Journal | MemoryJournal) -> Iterator[tuple[Entry, VaultRecord]]:
    """The changes that a recovery has to look at, in order."""
    kept, void = _survey(journal)
    for entry, record in _changes(journal):
        if entry.lsn > kept and entry.lsn not in void and record.verb != "void":
            yield entry, record


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


def place_of(path: VaultPath | list[str], name: str = "") -> str:
    """A directory or dataset as people name it; the root is a slash.

    Examples
    --------
    >>> place_of(("", "qubit 3"), "00012 - decay"), place_of(("",))
    ('qubit 3/00012 - decay', '/')
    """
    return "/".join([*path[1:], *([name] if name else [])]) or "/"


def note(changes: VaultChanges, record: VaultRecord) -> None:
    """Count what a record has brought."""
    if record.verb == "mkdir":
        for path in record.args["directories"]:
            changes.add(place_of(path), "directory")
        return
    kinds = {"new": "dataset", "add": "row", "parameters": "parameter", "comment": "comment"}
    counts = {"add": "n", "parameters": "texts"}
    amount = record.args.get(counts.get(record.verb, ""), 1)
    place = place_of(record.path, record.name)
    changes.add(place, kinds.get(record.verb, record.verb), _size(amount))


def _size(amount: object) -> int:
    return len(amount) if isinstance(amount, list) else int(str(amount))
