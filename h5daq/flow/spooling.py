"""A message on a worker's disk: the frame around it, and what a torn one looks like.

A spool is segments of frames, one behind the other. A worker may be killed in the midst of a
write: what ends a segment is whatever is not a whole frame, and the CRC tells. The journal's
frames (`h5daq.flow.entries`) serve a recycled, preallocated file; a spool's files are written
once and then deleted, so theirs need no more than this.

::

    frame   <4s I Q Q I>  magic, length of the message, number of its first row, rows, crc;
            then the message. The CRC-32 is over the header (with crc = 0) and the message.
"""

from __future__ import annotations

import struct
from typing import NamedTuple
from zlib import crc32

from h5daq.flow.packing import MAX_MESSAGE_BYTES, Buffer

__all__ = ["HEADER_BYTES", "Header", "Piece", "frame_header", "is_whole", "read_header"]

_MAGIC = b"h5dW"
_HEADER = struct.Struct("<4sIQQI")

HEADER_BYTES = _HEADER.size
"""Bytes that stand before each message."""


class Piece(NamedTuple):
    """A numbered message: rows ``first … first+n-1``, or a skip over them."""

    first: int
    n: int
    message: Buffer

    @property
    def end(self) -> int:
        """Number of the row after the last."""
        return self.first + self.n


class Header(NamedTuple):
    """What stands before a message: its bytes, its rows, and the CRC over both."""

    length: int
    first: int
    n: int
    crc: int


def frame_header(piece: Piece) -> bytes:
    """The header of a message; the message follows it.

    Examples
    --------
    >>> header = read_header(frame_header(Piece(7, 2, b"rows")))
    >>> header.first, header.n, header.length, is_whole(header, b"rows"), is_whole(header, b"row?")
    (7, 2, 4, True, False)
    """
    crc = _crc(len(piece.message), piece.first, piece.n, piece.message)
    return _HEADER.pack(_MAGIC, len(piece.message), piece.first, piece.n, crc)


def read_header(found: bytes) -> Header | None:
    """The header that these bytes are; None if they are none."""
    if len(found) != HEADER_BYTES:
        return None
    magic, *fields = _HEADER.unpack(found)
    header = Header(*fields)
    # What is torn may claim any length: nothing is read for more than a message can have.
    return header if magic == _MAGIC and header.length <= MAX_MESSAGE_BYTES else None


def is_whole(header: Header, message: Buffer) -> bool:
    """Whether the message is the one that the header was made for."""
    if len(message) != header.length or header.n < 1:
        return False
    return _crc(header.length, header.first, header.n, message) == header.crc


def _crc(length: int, first: int, n: int, message: Buffer) -> int:
    return crc32(message, crc32(_HEADER.pack(_MAGIC, length, first, n, 0)))
