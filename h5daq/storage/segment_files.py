"""The files of a journal: numbered segments, and spares that wait to become segments again.

A new file has to be given blocks by the file system, and each first sync of a stretch of it has to
write that down. A file that was used before has its blocks, so segments that are no longer needed
are kept as spares, up to a gigabyte; of those beyond it only the name stays.

::

    00000042.seg     segment 42
    00000017.spare   was segment 17, and will be a later one
"""

from __future__ import annotations

import secrets
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from h5daq.flow.entries import Head, frame_head, read_head
from h5daq.storage.segment_disk import SegmentDisk
from h5daq.storage.segments import Segment, failure

__all__ = ["SegmentFiles"]

_SEGMENT, _SPARE = ".seg", ".spare"
_SPARE_BYTES = 1 << 30


@dataclass(slots=True)
class _Spare:
    path: Path
    fd: int


class SegmentFiles:
    """Makes, recycles and closes the files of one journal.

    Parameters
    ----------
    directory : Path
        Where they are; made if it is not there.
    disk : SegmentDisk
        What they are on.
    segment_bytes : int
        Size that is reserved for each.
    frugal : bool
        Reserve nothing and keep no spares: the room is wanted for the files.

    Notes
    -----
    One thread may call `begin` while another calls `retire` and `settle`.
    """

    def __init__(
        self, directory: Path, disk: SegmentDisk, segment_bytes: int, *, frugal: bool = False
    ) -> None:
        self.directory = directory
        self.disk = disk
        self.segment_bytes = segment_bytes
        self.reserved_bytes = 0 if frugal else segment_bytes
        # At first, because what a killed process did to the names may not be on the medium.
        self._names_changed = True
        self._spares: deque[_Spare] = deque()
        self._retired: list[_Spare] = []
        self._most_spares = 0 if frugal else max(1, _SPARE_BYTES // segment_bytes)
        with _named("the journal's directory can't be made", directory):
            disk.make_directory(directory)
            # A process that was killed may have made it, and not have come to this.
            disk.sync_directory(directory.parent)

    def begin(self, number: int, lsn: int, synced_lsn: int, snapshot: bytes) -> Segment:
        """A segment with nothing but its head, which is written but not synced.

        Raises
        ------
        StorageError
            If there is no place for it; then nothing has changed.
        """
        salt = secrets.randbits(32)
        frame = frame_head(number, lsn, synced_lsn, salt, snapshot)
        head = Head(number, lsn, synced_lsn, salt, snapshot, len(frame))
        path = self.path(number)
        with _named("no new journal segment", path):
            fd = self._take(path)
            try:
                primed = self._prepare(fd)
                segment = self._segment(path, fd, head)
                segment.primed = primed
                segment.write(0, [frame])
            except OSError:
                self._discard(path, fd)
                raise
        segment.dirty = True
        return segment

    def retire(self, segment: Segment) -> None:
        """Take a segment whose entries are all in the files out of the journal."""
        spare = segment.path.with_suffix(_SPARE)
        with _named("a journal segment can't be recycled", segment.path):
            self.disk.rename(segment.path, spare)
        segment.released = True
        with suppress(OSError):
            # Who syncs the segment is told as well, by a descriptor of his own.
            segment.behind.finish()
        segment.large.close()
        self.disk.close(segment.behind_fd)
        self._retired.append(_Spare(spare, segment.fd))

    def settle(self) -> None:
        """Make spares of what was retired.

        Not before the new names are on the medium: a power cut would bring the old ones back, and
        with them a segment that holds something else by then.
        """
        if not self._retired:
            return
        with _named("journal segments can't be recycled", self.directory):
            self.disk.sync_directory(self.directory)
            while self._retired:
                self._keep(self._retired[-1])
                self._retired.pop()

    def _keep(self, spare: _Spare) -> None:
        if len(self._spares) < self._most_spares:
            self._spares.append(spare)
        else:
            # The descriptor stays open: a reader may be about to use it.
            self.disk.truncate(spare.fd, 0)
            self._spares.appendleft(spare)

    def sync_names(self) -> None:
        """Put on the medium which segments there are. Raises OSError."""
        if not self._names_changed:
            return
        # Cleared before: a name that is made meanwhile may have been missed.
        self._names_changed = False
        try:
            self.disk.sync_directory(self.directory)
        except OSError:
            self._names_changed = True
            raise

    def drop_spares(self) -> None:
        """Give the space of all spares back."""
        while self._spares:
            spare = self._spares.pop()
            self.disk.close(spare.fd)
            with _named("a spare journal segment can't be removed", spare.path):
                self.disk.unlink(spare.path)

    def close(self) -> None:
        """Let go of the descriptors of what is not in use."""
        for spare in [*self._spares, *self._retired]:
            self.disk.close(spare.fd)
        self._spares.clear()
        self._retired.clear()

    # -- what an earlier journal left ---------------------------------------------------------

    def numbers(self) -> list[int]:
        """Numbers of the segments in the directory, in order."""
        with _named("the journal's directory can't be read", self.directory):
            names = self.disk.names(self.directory)
        stems = [name.removesuffix(_SEGMENT) for name in names if name.endswith(_SEGMENT)]
        return sorted(int(stem) for stem in stems if stem.isascii() and stem.isdigit())

    def open(self, number: int) -> tuple[Segment | None, bytes]:
        """The segment of that number, None if its head is not right; and the file's bytes.

        What the caller reads is on the medium: not in the cache of a kernel that failed to write.
        """
        path = self.path(number)
        with _named("a journal segment can't be read", path):
            fd = self.disk.open(path)
            try:
                self.disk.sync(fd)
                self.disk.forget_cached(fd)
                data = self.disk.read(fd, 0, self.disk.size(fd))
            except OSError:
                self.disk.close(fd)
                raise
        head = read_head(data)
        if head is None or head.number != number:
            self.disk.close(fd)
            return None, data
        segment = self._segment(path, fd, head)
        segment.head_synced = True
        return segment, data

    def remove(self, number: int) -> None:
        """Remove a segment in which nothing is of use."""
        with _named("a torn journal segment can't be removed", self.path(number)):
            self.disk.unlink(self.path(number))
        self._names_changed = True

    def find_spares(self) -> None:
        """Take over the spares of an earlier journal, as many as are wanted."""
        for name in self.disk.names(self.directory):
            path = self.directory / name
            if path.suffix != _SPARE:
                continue
            with _named("a spare journal segment can't be used", path):
                if len(self._spares) < self._most_spares:
                    self._spares.append(_Spare(path, self.disk.open(path)))
                else:
                    self.disk.unlink(path)

    def path(self, number: int) -> Path:
        """Where the segment of that number is."""
        return self.directory / f"{number:08d}{_SEGMENT}"

    # -- making one ---------------------------------------------------------------------------

    def _take(self, path: Path) -> int:
        """A descriptor of a file of that name: a spare's, renamed, or a new one's."""
        fd = self._recycle(path) if self._spares else self._new(path)
        # Only now: a sync that sees it must find the new name in the directory.
        self._names_changed = True
        return fd

    def _new(self, path: Path) -> int:
        try:
            return self.disk.open(path, exclusive=True)
        except FileExistsError:
            # Of an attempt that failed, and could not be cleared away either.
            self.disk.unlink(path)
            return self.disk.open(path, exclusive=True)

    def _recycle(self, path: Path) -> int:
        spare = self._spares.pop()
        try:
            self.disk.rename(spare.path, path)
        except OSError:
            self._spares.append(spare)
            raise
        return spare.fd

    def _prepare(self, fd: int) -> int:
        """Give a file its length; how much of it was written before."""
        size = self.disk.size(fd)
        if size > self.segment_bytes:
            # It held an entry larger than a segment.
            self.disk.truncate(fd, self.segment_bytes)
        if size < self.reserved_bytes:
            self.disk.reserve(fd, self.reserved_bytes)
        return min(size, self.segment_bytes)

    def _discard(self, path: Path, fd: int) -> None:
        self.disk.close(fd)
        with suppress(OSError):
            # An unlink that fails leaves a segment without head, which the next start removes.
            self.disk.unlink(path)

    def _segment(self, path: Path, fd: int, head: Head) -> Segment:
        behind_fd = self.disk.open(path)
        behind = self.disk.write_behind(behind_fd)
        large = self.disk.large_writes(fd)
        segment = Segment(path, fd, head, self.disk, behind, behind_fd, large)
        segment.size, segment.claimed = head.end, self.reserved_bytes
        return segment


@contextmanager
def _named(what: str, path: Path) -> Iterator[None]:
    """Errors of the operating system become a `StorageError` that says what and where."""
    try:
        yield
    except OSError as error:
        raise failure(error, what, path) from error
