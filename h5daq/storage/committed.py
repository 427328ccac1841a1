"""A file and its redo log: what is committed, what is on disk, and how the one becomes the other.

The *length on disk* belongs to the state that any program sees in the file; the *committed
length* to the newest state that is safe. They differ while a record waits to be applied, because
somebody holds the file open. Below the larger of the two (the *barrier*) no byte of the file
changes but by applying a record.

The file is locked shared for as long as it is open here, and exclusively while a record is
applied. A second process of ours meets the lock of the log.
"""

from __future__ import annotations

import errno
import zlib
from contextlib import suppress
from pathlib import Path

from h5daq.errors import FileDamaged, StorageError
from h5daq.storage.apply import (
    Standing,
    apply_record,
    checksum_before,
    rewrite_pages,
    standing,
)
from h5daq.storage.disk import Disk
from h5daq.storage.ondisk import OnDisk
from h5daq.storage.overlay import PAGE, Overlay
from h5daq.storage.redo import RedoLog, redo_path
from h5daq.storage.redo_files import adopt_orphan, open_log
from h5daq.storage.redo_record import Entry, Record
from h5daq.storage.superblock import Superblock

__all__ = ["CommittedFile"]


class CommittedFile:
    """An existing HDF5 file, locked, recovered, ready for transactions.

    Parameters
    ----------
    on_disk : OnDisk
        The file; closed here.
    log : RedoLog
        Its log; closed here.

    Raises
    ------
    FileBusy
        If it is marked as open for writing.
    FileDamaged
        If it was cut, or changed while a record waited.
    """

    def __init__(self, on_disk: OnDisk, log: RedoLog) -> None:
        self.on_disk, self.log = on_disk, log
        self.failed = ""
        self.found: Standing | None = None
        self._half_applied = self._unretired = self._foreign = False
        self._pending = log.load()
        if self._pending is None:
            on_disk.inspect()
            self.length = on_disk.length
        else:
            self._take_up(self._pending)

    @classmethod
    def open(cls, disk: Disk, path: Path, *, durable: bool) -> CommittedFile:
        """Open and lock a file that exists.

        Raises
        ------
        FileBusy
            Also if a foreign program writes it, or another process of ours has it.
        """
        on_disk = OnDisk(disk, path, disk.open(path), durable=durable)
        try:
            adopt_orphan(disk, path, on_disk.inode)
            return cls._open_with_log(on_disk, open_log(disk, path, durable=durable))
        except BaseException:
            on_disk.close()
            raise

    @classmethod
    def _open_with_log(cls, on_disk: OnDisk, log: RedoLog) -> CommittedFile:
        try:
            return cls(on_disk, log)
        except BaseException:
            if log.empty:
                log.remove()
            else:
                log.close()
            raise

    @property
    def path(self) -> Path:
        """The file's name."""
        return self.on_disk.path

    @property
    def pending(self) -> bool:
        """Whether a committed record waits to be applied."""
        return self._pending is not None

    @property
    def pending_bytes(self) -> int:
        """Bytes of the pages that wait."""
        return PAGE * len(self._pending.pages) if self._pending else 0

    @property
    def barrier(self) -> int:
        """Below it, the file on disk must stay as it is."""
        return max(self.on_disk.length, self.length)

    def overlay(self, limit: int) -> Overlay:
        """An overlay over the committed state, which holds `limit` bytes in memory."""
        slots = {page: entry.slot for page, entry in self._entries().items()}
        return Overlay(self.on_disk.page, self.log, slots, limit)

    def prepare(self) -> None:
        """Get ready for a transaction: nothing half applied, nothing left of an aborted one.

        Raises
        ------
        FileBusy, FileDamaged
            If somebody else has the file, or had it.
        StorageError
            If the disk failed in a way that only opening the file anew can clear up.
        """
        if self.failed:
            raise StorageError(errno.EIO, f"{self.failed}; open it anew", str(self.path))
        self.on_disk.share()
        if self._half_applied:
            self.apply(force=True)
        self._verify()
        self.cut()

    def _verify(self) -> None:
        """Make sure that nobody else changed the file; from then on it is not touched any more."""
        try:
            self.on_disk.verify(self.barrier)
        except FileDamaged as error:
            self._foreign = True
            self.fail(error.strerror or "was damaged")
            raise

    def cut(self) -> None:
        """Drop what an aborted transaction left beyond the committed states."""
        if not self.failed:
            self.on_disk.cut(self.barrier)

    def fail(self, why: str) -> None:
        """Refuse everything from now on: what is true only the disk can tell, read again."""
        self.failed = why

    def commit(self, overlay: Overlay, end: int) -> int:
        """Write down the changes in `overlay` for good; returns the number of pages.

        Parameters
        ----------
        overlay : Overlay
            The pages of the transaction.
        end : int
            Length of the file as HDF5 left it, in bytes.
        """
        superblock = self.on_disk.find_superblock(overlay, end)
        if superblock.open_for_write:
            raise self.on_disk.damaged("was not closed by HDF5 at the end of the transaction")
        self._cut_ahead(max(superblock.end, self.barrier))
        pages = self._entries()
        changed = self._log_pages(overlay, superblock.end, pages)
        if not changed and superblock.end == self.length:
            self.cut()
            return 0
        # What is committed to a file that is gone would be lost.
        self._verify()
        self._sync_data(superblock.end)
        self._seal(superblock, {p: e for p, e in pages.items() if p * PAGE < superblock.end})
        return changed

    def apply(self, *, force: bool = False) -> bool:
        """Bring the pending record into the file; False while somebody holds the file open.

        Parameters
        ----------
        force : bool
            Apply it in spite of readers. New ones are refused meanwhile, those inside are not
            protected.
        """
        if self._pending is None:
            return True
        alone = self.on_disk.lock_alone()
        try:
            if not alone:
                self.on_disk.share()
            if alone or force:
                self._apply(self._pending)
            return alone or force
        finally:
            if alone:
                self.on_disk.share()

    def readers_gone(self) -> bool:
        """Whether nobody else has the file open at this moment."""
        alone = self.on_disk.lock_alone()
        self.on_disk.share()
        return alone

    def rename(self, new: Path) -> None:
        """Move file and log to a new name; recovery finds the log also after a crash between."""
        disk, old = self.on_disk.disk, self.path
        self._verify()
        disk.publish(old, new)
        self.on_disk.path = new
        self.on_disk.sync_name()
        disk.rename(redo_path(old), redo_path(new))
        self.log.path = redo_path(new)
        self.on_disk.sync_name()

    def close(self) -> None:
        """Let go of the file. A log that holds nothing any more goes; else it stays beside."""
        try:
            if not self.pending and not self.failed:
                self.cut()
                self._drop_log()
            elif self._foreign and not self.pending:
                self._leave()
        finally:
            self.log.close()
            self.on_disk.close()

    # -- inside -----------------------------------------------------------------------------

    def _take_up(self, record: Record) -> None:
        """Go on from what a process before us left."""
        self.found = standing(self.on_disk.disk, self.on_disk.fd, self.log, record)
        self.length = record.new_length
        self.on_disk.is_old(record)
        if self.found is Standing.FOREIGN:
            text = f"was changed while {self.log.path.name} held a change of it that is not in yet"
            raise self.on_disk.damaged(f"{text}; move that away to keep the file as it is")
        if self.found is Standing.AFTER:
            # It may be only in the cache: a sync before the crash can have failed.
            rewrite_pages(self.on_disk.disk, self.on_disk.fd, self.log, record)
            self._applied(record)
        elif self.found is Standing.BETWEEN:
            self._half_applied = True
            self.apply(force=True)

    def _entries(self) -> dict[int, Entry]:
        return dict(self._pending.pages) if self._pending else {}

    def _log_pages(self, overlay: Overlay, end: int, pages: dict[int, Entry]) -> int:
        """Write the changed pages into the log and enter them in `pages`."""
        changed = 0
        for page, image in overlay.changes(end):
            slot = overlay.slot_of(page)
            place = self.log.write_page(image) if slot is None else slot
            before = checksum_before(self.on_disk.disk, self.on_disk.fd, page, self.on_disk.length)
            pages[page] = Entry(place, zlib.crc32(image), before)
            changed += 1
        return changed

    def _cut_ahead(self, end: int) -> None:
        """Give back what the file was made longer by, ahead of writes: the log may need it."""
        if self.on_disk.disk.size(self.on_disk.fd) > end:
            self._verify()
            self.on_disk.cut(end)

    def _sync_data(self, end: int) -> None:
        """New data is down before any record refers to it; so is the last record, applied."""
        try:
            self.on_disk.sync(end)
        except OSError:
            self.fail("the disk failed to keep what was written")
            raise
        if self._unretired:
            self.log.retire()
            self._unretired = False

    def _seal(self, superblock: Superblock, pages: dict[int, Entry]) -> None:
        old = self.on_disk.superblock
        record = Record(
            inode=self.on_disk.inode,
            old_length=self.on_disk.length,
            new_length=superblock.end,
            superblock_at=old.offset,
            old_superblock=old.raw,
            new_superblock=superblock.raw,
            pages=pages,
        )
        prepared = self.log.prepare(record)
        try:
            self._pending = self.log.commit(prepared)
        finally:
            if self.log.uncertain:
                # Whether it is committed, the log will tell when it is read again.
                self.fail("the redo log failed to keep what was written")
        self.length = superblock.end

    def _apply(self, record: Record) -> None:
        if not self._half_applied:
            # With the lock in hand, and not before, nobody can change it any more.
            self._verify()
        self._half_applied = True
        disk, fd = self.on_disk.disk, self.on_disk.fd
        apply_record(disk, fd, self.log, record, durable=self.on_disk.durable)
        self._applied(record)

    def _applied(self, record: Record) -> None:
        self._half_applied = False
        self._unretired = True
        self._pending = None
        self.on_disk.is_new(record)

    def _leave(self) -> None:
        """Take nothing but the log away from a file that is another program's now."""
        with suppress(OSError):
            self.on_disk.disk.sync(self.on_disk.fd)
            self.on_disk.disk.unlink(self.log.path)

    def _drop_log(self) -> None:
        if self._unretired:
            self._sync_data(self.length)
        self.on_disk.disk.unlink(self.log.path)
        self.on_disk.sync_name()
