"""HDF5's superblock: where a file says how long it is, and whether it may be opened.

Two things are needed of it. Its *end of file* is the length that counts: what lies beyond, no
state of the file refers to. And a *marked* superblock makes every HDF5 library refuse the file
while pages are being changed below it. HDF5's own flag "open for write" won't do: it exists from
version 3 on only, is not looked at when a file is opened through a file object, and invites people
to clear it. So the mark is a version number that no library knows.

The mark differs from the clean form in a single byte: there is nothing between the two.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["Superblock", "find_superblock", "is_marked", "lookup3", "marked", "parse_superblock"]

SIGNATURE = b"\x89HDF\r\n\x1a\n"
LONGEST = 512
"""Bytes to read so that any superblock is in them."""

_VERSION_AT = 8
_NO_VERSION = 0xFF
_FLAGS_AT = 11
_OPEN_FLAGS = 0x05
"""Open for write, or for SWMR writing."""


@dataclass(frozen=True, slots=True)
class Superblock:
    """A superblock as it stands in a file.

    Attributes
    ----------
    offset : int
        Where it begins (behind the user block, if there is one).
    raw : bytes
        Its bytes.
    end : int
        End of file in bytes, as HDF5 reckons it, from the file's first byte.
    open_for_write : bool
        Whether a library of HDF5 would refuse the file as being written.
    """

    offset: int
    raw: bytes
    end: int
    open_for_write: bool


def find_superblock(read: Callable[[int, int], bytes], size: int) -> Superblock | None:
    """Look for a superblock where HDF5 does: at 0, 512, 1024, 2048 …

    Parameters
    ----------
    read : callable
        ``read(offset, length)`` gives the file's bytes.
    size : int
        Length of the file in bytes.
    """
    offset = 0
    while offset + len(SIGNATURE) <= size:
        head = read(offset, LONGEST)
        if head.startswith(SIGNATURE):
            return parse_superblock(offset, head)
        offset = offset * 2 or 512
    return None


def parse_superblock(offset: int, head: bytes) -> Superblock | None:
    """Take a superblock apart; None if it is marked, torn or of an unknown version."""
    if len(head) < 48 or not head.startswith(SIGNATURE):
        return None
    version = head[_VERSION_AT]
    if version in (0, 1):
        return _parse_old(offset, head, 24 + 4 * version)
    if version in (2, 3):
        return _parse_new(offset, head)
    return None


def _parse_old(offset: int, head: bytes, start: int) -> Superblock | None:
    width = head[13]
    length = start + 6 * width + 24
    if width not in (2, 4, 8) or len(head) < length:
        return None
    end = _end(offset, head, start, width)
    return Superblock(offset, head[:length], end, open_for_write=False)


def _parse_new(offset: int, head: bytes) -> Superblock | None:
    width = head[9]
    length = 12 + 4 * width + 4
    if width not in (2, 4, 8) or lookup3(head[: length - 4]) != _number(head, length - 4, 4):
        return None
    flags = head[_FLAGS_AT] if head[_VERSION_AT] == 3 else 0
    end = _end(offset, head, 12, width)
    return Superblock(offset, head[:length], end, open_for_write=bool(flags & _OPEN_FLAGS))


def _end(offset: int, head: bytes, start: int, width: int) -> int:
    """The third address is the end of file. It moves along when a user block was put in front."""
    base = _number(head, start, width)
    return _number(head, start + 2 * width, width) - base + offset


def _number(data: bytes, offset: int, width: int) -> int:
    return int.from_bytes(data[offset : offset + width], "little")


def marked(raw: bytes) -> bytes:
    """The same superblock such that no HDF5 library opens the file."""
    return raw[:_VERSION_AT] + bytes([_NO_VERSION]) + raw[_VERSION_AT + 1 :]


def is_marked(head: bytes) -> bool:
    """Whether `head`, the bytes from a superblock on, begins with a `marked` one."""
    if not head.startswith(SIGNATURE) or head[_VERSION_AT : _VERSION_AT + 1] != bytes(
        [_NO_VERSION]
    ):
        return False
    unmarked = (head[:_VERSION_AT] + bytes([n]) + head[_VERSION_AT + 1 :] for n in range(4))
    return any(parse_superblock(0, each) is not None for each in unmarked)


def lookup3(data: bytes) -> int:
    """Bob Jenkins' hash, HDF5's checksum of metadata."""
    a = b = c = (0xDEADBEEF + len(data)) & _MASK
    rest = memoryview(data)
    while len(rest) > 12:
        a, b, c = _mix(*_add(a, b, c, rest[:12]))
        rest = rest[12:]
    if not rest:
        return c
    return _final(*_add(a, b, c, bytes(rest).ljust(12, b"\0")))


_MASK = 0xFFFFFFFF


def _add(a: int, b: int, c: int, block: bytes | memoryview) -> tuple[int, int, int]:
    words = [int.from_bytes(block[i : i + 4], "little") for i in (0, 4, 8)]
    return (a + words[0]) & _MASK, (b + words[1]) & _MASK, (c + words[2]) & _MASK


def _rotate(value: int, bits: int) -> int:
    return ((value << bits) | (value >> (32 - bits))) & _MASK


def _mix(a: int, b: int, c: int) -> tuple[int, int, int]:
    for bits in (4, 6, 8, 16, 19, 4):
        a = ((a - c) & _MASK) ^ _rotate(c, bits)
        c = (c + b) & _MASK
        a, b, c = b, c, a
    return a, b, c


def _final(a: int, b: int, c: int) -> int:
    for bits in (14, 11, 25, 16, 4, 14, 24):
        c = ((c ^ b) - _rotate(b, bits)) & _MASK
        a, b, c = b, c, a
    return b
