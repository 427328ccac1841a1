"""The files of a spool: segments of frames, written at one end, read and deleted at the other.

A segment is named after its first row and has no hole, so the names tell the order, whenever it
was written. What ends a segment is whatever is not a whole frame (`h5daq.flow.spooling`). It is
deleted when all of it is committed; reading has its own place in the same files.
"""

from __future__ import annotations

import contextlib
import logging
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from h5daq.flow.packing import Buffer
from h5daq.flow.spooling import HEADER_BYTES, Piece, frame_header, is_whole, read_header

__all__ = ["Segments"]

log = logging.getLogger("h5daq.worker")

IDLE_BYTES = 1 << 20
"""A segment in use that is wholly committed is deleted from this size on, not for each batch."""


@dataclass(slots=True)
class _Segment:
    path: Path
    first: int
    end: int | None  # unknown until a segment that an earlier worker left is read through
    size: int = 0
    told_end: int | None = None  # by the headers of its messages, which may yet prove torn


@dataclass(slots=True)
class _Cursor:
    """Where reading goes on."""

    segment: _Segment | None = None
    offset: int = 0
    file: BinaryIO | None = field(default=None, repr=False)

    def move(self, segment: _Segment | None, offset: int = 0) -> None:
        if self.file is not None:
            self.file.close()
        self.segment, self.offset, self.file = segment, offset, None

    def take(self, n: int) -> bytes:
        assert self.segment is not None
        if self.file is None:
            self.file = self.segment.path.open("rb", buffering=0)
        self.file.seek(self.offset)
        found = self.file.read(n) or b""
        self.offset += len(found)
        return found


class Segments:
    """The segments of one spool.

    Parameters
    ----------
    directory : Path
        Where they are.
    found : iterable of Path
        Those that an earlier worker left.

    Attributes
    ----------
    size : int
        Bytes of all of them.
    """

    def __init__(self, directory: Path, found: Iterable[Path] = ()) -> None:
        self._directory = directory
        self._segments = deque(
            _Segment(path, int(path.stem), None, path.stat().st_size) for path in sorted(found)
        )
        self.size = sum(segment.size for segment in self._segments)
        self._active: BinaryIO | None = None  # appends to the last segment
        self._cursor = _Cursor()

    @property
    def first(self) -> int:
        """Number of the first row on disk; 0 without any."""
        return self._segments[0].first if self._segments else 0

    def rows(self, following: int) -> int:
        """Rows from number `following` on that are on disk."""
        ends = [self._end_of(segment) for segment in self._segments]
        spans = zip(self._segments, ends, strict=True)
        return sum(max(0, end - max(segment.first, following)) for segment, end in spans)

    def _end_of(self, segment: _Segment) -> int:
        """The row behind its last; of what an earlier worker left, as far as its headers tell."""
        if segment.end is not None:
            return segment.end
        later = self._after(segment.first)
        if later is not None:
            return later.first
        if segment.told_end is None:
            segment.told_end = _told_end(segment)
        return segment.told_end

    def covers(self, piece: Piece) -> bool:
        """Whether the message is on disk."""
        return any(s.first <= piece.first and piece.end <= (s.end or 0) for s in self._segments)

    def close(self) -> None:
        """Let go of all files."""
        self._cursor.move(None)
        self._close_active()

    # -- writing -------------------------------------------------------------------------------

    def append(self, piece: Piece, segment_bytes: int) -> None:
        """Write a message, to a new segment if the last one has reached `segment_bytes`.

        Raises
        ------
        OSError
            If it can't be written; nothing of it is left then.
        """
        try:
            segment = self._segment_for(piece, segment_bytes)
            header = frame_header(piece)
            for part in (header, piece.message):
                _write_all(self._active, part)
        except OSError:
            self._cut()
            raise
        segment.size += len(header) + len(piece.message)
        self.size += len(header) + len(piece.message)
        segment.end = piece.end

    def _segment_for(self, piece: Piece, segment_bytes: int) -> _Segment:
        if self._active is not None:
            last = self._segments[-1]
            if last.end == piece.first and last.size < segment_bytes:
                return last
        self._close_active()
        path = self._directory / f"{piece.first:020d}.rows"
        self._active = path.open("wb", buffering=0)
        self._segments.append(_Segment(path, piece.first, piece.first))
        return self._segments[-1]

    def _cut(self) -> None:
        """Cut off what a failed write may have left; the next one begins a new segment."""
        if self._active is None:
            return
        segment = self._segments[-1]
        with contextlib.suppress(OSError):
            self._active.truncate(segment.size)
        self._close_active()
        if not segment.size:
            self._drop(self._segments.pop())

    def _close_active(self) -> None:
        active, self._active = self._active, None
        if active is not None:
            with contextlib.suppress(OSError):
                active.close()

    # -- reading -------------------------------------------------------------------------------

    def read(self) -> Piece | None:
        """The oldest message that was not read; None if there is no more."""
        while (segment := self._cursor.segment or self._after(-1)) is not None:
            if self._cursor.segment is None:
                self._cursor.move(segment)
            start = self._cursor.offset
            piece = self._read_here()
            if piece is not None:
                return piece
            following = self._after(segment.first)
            if following is None:
                # More may yet be appended here.
                self._cursor.offset = start
                return None
            self._cursor.move(following)
        return None

    def pass_over(self) -> None:
        """Take all that was appended so far as read."""
        if self._segments:
            self._cursor.move(self._segments[-1], self._segments[-1].size)

    def _read_here(self) -> Piece | None:
        """The next message of the segment under the cursor; None at its end, whole or torn."""
        assert self._cursor.segment is not None
        try:
            header = read_header(self._cursor.take(HEADER_BYTES))
            message = b"" if header is None else self._cursor.take(header.length)
        except OSError as error:
            log.error("%s can't be read: %s", self._cursor.segment.path, error)
            return None
        if header is None or not is_whole(header, message):
            return None
        return Piece(header.first, header.n, message)

    def _after(self, first: int) -> _Segment | None:
        return next((s for s in self._segments if s.first > first), None)

    # -- deleting ------------------------------------------------------------------------------

    def release(self, following: int) -> None:
        """Delete the segments that end at or before row `following`."""
        while self._segments and self._is_done(self._segments[0], following):
            self._drop(self._segments.popleft())

    def _is_done(self, segment: _Segment, following: int) -> bool:
        end = segment.end
        if end is None:
            # It may be dropped unread only if it is known where it ends: before the next one.
            later = self._after(segment.first)
            end = None if later is None else later.first
        if end is None or end > following:
            return False
        in_use = self._active is not None and segment is self._segments[-1]
        return not in_use or segment.size >= IDLE_BYTES

    def _drop(self, segment: _Segment) -> None:
        if self._cursor.segment is segment:
            self._cursor.move(self._after(segment.first))
        if not self._segments:
            self._close_active()
        self.size -= segment.size
        with contextlib.suppress(OSError):
            segment.path.unlink()


def _told_end(segment: _Segment) -> int:
    """Walk from header to header; the messages themselves are not read."""
    end, offset = segment.first, 0
    with contextlib.suppress(OSError), segment.path.open("rb") as file:
        while (header := read_header(file.read(HEADER_BYTES))) is not None:
            offset += HEADER_BYTES + header.length
            if offset > segment.size:
                break
            end = header.first + header.n
            file.seek(offset)
    return end


def _write_all(file: BinaryIO | None, data: Buffer) -> None:
    assert file is not None
    view = memoryview(data)
    while view:
        view = view[file.write(view) :]
