"""The disk, as the journal sees it: what transactions need, and five calls for long, flat files.

Like `Disk` it is the one place where files are touched, so a test can put a disk in its place that
is full, that fails, or that loses what was not synced. All calls raise plain ``OSError``.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from h5daq.storage.disk import Disk
from h5daq.storage.links import names_of

__all__ = ["Part", "SegmentDisk"]

Part = bytes | bytearray | memoryview
"""A piece of what is written; a memoryview has one dimension, of bytes."""

# POSIX promises 16, Linux and macOS give 1,024.
_MOST_PARTS = 1024


class SegmentDisk(Disk):
    """The operating system's files, with gathered writes and reserved space."""

    def write_parts(self, fd: int, offset: int, parts: Sequence[Part]) -> None:
        """Write `parts` one after the other at `offset`, all of them."""
        left = [memoryview(part) for part in parts if len(part)]
        while left:
            count = os.pwritev(fd, left[:_MOST_PARTS], offset)
            offset += count
            left = _behind(left, count)

    def read(self, fd: int, offset: int, length: int) -> bytes:
        """Up to `length` bytes at `offset`; fewer where the file ends."""
        pieces = [os.pread(fd, length, offset)]
        while pieces[-1] and (missing := length - sum(map(len, pieces))) > 0:
            pieces.append(os.pread(fd, missing, offset + length - missing))
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def reserve(self, fd: int, length: int) -> None:
        """Claim the space of a file that grows to `length`, so that writing can't lack it."""
        if sys.platform == "linux":
            os.posix_fallocate(fd, 0, length)

    def vanished(self, fd: int) -> bool:
        """Whether the file was removed: it can be written and synced, and never be found again."""
        return names_of(fd) == 0

    def forget_cached(self, fd: int) -> None:
        """Let the next read come from the medium, not from memory.

        After a failed sync the kernel may show pages that never got there.
        """
        if sys.platform == "linux":
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)


def _behind(parts: list[memoryview], count: int) -> list[memoryview]:
    """What is left of `parts` when `count` bytes of them are written."""
    done = 0
    while done < len(parts) and count >= len(parts[done]):
        count -= len(parts[done])
        done += 1
    rest = parts[done:]
    return [rest[0][count:], *rest[1:]] if count else rest
