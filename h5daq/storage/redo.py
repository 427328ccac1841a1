"""The redo log: a file's next state, written down before the file is touched.

A record says which pages become what, how long the file is then, and what its superblock was and
will be. Once it is synced the transaction is committed, whatever happens to the file afterwards:
a whole record can be applied any number of times, a torn one is as good as none.

::

    0        header, even numbers  ┐ magic, number, retired, inode, lengths, superblocks,
    4096     header, odd numbers   ┘ place and checksum of the table; own checksum
    8192     slots of 4096 bytes: pages, in any order, and somewhere among them the table
             (page, slot, checksum of the page, checksum of what it replaces)

Each record is complete, so the newest counts, and its slots are not written to until its successor
is down: the log stays about twice as large as the pages that differ. A record is *retired* when
the file has taken it in, for good. Its successor says so, and recovery never falls back to it.
"""

from __future__ import annotations

import hashlib
import os
import zlib
from dataclasses import dataclass, field, replace
from pathlib import Path

from h5daq.errors import FileDamaged
from h5daq.storage.disk import Disk
from h5daq.storage.overlay import PAGE
from h5daq.storage.redo_record import (
    HEADER_BYTES,
    TABLE_ROW_BYTES,
    Prepared,
    Record,
    pack_header,
    pack_table,
    unpack_header,
    unpack_table,
)

__all__ = ["RedoLog", "beside", "redo_path"]

_NAME_BYTES = 255
"""The longest name of a file, in bytes, on the file systems of Linux and macOS."""

_FIRST_SLOT = 2
_KEPT_BYTES = 4 << 20
"""A log that nobody needs is kept up to this length, since overwriting is faster than growing."""


def redo_path(path: Path) -> Path:
    """Where the redo log of a file lies: beside it, hidden."""
    return beside(path, ".redo")


def beside(path: Path, ending: str) -> Path:
    """A hidden companion of a file: its name between a dot and `ending`.

    Where that is too long for a file system, a digest stands for the name: any file that the disk
    takes can have companions, and recovery knows by the inode whose they are.
    """
    name = f".{path.name}{ending}"
    if len(os.fsencode(name)) > _NAME_BYTES:
        name = f".{hashlib.blake2s(os.fsencode(path.name)).hexdigest()}{ending}"
    return path.with_name(name)


@dataclass(slots=True)
class _Slots:
    """Which slots are needed: by the newest record, and by the transaction under way."""

    live: set[int] = field(default_factory=set)
    taken: set[int] = field(default_factory=set)
    cursor: int = _FIRST_SLOT

    def take(self) -> int:
        while self.cursor in self.live or self.cursor in self.taken:
            self.cursor += 1
        self.taken.add(self.cursor)
        return self.cursor

    def room(self, count: int) -> int:
        """The first of `count` free slots side by side."""
        used, slot = self.live | self.taken, _FIRST_SLOT
        while taken := [s for s in range(slot, slot + count) if s in used]:
            slot = taken[-1] + 1
        return slot

    def end(self) -> int:
        return max(self.live, default=_FIRST_SLOT - 1) + 1

    def release_taken(self) -> None:
        self.taken, self.cursor = set(), _FIRST_SLOT


class RedoLog:
    """The log of one file, open.

    Parameters
    ----------
    disk : Disk
        What the log is on.
    fd : int
        Its descriptor; the log closes it.
    path : Path
        Named in errors.
    durable : bool
        Whether a commit waits for the medium.
    """

    def __init__(self, disk: Disk, fd: int, path: Path, *, durable: bool) -> None:
        self._disk, self._fd, self.path, self._durable = disk, fd, path, durable
        self._slots = _Slots()
        self._number = 0
        self._retired = 0
        self.uncertain = False
        if disk.size(fd) < _FIRST_SLOT * PAGE:
            # The headers' place is had once and for all: a full disk can't refuse it later.
            disk.write(fd, 0, bytes(_FIRST_SLOT * PAGE))

    @property
    def empty(self) -> bool:
        """Whether no record was ever found or written."""
        return self._number == 0

    def load(self) -> Record | None:
        """The record that counts; None if there is none, or only a torn or a retired one.

        Raises
        ------
        FileDamaged
            If a record that was synced, and is needed, can't be read.
        """
        headers = [h for h in map(self._read_header, (0, 1)) if h is not None]
        headers.sort(key=lambda header: header.record.number, reverse=True)
        for torn, header in enumerate(headers):
            if torn and header.record.number <= self._retired:
                break
            record = self._read_record(header)
            if record is not None:
                self._adopt(record, header)
                return record
            if torn:
                raise FileDamaged(f"{self.path}: the record of a finished transaction is damaged")
            self._forget(header)
        return None

    def read_page(self, slot: int) -> bytearray:
        """The page in `slot`."""
        image = bytearray(PAGE)
        self._disk.read_into(self._fd, slot * PAGE, memoryview(image))
        return image

    def write_page(self, image: bytearray, slot: int | None = None) -> int:
        """Write a page of the coming record into `slot`, or a free one; returns the slot."""
        place = self._slots.take() if slot is None else slot
        self._disk.write(self._fd, place * PAGE, image)
        return place

    def prepare(self, record: Record) -> Prepared:
        """Write all of a record but its header: the log still says what it said before."""
        numbered = replace(record, number=self._number + 1)
        table = pack_table(record.pages)
        slot = self._slots.room(_slots_for(len(table)))
        self._disk.write(self._fd, slot * PAGE, table)
        return Prepared(numbered, self._retired, slot, len(record.pages), zlib.crc32(table))

    def commit(self, prepared: Prepared) -> Record:
        """Write the header and sync: the commit point.

        If the write fails, nothing is committed; if the sync does, the log is `uncertain`.

        Returns
        -------
        Record
            The record with its number.
        """
        record = prepared.record
        self._disk.write(self._fd, record.number % 2 * PAGE, pack_header(prepared))
        if self._durable:
            self.uncertain = True
            self._disk.sync(self._fd)
            self.uncertain = False
        self._adopt(record, prepared)
        self._shorten()
        return record

    def abandon(self) -> None:
        """The transaction under way is given up; its slots are free."""
        self._slots.release_taken()

    def retire(self) -> None:
        """The file has taken the newest record in and is synced."""
        self._retired = self._number

    def close(self) -> None:
        """Let go of the log as it is."""
        self._disk.close(self._fd)

    def remove(self) -> None:
        """Remove the log and let go of it."""
        self._disk.unlink(self.path)
        self.close()

    def _adopt(self, record: Record, header: Prepared) -> None:
        self._number = record.number
        self._retired = max(self._retired, header.retired)
        self._slots.live = {entry.slot for entry in record.pages.values()}
        table_slots = _slots_for(header.count * TABLE_ROW_BYTES)
        self._slots.live.update(range(header.table_slot, header.table_slot + table_slots))
        self._slots.release_taken()

    def _forget(self, header: Prepared) -> None:
        """Wipe a torn record: a later one may put into its slots what would make it whole."""
        self._retired = header.retired
        self._number = header.record.number - 1
        self._disk.write(self._fd, header.record.number % 2 * PAGE, bytes(HEADER_BYTES))
        if self._durable:
            self._disk.sync(self._fd)

    def _shorten(self) -> None:
        needed = self._slots.end() * PAGE
        if self._disk.size(self._fd) > 2 * needed + _KEPT_BYTES:
            self._disk.truncate(self._fd, needed)

    def _read(self, offset: int, length: int) -> bytes:
        data = bytearray(length)
        self._disk.read_into(self._fd, offset, memoryview(data))
        return bytes(data)

    def _read_header(self, parity: int) -> Prepared | None:
        return unpack_header(self._read(parity * PAGE, HEADER_BYTES))

    def _read_record(self, header: Prepared) -> Record | None:
        """Table and pages behind a header, unless one of them is torn."""
        length = header.count * TABLE_ROW_BYTES
        if header.table_slot * PAGE + length > self._disk.size(self._fd):
            return None
        table = self._read(header.table_slot * PAGE, length)
        if zlib.crc32(table) != header.table_crc:
            return None
        entries = unpack_table(table)
        if any(zlib.crc32(self.read_page(e.slot)) != e.crc for e in entries.values()):
            return None
        return replace(header.record, pages=entries)


def _slots_for(length: int) -> int:
    return -(-length // PAGE)
