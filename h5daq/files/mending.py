"""The superblock of a file that was left open, as it should have been left.

A program that dies while it writes leaves its mark in the superblock ("open for writing"), and an
end of file that is not yet, or no longer, true: HDF5 then refuses the file though most of it is
whole. The mended superblock says that nobody has it open, and covers all that is in the file or
should be. Layout and checksum: HDF5 File Format Specification, version 3.0, section II.A.
"""

from __future__ import annotations

import errno
import io
import os
from dataclasses import dataclass
from pathlib import Path

from h5daq.errors import FileDamaged
from h5daq.storage.superblock import LONGEST, SIGNATURE, lookup3

__all__ = ["Mend", "MendedFile", "mend"]

_VERSION_AT, _FLAGS_AT = 8, 11
_UNDEFINED = 0xFF
_MOST_CUT = 1 << 44
"""A file that lacks more was not cut: its superblock makes no sense."""


@dataclass(frozen=True, slots=True)
class Mend:
    """A superblock for a file.

    Attributes
    ----------
    offset : int
        Where it goes.
    raw : bytes
        What stands there then.
    length : int
        Bytes that the file has by it. Those that a cut has taken are not there to be read.
    notes : tuple of str
        What was changed, for people.
    """

    offset: int
    raw: bytes
    length: int
    notes: tuple[str, ...] = ()


def mend(path: Path, *, without_extension: bool = False) -> Mend:
    """The superblock that a file should have.

    Parameters
    ----------
    path : Path
        The file; only read.
    without_extension : bool
        Let it have no superblock extension: only what makes freed space known is lost with it.

    Raises
    ------
    FileDamaged
        If there is none to begin with.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        offset, head = 0, file.read(LONGEST)
        while not head.startswith(SIGNATURE):
            offset = offset * 2 or 512
            if offset >= size:
                raise FileDamaged(f"{path} has no superblock of HDF5: it is no HDF5 file, or empty")
            file.seek(offset)
            head = file.read(LONGEST)
    version = head[_VERSION_AT]
    try:
        if version in (0, 1):
            return _mend_old(offset, head, size, 24 + 4 * version)
        if version in (2, 3):
            return _mend_new(offset, head, size, without_extension)
    except FileDamaged as error:
        raise FileDamaged(f"{path}: {error}") from error
    raise FileDamaged(f"{path}: its superblock is of version {version}, which is not known")


def _mend_old(offset: int, head: bytes, size: int, start: int) -> Mend:
    width = _width(head[13])
    raw = bytearray(head[: start + 6 * width + 24])
    length, notes = _mend_end(raw, start, width, size, offset)
    return Mend(offset, bytes(raw), length, tuple(notes))


def _mend_new(offset: int, head: bytes, size: int, without_extension: bool) -> Mend:
    width = _width(head[9])
    raw = bytearray(head[: 12 + 4 * width + 4])
    length, notes = _mend_end(raw, 12, width, size, offset)
    if lookup3(head[: len(raw) - 4]) != int.from_bytes(raw[-4:], "little"):
        notes.append("the superblock's checksum was wrong")
    if raw[_FLAGS_AT]:
        notes.append("the mark of a program that writes it was cleared")
        raw[_FLAGS_AT] = 0
    if without_extension:
        notes.append("the superblock's extension could not be read and was left out")
        raw[12 + width : 12 + 2 * width] = bytes([_UNDEFINED]) * width
    raw[-4:] = lookup3(bytes(raw[:-4])).to_bytes(4, "little")
    return Mend(offset, bytes(raw), length, tuple(notes))


def _width(found: int) -> int:
    if found not in (2, 4, 8):
        raise FileDamaged(f"its superblock is damaged: addresses of {found} bytes")
    return found


def _mend_end(
    raw: bytearray, start: int, width: int, size: int, offset: int
) -> tuple[int, list[str]]:
    """The third of the addresses is the end of file; see `h5daq.storage.superblock`."""
    base = int.from_bytes(raw[start : start + width], "little")
    place = slice(start + 2 * width, start + 3 * width)
    said, real = int.from_bytes(raw[place], "little"), size - offset + base
    if said == real:
        return size, []
    if real < said < real + _MOST_CUT:
        # What refers to the part that was cut must still be found to be in the file.
        return said - base + offset, [f"{said - real} bytes were cut off its end"]
    raw[place] = real.to_bytes(width, "little")
    return size, [f"the end of file was {said} bytes by its superblock, and is {real}"]


class MendedFile(io.RawIOBase):
    """A file as it is with a mended superblock, for ``h5py.File``; opened for reading only."""

    def __init__(self, path: Path, mended: Mend) -> None:
        self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self._mend, self._position = mended, 0

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move to `offset`."""
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._mend.length}[
            whence
        ]
        self._position = start + offset
        return self._position

    def tell(self) -> int:
        """Position in bytes."""
        return self._position

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        """Fill `buffer` from the position on.

        Raises
        ------
        OSError
            For what was cut off.
        """
        view, at = memoryview(buffer).cast("B"), self._position
        found = os.pread(self._fd, len(view), at)
        if len(found) < min(len(view), self._mend.length - at):
            raise OSError(errno.EIO, "it lies in the part of the file that was cut off")
        view[: len(found)] = found
        view[len(found) :] = bytes(len(view) - len(found))
        first = max(at, self._mend.offset)
        last = min(at + len(view), self._mend.offset + len(self._mend.raw))
        if first < last:
            piece = self._mend.raw[first - self._mend.offset : last - self._mend.offset]
            view[first - at : last - at] = piece
        self._position += len(view)
        return len(view)

    def readable(self) -> bool:
        """It is there to be read."""
        return True

    def seekable(self) -> bool:
        """It has positions."""
        return True

    def close(self) -> None:
        """Let go of it."""
        if not self.closed:
            os.close(self._fd)
        super().close()
