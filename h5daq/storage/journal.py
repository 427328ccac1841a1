"""The journal: what has come in is written down and synced before anybody is told that it is kept.

One thread appends, one syncs, one reads and releases, all at once. Small entries are gathered in
memory and reach the file with the next sync, large ones go there at once, uncopied. A sync is one
``fdatasync`` for all that was appended before it; an entry is safe from then on, and not earlier.

Segments are begun with a snapshot of what all entries before them add up to, so the oldest can go
as soon as the files have what it holds: its file is kept and used again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Literal

from h5daq.errors import JournalFull, StorageError
from h5daq.flow.entries import Entry, frame_bytes, frame_header, padding
from h5daq.storage.memory_journal import MemoryJournal
from h5daq.storage.messages import Message, parts_of
from h5daq.storage.segment_disk import Part, SegmentDisk
from h5daq.storage.segment_files import SegmentFiles
from h5daq.storage.segment_loading import load_segments
from h5daq.storage.segment_writer import SegmentWriter
from h5daq.storage.segments import Frame, Segment
from h5daq.storage.shelf import Shelf

__all__ = ["Journal", "MemoryJournal"]

# Entries below it are copied and written together; above it a copy, in memory that is new to the
# process, costs more than a write.
_SMALL_BYTES = 32 << 10
_GATHER_BYTES = 1 << 20


class Journal:
    """A journal on disk. Made by `Journal.open`."""

    def __init__(
        self,
        files: SegmentFiles,
        durability: Literal["fsync", "os"],
        limit_bytes: int,
        cache_bytes: int,
        snapshot: Callable[[], bytes | None] | None,
    ) -> None:
        self._files = files
        self._durable = durability == "fsync"
        self._limit_bytes = limit_bytes
        self._cache_bytes = cache_bytes
        self._take_snapshot = snapshot
        self._shelf = self._load()
        self._writer = SegmentWriter(files, self._shelf, self._durable)

    @classmethod
    def open(
        cls,
        directory: Path,
        *,
        durability: Literal["fsync", "os"] = "fsync",
        segment_bytes: int = 64 << 20,
        limit_bytes: int = 4 << 30,
        cache_bytes: int = 64 << 20,
        snapshot: Callable[[], bytes | None] | None = None,
        disk: SegmentDisk | None = None,
        frugal: bool = False,
    ) -> Journal:
        """Open the journal in `directory`, or begin one there. Cuts off a torn tail.

        Parameters
        ----------
        directory : Path
            Holds nothing but the journal.
        durability : {"fsync", "os"}
            ``"os"`` leaves out the sync of entries: they survive this process, not the machine.
        segment_bytes : int
            Size of a segment; one with a larger entry is longer.
        limit_bytes : int
            Most bytes that may wait for the files.
        cache_bytes : int
            Bytes of entries that are kept in memory for reading, beside those not yet written.
        snapshot : callable, optional
            Gives the state that all entries appended so far lead to. It is called by `append`
            when a segment begins, before the entry counts.
        disk : SegmentDisk, optional
            What the journal is on.
        frugal : bool
            Claim no room for what may come, and give back all that is not needed any more: for a
            recovery on a disk that is nearly full.

        Raises
        ------
        FileDamaged
            If an entry that was synced is missing or changed; names segment and offset.
        StorageError
            If the directory or a file can't be made, read or cut.
        """
        files = SegmentFiles(directory, disk or SegmentDisk(), segment_bytes, frugal=frugal)
        return cls(files, durability, limit_bytes, cache_bytes, snapshot)

    @property
    def last(self) -> int:
        """Lsn of the newest entry; one less than `oldest` when there is none."""
        return self._shelf.last

    @property
    def synced(self) -> int:
        """Lsn up to which `sync` has reached."""
        return self._shelf.synced

    @property
    def oldest(self) -> int:
        """Lsn of the first entry that can be read; the first of all has 1."""
        segment = self._shelf.oldest
        return 1 if segment is None else segment.head.lsn + 1

    @property
    def snapshot(self) -> bytes | None:
        """The state that the entries before `oldest` lead to."""
        segment = self._shelf.oldest
        return None if segment is None else segment.head.snapshot or None

    @property
    def failed(self) -> bool:
        """Whether a sync has failed: nothing is taken any more until `reopen`."""
        return self._writer.failure is not None

    @property
    def waiting_bytes(self) -> int:
        """Bytes of entries, framed, that were not released."""
        return self._shelf.waiting_bytes

    # -- appending ----------------------------------------------------------------------------

    def append(self, message: Message) -> int:
        """Append one entry; it is safe when a `sync` begun later has returned.

        Parameters
        ----------
        message : bytes-like or sequence of bytes-like
            The message, in one piece or several. Large pieces are kept, not copied: they must not
            change afterwards.

        Returns
        -------
        int
            The entry's lsn.

        Raises
        ------
        JournalFull
            If too much waits for the files. Nothing was appended.
        StorageError
            If the disk is full or fails. Nothing was appended.
        """
        parts = parts_of(message)
        length = sum(map(len, parts))
        size = frame_bytes(length)
        segment = self._admit(size)
        lsn = self._shelf.last + 1
        promised, salt = self._writer.promised, segment.head.salt

        def frame() -> list[Part]:
            return [frame_header(lsn, promised, parts, salt), *parts, padding(length)]

        if size > _SMALL_BYTES:
            self._writer.write_large(segment, lsn, Frame(size, tuple(parts), frame))
        else:
            self._shelf.gather(lsn, frame())
        return lsn

    def _admit(self, size: int) -> Segment:
        """The segment that takes an entry of `size` bytes; makes room for it first."""
        shelf = self._shelf
        self._writer.check()
        waiting = shelf.waiting_bytes
        if waiting and waiting + size > self._limit_bytes:
            raise JournalFull(
                f"{self._files.directory}: {waiting} bytes wait for the files, and the limit is "
                f"{self._limit_bytes}: the files are too slow, or can't be written"
            )
        if shelf.gathered_bytes >= _GATHER_BYTES:
            self._writer.write()
        segment = shelf.newest
        if segment is None:
            return self._begin_segment(1)
        used = shelf.end - segment.origin
        if used and segment.head.end + used + size > self._files.segment_bytes:
            return self._begin_segment(segment.head.number + 1)
        return segment

    def _begin_segment(self, number: int) -> Segment:
        snapshot = self._take_snapshot() if self._take_snapshot is not None else None
        segment = self._files.begin(
            number, self._shelf.last, self._writer.promised, snapshot or b""
        )
        self._shelf.begin(segment)
        return segment

    def sync(self) -> int:
        """Make everything safe that was appended before the call; any thread may call it.

        Returns
        -------
        int
            The lsn up to which entries are safe.

        Raises
        ------
        StorageError
            If entries can't be written: they stay in memory, the next sync tries again. Or if the
            sync itself failed: then nothing since the last good one is safe, and the journal takes
            nothing more until `reopen`.
        """
        return self._writer.sync()

    # -- reading and releasing ----------------------------------------------------------------

    def entries(self, after: int, upto: int) -> Iterator[Entry]:
        """Entries ``after + 1 … upto`` in order, as far as there are any.

        Their messages are views of memory that is never overwritten.

        Raises
        ------
        StorageError
            If they were released, or can't be read.
        FileDamaged
            If a segment does not hold what was written there.
        """
        upto = min(upto, self.last)
        while after < upto:
            found = self._shelf.find(after + 1)
            if found is None:
                raise StorageError(f"{self._files.directory}: entry {after + 1} was released")
            segment, block = found
            for entry in segment.read(block):
                if after < entry.lsn <= upto:
                    yield entry
            after = block.last

    def release(self, lsn: int) -> None:
        """Say that the files hold everything up to `lsn`; counts as far as that is synced.

        Raises
        ------
        StorageError
            If a segment that is no longer needed can't be recycled; the next call tries again.
        """
        self._shelf.release(lsn)
        while (segment := self._shelf.unneeded(lsn)) is not None:
            self._files.retire(segment)
            self._shelf.drop_oldest()
            # One by one: a power cut that undid only the first of two would leave a gap.
            self._files.settle()
        self._files.settle()

    # -- beginning and ending -----------------------------------------------------------------

    def reopen(self) -> None:
        """Begin again with what is really on the disk, after a failure.

        No other thread may use the journal meanwhile. Entries behind `synced` may be gone.
        """
        self._shut()
        self._shelf = self._load()
        self._writer = SegmentWriter(self._files, self._shelf, self._durable)

    def close(self) -> None:
        """Sync, give unused space back, and let go of the files.

        Raises
        ------
        StorageError
            If the sync fails; the files are let go of all the same.
        """
        try:
            if self._writer.failure is None and self._shelf.newest is not None:
                self.sync()
                self._shrink(self._shelf.newest)
        finally:
            self._shut()

    def _load(self) -> Shelf:
        segments = load_segments(self._files)
        self._files.find_spares()
        if not segments:
            # Numbers begin anew: a spare that holds later ones must not come into play.
            self._files.drop_spares()
        return Shelf(segments, self._cache_bytes)

    def _shrink(self, newest: Segment) -> None:
        self._files.drop_spares()
        with suppress(OSError):
            # Space that can't be given back is no harm to what the journal holds.
            self._files.disk.truncate(newest.fd, newest.size)

    def _shut(self) -> None:
        self._files.close()
        for segment in self._shelf.take_all():
            segment.close()
