"""Opening a journal: which segments are whole, where the entries end, and whether any is missing.

The segments are walked from the oldest. The entries end with the first that is not there whole;
what stands behind it was never reported as kept, and goes. But if anything behind it says that it
*was* synced, then the disk has lost what it had promised to keep: that is said, and nothing is
touched.
"""

from __future__ import annotations

from h5daq.errors import FileDamaged
from h5daq.flow.entries import Entry, find_witness, read_head, scan
from h5daq.storage.segment_files import SegmentFiles
from h5daq.storage.segments import Block, Segment, failure

__all__ = ["load_segments"]

# A block that is read back from the file; small enough to be read in one go.
_BLOCK_BYTES = 1 << 20


def load_segments(files: SegmentFiles) -> list[Segment]:
    """The segments of a journal, oldest first, with nothing behind the last entry.

    Raises
    ------
    FileDamaged
        If an entry that was synced is missing or changed; names segment and offset.
    StorageError
        If a file can't be read, or cut.
    """
    kept: list[Segment] = []
    try:
        numbers = files.numbers()
        rest = _keep(files, numbers, kept)
        _check_rest(files, kept, numbers, rest)
        _tidy(files, kept, rest)
    except OSError:
        for segment in kept:
            segment.close()
        raise
    return kept


def _keep(files: SegmentFiles, numbers: list[int], kept: list[Segment]) -> list[int]:
    """Open the segments that continue each other; returns the numbers of those that don't."""
    for index, number in enumerate(numbers):
        segment, data = files.open(number)
        if segment is None:
            return numbers[index:]
        if kept and segment.head.lsn != kept[-1].last:
            segment.close()
            return numbers[index:]
        kept.append(segment)
        _map(segment, data)
        segment.origin = kept[-2].end if len(kept) > 1 else 0
    return []


def _map(segment: Segment, data: bytes) -> None:
    """Put the entries of a segment on its map."""
    head = segment.head
    entries: list[Entry] = []
    for entry in scan(data, head.lsn + 1, head.salt, head.end, str(segment.path)):
        entries.append(entry)
        if entry.end - segment.size >= _BLOCK_BYTES:
            _add(segment, entries)
    if entries:
        _add(segment, entries)


def _add(segment: Segment, entries: list[Entry]) -> None:
    first, last, end = entries[0].lsn, entries[-1].lsn, entries[-1].end
    segment.blocks.append(Block(first, last, segment.size, end - segment.size))
    segment.size = end
    entries.clear()


def _check_rest(
    files: SegmentFiles, kept: list[Segment], numbers: list[int], rest: list[int]
) -> None:
    """Make sure that nothing in the segments that will go says that an entry was synced."""
    if rest and not kept and numbers[0] > 1:
        # An older segment goes only when the head of the next one is on the medium.
        raise FileDamaged(_damage(files, numbers[0], 0, "its head is not readable"))
    lsn = kept[-1].last + 1 if kept else 1
    for number in rest:
        data = _bytes(files, number)
        head = read_head(data)
        known = head if head is not None and head.number == number else None
        witness = find_witness(data, lsn, None if known is None else known.salt)
        if witness is not None or (known is not None and known.synced_lsn >= lsn):
            where, offset = (kept[-1].head.number, kept[-1].size) if kept else (number, 0)
            raise FileDamaged(_damage(files, where, offset, f"entry {lsn} is missing"))


def _bytes(files: SegmentFiles, number: int) -> bytes:
    segment, data = files.open(number)
    if segment is not None:
        segment.close()
    return data


def _damage(files: SegmentFiles, number: int, offset: int, what: str) -> str:
    return (
        f"{files.path(number)}: {what} at offset {offset}, though it was on disk: the disk or "
        f"another program has changed the journal. The entries before it are whole; to go on "
        f"without the rest, move the journal's directory away"
    )


def _tidy(files: SegmentFiles, kept: list[Segment], rest: list[int]) -> None:
    """Remove what is of no use, and let nothing stand behind the last entry."""
    # The newest first: a crash in between leaves no gap.
    for number in reversed(rest):
        files.remove(number)
    try:
        if kept:
            kept[-1].cut_back(kept[-1].size, files.reserved_bytes)
            files.disk.sync(kept[-1].fd)
        files.sync_names()
    except OSError as error:
        raise failure(error, "a torn journal can't be cut", files.directory) from error
