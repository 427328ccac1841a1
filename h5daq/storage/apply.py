"""Bringing a committed record into its file, so that nobody can misread the file meanwhile.

The order is what matters. First the superblock is marked, and every HDF5 library refuses the
file; then the pages change; last comes the clean superblock. Each step is on the medium before
the next begins. So a clean superblock always stands over whole pages, either the old or the new
ones, and whatever is found later tells by itself how far things had come.
"""

from __future__ import annotations

import enum
import zlib

from h5daq.storage.disk import Disk
from h5daq.storage.overlay import PAGE
from h5daq.storage.redo import RedoLog
from h5daq.storage.redo_record import Entry, Record
from h5daq.storage.superblock import marked, parse_superblock

__all__ = ["Standing", "apply_record", "checksum_before", "read_bytes", "rewrite_pages", "standing"]


class Standing(enum.Enum):
    """What a file on disk is to a record."""

    BEFORE = "before"
    AFTER = "after"
    BETWEEN = "between"
    """Marked, or both of the others by halves: applying it (again) makes it whole."""
    FOREIGN = "foreign"
    """Neither: somebody else has changed, cut or replaced the file."""


def read_bytes(disk: Disk, fd: int, offset: int, length: int) -> bytes:
    """Bytes of a file, zeros behind its end."""
    data = bytearray(length)
    disk.read_into(fd, offset, memoryview(data))
    return bytes(data)


def checksum_before(disk: Disk, fd: int, page: int, length: int) -> int:
    """Checksum of the part of a page that belongs to a state of `length` bytes."""
    used = min(PAGE, max(0, length - page * PAGE))
    return zlib.crc32(read_bytes(disk, fd, page * PAGE, used))


def apply_record(disk: Disk, fd: int, log: RedoLog, record: Record, *, durable: bool) -> None:
    """Make the file what `record` says. Repeating it does no harm.

    The last write is not synced: until the log is retired, recovery would do it again.
    """
    at, new = record.superblock_at, record.new_superblock
    _try_to_write(disk, fd, max(record.pages, default=0))
    disk.write(fd, at, marked(record.old_superblock))
    if durable:
        disk.sync(fd)
    for page in sorted(record.pages):
        disk.write(fd, page * PAGE, _marked_image(log, record, page))
    disk.write(fd, at, marked(new))
    if disk.size(fd) != record.new_length:
        disk.truncate(fd, record.new_length)
    if durable:
        disk.sync(fd)
    disk.write(fd, at, new)


def _try_to_write(disk: Disk, fd: int, page: int) -> None:
    """Write what is there already: a disk that refuses had better do so before the mark is set.

    Nobody can open the file from the mark on until all pages are in it, which on a disk that takes
    no more may be long.
    """
    used = min(PAGE, disk.size(fd) - page * PAGE)
    if used > 0:
        disk.write(fd, page * PAGE, read_bytes(disk, fd, page * PAGE, used))


def rewrite_pages(disk: Disk, fd: int, log: RedoLog, record: Record) -> None:
    """Write once more what the file holds already, so that the next sync is true of it."""
    for page, entry in sorted(record.pages.items()):
        used = max(0, record.new_length - page * PAGE)
        disk.write(fd, page * PAGE, memoryview(log.read_page(entry.slot))[:used])


def _marked_image(log: RedoLog, record: Record, page: int) -> memoryview:
    """A page as it will be, but for the mark on the superblock, up to the file's end."""
    image = log.read_page(record.pages[page].slot)
    holder, start = divmod(record.superblock_at, PAGE)
    if page == holder:
        image[start : start + len(record.new_superblock)] = marked(record.new_superblock)
    return memoryview(image)[: max(0, record.new_length - page * PAGE)]


def standing(disk: Disk, fd: int, log: RedoLog, record: Record) -> Standing:
    """How far a file has come in taking the record in."""
    at, old, new = record.superblock_at, record.old_superblock, record.new_superblock
    if disk.size(fd) < min(record.old_length, record.new_length):
        return Standing.FOREIGN
    found = read_bytes(disk, fd, at, max(len(old), len(new)))
    if found.startswith((marked(old), marked(new))):
        return Standing.BETWEEN
    if not found.startswith((old, new)):
        # A superblock torn in itself is ours too: a tool writes whole ones.
        return Standing.FOREIGN if parse_superblock(at, found.ljust(512)) else Standing.BETWEEN
    return _by_pages(disk, fd, log, record)


def _by_pages(disk: Disk, fd: int, log: RedoLog, record: Record) -> Standing:
    before = [_is_before(disk, fd, record, *item) for item in record.pages.items()]
    after = [_is_after(disk, fd, log, record, *item) for item in record.pages.items()]
    if all(after):
        return Standing.AFTER
    if all(before):
        return Standing.BEFORE
    whole = all(either for either in map(any, zip(before, after, strict=True)))
    return Standing.BETWEEN if whole else Standing.FOREIGN


def _is_before(disk: Disk, fd: int, record: Record, page: int, entry: Entry) -> bool:
    return checksum_before(disk, fd, page, record.old_length) == entry.before


def _is_after(disk: Disk, fd: int, log: RedoLog, record: Record, page: int, entry: Entry) -> bool:
    used = min(PAGE, max(0, record.new_length - page * PAGE))
    return read_bytes(disk, fd, page * PAGE, used) == bytes(log.read_page(entry.slot)[:used])
