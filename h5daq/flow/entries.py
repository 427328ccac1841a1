"""How entries stand in a journal: framing, and reading them back up to where they end.

A segment of a journal is a head, then entries, each with the number (lsn) one above its
predecessor's. What ends the entries is anything that is not the next one: zeros, a torn write, or
what a recycled file held before. The *salt*, drawn anew for each use of a segment and carried by
each frame, keeps what was there before, or whatever stands inside a payload, from passing for an
entry.

Each frame also says up to which lsn the journal was synced when it was made. So a missing entry is
known for what it is: if a later frame says that it was synced, it is damage, else a torn tail.

::

    frame   <4s I Q Q I I>  magic, length of payload, lsn, synced_lsn, salt, crc; then the payload,
            padded with zeros to 8 bytes. The CRC-32 is over header (with crc = 0) and payload.
    head    magic h5dS; lsn is that of the entry before the segment's first;
            payload <Q> number of the segment, then a snapshot of what the entries so far add up to
    entry   magic h5dJ; payload is a message
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from h5daq.errors import FileDamaged

try:
    from isal.isal_zlib import crc32
except ImportError:  # a platform without isal: same result, slower
    from zlib import crc32

__all__ = [
    "HEADER_BYTES",
    "Entry",
    "Head",
    "find_witness",
    "frame_bytes",
    "frame_head",
    "frame_header",
    "padding",
    "read_head",
    "scan",
    "walk",
]

_ENTRY_MAGIC = b"h5dJ"
_HEAD_MAGIC = b"h5dS"
_FRAME = struct.Struct("<4sIQQII")
_CRC = struct.Struct("<I")
_NUMBER = struct.Struct("<Q")
_ALIGN = 8

HEADER_BYTES = _FRAME.size
"""Bytes that stand before each payload."""

_CRC_AT = HEADER_BYTES - _CRC.size
_NO_CRC = bytes(_CRC.size)
_PADDING = tuple(bytes(-length % _ALIGN) for length in range(_ALIGN))


class Entry(NamedTuple):
    """One entry: its number, its message, and where it stands.

    Attributes
    ----------
    lsn : int
        Log sequence number.
    message : memoryview
        The payload as it was appended, read-only. It is never overwritten later.
    end : int
        Offset behind the entry and its padding in what was scanned, in bytes.
    """

    lsn: int
    message: memoryview
    end: int = 0


class Head(NamedTuple):
    """What opens a segment.

    Attributes
    ----------
    number : int
        The segment's own; a file that was renamed, but not yet rewritten, is found out by it.
    lsn : int
        The entry before the segment's first.
    synced_lsn : int
        Up to where the journal was synced when the segment was begun.
    salt : int
        What all frames of this use of the segment carry.
    snapshot : bytes
        The state that the entries up to `lsn` lead to.
    end : int
        Offset of the first entry, in bytes.
    """

    number: int
    lsn: int
    synced_lsn: int
    salt: int
    snapshot: bytes
    end: int


class _Frame(NamedTuple):
    lsn: int
    synced_lsn: int
    salt: int
    begin: int
    end: int


def frame_bytes(length: int) -> int:
    """Bytes that a payload of `length` bytes takes in a segment, header and padding included."""
    return HEADER_BYTES + length + -length % _ALIGN


def padding(length: int) -> bytes:
    """The zeros that follow a payload of `length` bytes."""
    return _PADDING[length % _ALIGN]


def frame_header(
    lsn: int, synced_lsn: int, payload: Sequence[bytes | memoryview], salt: int = 0
) -> bytes:
    """The header of an entry.

    Parameters
    ----------
    lsn, synced_lsn : int
        The entry's number, and up to where the journal is synced.
    payload : sequence of bytes or memoryview of bytes
        The parts of the message. They follow the header one after the other, then `padding`.
    salt : int
        The segment's, 32 bits.
    """
    return _header(_ENTRY_MAGIC, lsn, synced_lsn, payload, salt)


def frame_head(number: int, lsn: int, synced_lsn: int, salt: int, snapshot: bytes) -> bytes:
    """The whole head of a segment, padded. For the arguments see `Head`."""
    payload = _NUMBER.pack(number) + snapshot
    header = _header(_HEAD_MAGIC, lsn, synced_lsn, [payload], salt)
    return header + payload + padding(len(payload))


def read_head(buf: bytes | memoryview) -> Head | None:
    """The head at the beginning of `buf`; None when it is torn or not one."""
    view = memoryview(buf).toreadonly()
    frame = _frame_at(view, 0, _HEAD_MAGIC)
    if frame is None or frame.end < frame_bytes(_NUMBER.size):
        return None
    (number,) = _NUMBER.unpack_from(view, HEADER_BYTES)
    snapshot = bytes(view[HEADER_BYTES + _NUMBER.size : frame.end])
    return Head(number, frame.lsn, frame.synced_lsn, frame.salt, snapshot, _padded(frame.end))


def scan(
    buf: bytes | bytearray | memoryview, lsn: int, salt: int = 0, start: int = 0, name: str = ""
) -> Iterator[Entry]:
    """The entries from `start` on, up to the torn tail.

    Parameters
    ----------
    buf : buffer
        A segment. Entries hand out views of it.
    lsn : int
        Number of the first entry expected.
    salt : int
        The segment's.
    start : int
        Offset of that entry in bytes, a multiple of 8.
    name : str
        The segment's, for errors.

    Raises
    ------
    FileDamaged
        When the entries end before one that a later frame of `buf` says was synced.
    """
    view = memoryview(buf).toreadonly()
    for entry in walk(view, lsn, salt, start):
        yield entry
        lsn, start = entry.lsn + 1, entry.end
    witness = find_witness(view, lsn, salt, start)
    if witness is not None:
        raise FileDamaged(
            f"{name or 'journal'}: entry {lsn} at offset {start} is damaged: entry {witness} "
            f"behind it says that it was on disk. The entries before it are whole; to go on "
            f"without the rest, move the journal's directory away"
        )


def walk(
    buf: bytes | bytearray | memoryview, lsn: int, salt: int = 0, start: int = 0
) -> Iterator[Entry]:
    """Like `scan`, but whatever is not the next entry is taken as the end without asking why."""
    view = memoryview(buf).toreadonly()
    while True:
        frame = _frame_at(view, start, _ENTRY_MAGIC)
        if frame is None or frame.lsn != lsn or frame.salt != salt:
            return
        start, lsn = _padded(frame.end), lsn + 1
        yield Entry(frame.lsn, view[frame.begin : frame.end], start)


def find_witness(
    buf: bytes | bytearray | memoryview, lsn: int, salt: int | None = None, start: int = 0
) -> int | None:
    """Number of an entry at or behind `start` that says that `lsn` was synced, if there is one.

    Without a `salt` (the head that had it can't be read) every whole frame counts; one from before
    the file was recycled can't mislead, since it knows of no entry as late as `lsn`.
    """
    view = memoryview(buf).toreadonly()
    data = bytes(view[start:])
    at = data.find(_ENTRY_MAGIC)
    while at >= 0:
        if (start + at) % _ALIGN == 0 and _testifies(view, start + at, lsn, salt):
            number: int = _FRAME.unpack_from(view, start + at)[2]
            return number
        at = data.find(_ENTRY_MAGIC, at + 1)
    return None


def _testifies(view: memoryview, at: int, lsn: int, salt: int | None) -> bool:
    if at + HEADER_BYTES > len(view):
        return False
    _, _, number, synced_lsn, frame_salt, _ = _FRAME.unpack_from(view, at)
    # The cheap questions first: a payload may be full of what looks like frames.
    if not lsn <= synced_lsn < number or salt not in (None, frame_salt):
        return False
    return _frame_at(view, at, _ENTRY_MAGIC) is not None


def _frame_at(view: memoryview, at: int, magic: bytes) -> _Frame | None:
    """The whole frame at that offset, its CRC checked."""
    if at + HEADER_BYTES > len(view):
        return None
    found, length, lsn, synced_lsn, salt, crc = _FRAME.unpack_from(view, at)
    begin = at + HEADER_BYTES
    end = begin + length
    if found != magic or end > len(view):
        return None
    if crc32(view[begin:end], crc32(_NO_CRC, crc32(view[at : at + _CRC_AT]))) != crc:
        return None
    return _Frame(lsn, synced_lsn, salt, begin, end)


def _header(
    magic: bytes, lsn: int, synced_lsn: int, payload: Sequence[bytes | memoryview], salt: int
) -> bytes:
    length = sum(map(len, payload))
    bare = _FRAME.pack(magic, length, lsn, synced_lsn, salt, 0)
    crc = crc32(bare)
    for part in payload:
        crc = crc32(part, crc)
    return bare[:_CRC_AT] + _CRC.pack(crc)


def _padded(end: int) -> int:
    # Frames begin at multiples of 8, so padding the end is padding the payload.
    return end + -end % _ALIGN
