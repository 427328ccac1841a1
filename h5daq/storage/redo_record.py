"""A record of the redo log, and its bytes.

A record says which pages become what, how long the file is then, and what its superblock was and
will be. On disk it is a header of one sector and a table; the pages themselves lie in slots.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from typing import NamedTuple

__all__ = [
    "HEADER_BYTES",
    "TABLE_ROW_BYTES",
    "Entry",
    "Prepared",
    "Record",
    "pack_header",
    "pack_table",
    "unpack_header",
    "unpack_table",
]

HEADER_BYTES = 512
_MAGIC = b"h5dRedo1"
_HEADER = struct.Struct("<8s7QQIHH")
_TABLE = struct.Struct("<QQII")
TABLE_ROW_BYTES = _TABLE.size


class Entry(NamedTuple):
    """One page of a record: its slot, its checksum, and that of the bytes which it replaces."""

    slot: int
    crc: int
    before: int


@dataclass(frozen=True, slots=True)
class Record:
    """A committed change of a file.

    Attributes
    ----------
    inode : int
        Of the file.
    old_length, new_length : int
        Lengths of the file's states on disk and after the change, in bytes.
    superblock_at : int
        Offset of the superblock.
    old_superblock, new_superblock : bytes
        As on disk and after the change.
    pages : dict of int to Entry
        What becomes of which page.
    number : int
        Counted up by the log.
    """

    inode: int
    old_length: int
    new_length: int
    superblock_at: int
    old_superblock: bytes
    new_superblock: bytes
    pages: dict[int, Entry]
    number: int = 0


@dataclass(frozen=True, slots=True)
class Prepared:
    """A record whose pages and table are written: what its header will say."""

    record: Record
    retired: int
    table_slot: int
    count: int
    table_crc: int


def pack_table(pages: dict[int, Entry]) -> bytes:
    """The rows of a table, ordered by page."""
    return b"".join(_TABLE.pack(page, *entry) for page, entry in sorted(pages.items()))


def unpack_table(table: bytes) -> dict[int, Entry]:
    """The pages of a record."""
    return {page: Entry(*rest) for page, *rest in _TABLE.iter_unpack(table)}


def pack_header(header: Prepared) -> bytes:
    """A header's sector, with its checksum at the end."""
    record = header.record
    fixed = _HEADER.pack(
        _MAGIC,
        record.number,
        header.retired,
        record.inode,
        record.old_length,
        record.new_length,
        record.superblock_at,
        header.table_slot,
        header.count,
        header.table_crc,
        len(record.old_superblock),
        len(record.new_superblock),
    )
    block = fixed + record.old_superblock + record.new_superblock
    block = block.ljust(HEADER_BYTES - 4, b"\0")
    return block + zlib.crc32(block).to_bytes(4, "little")


def unpack_header(block: bytes) -> Prepared | None:
    """What a sector says; None if it is no header, or a torn one."""
    if not block.startswith(_MAGIC) or zlib.crc32(block[:-4]) != int.from_bytes(
        block[-4:], "little"
    ):
        return None
    _, number, retired, inode, old, new, at, slot, count, crc, before, after = _HEADER.unpack(
        block[: _HEADER.size]
    )
    start = _HEADER.size
    old_superblock = block[start : start + before]
    new_superblock = block[start + before : start + before + after]
    record = Record(inode, old, new, at, old_superblock, new_superblock, {}, number)
    return Prepared(record, retired, slot, count, crc)
