"""The journal on a disk that loses power, is full, or fails: what was synced stays, no more comes.

The disk is simulated. When the power goes, each 512-byte sector that was written since the file's
last sync holds any of the versions it had since then, and of the names that were made, changed
and removed since the directory's last sync any number of the first is there.
"""

from __future__ import annotations

import errno
import os
import random
import shutil
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from h5daq.errors import StorageError
from h5daq.storage.journal import Journal
from h5daq.storage.segment_disk import Part, SegmentDisk

SECTOR, PAGE = 512, 4096
SEGMENT = 16 << 10


class Inode:
    """A file: what programs see, what is on the medium, and what may be there."""

    def __init__(self, data: bytes = b"") -> None:
        self.data = bytearray(data)
        self.safe = bytes(data)
        self.versions: dict[int, list[bytes]] = defaultdict(list)

    def remember(self, begin: int, end: int) -> None:
        for sector in range(begin // SECTOR, -(-end // SECTOR)):
            self.versions[sector].append(bytes(self.data[sector * SECTOR :][:SECTOR]))

    def sync(self) -> None:
        self.safe = bytes(self.data)
        self.versions.clear()

    def after_power_loss(self, chance: random.Random) -> bytes:
        length = chance.choice([len(self.data), len(self.safe)])
        # A page is lost as a whole, kept as a whole, or torn.
        fates = [chance.choice(["lost", "kept", "torn"]) for _ in range(length // PAGE + 1)]
        image = bytearray(self.safe.ljust(length, b"\0"))
        for sector, versions in self.versions.items():
            begin = sector * SECTOR
            old = bytes(self.safe[begin : begin + SECTOR])
            fate = fates[min(begin, length) // PAGE]
            choices = {"lost": [old], "kept": versions[-1:], "torn": [old, *versions]}[fate]
            image.extend(bytes(max(0, begin - len(image))))
            image[begin : begin + SECTOR] = chance.choice(choices).ljust(SECTOR, b"\0")
        return bytes(image[:length])


class SimulatedDisk(SegmentDisk):
    """Files in memory, with room for `room` bytes, and syncs that fail when told to."""

    past_cache = False

    def __init__(self, files: dict[str, bytes] | None = None) -> None:
        self.names_now = {name: Inode(data) for name, data in (files or {}).items()}
        self.names_since = [dict(self.names_now)]
        self.open_files: dict[int, Inode] = {}
        self.room = 1 << 30
        self.bad_syncs = 0
        self.syncs = 0

    def after_power_loss(self, chance: random.Random) -> SimulatedDisk:
        names = chance.choice(self.names_since)
        return SimulatedDisk({k: inode.after_power_loss(chance) for k, inode in names.items()})

    def open(self, path: Path, *, create: bool = False, exclusive: bool = False) -> int:
        if exclusive:
            assert path.name not in self.names_now
            self.names_now[path.name] = Inode()
            self.names_since.append(dict(self.names_now))
        fd = 1_000_000 + len(self.open_files)
        self.open_files[fd] = self.names_now[path.name]
        return fd

    def close(self, fd: int) -> None:
        assert fd in self.open_files

    def size(self, fd: int) -> int:
        return len(self.open_files[fd].data)

    def read(self, fd: int, offset: int, length: int) -> bytes:
        return bytes(self.open_files[fd].data[offset : offset + length])

    def write(self, fd: int, offset: int, data: Part) -> None:
        self.write_parts(fd, offset, [data])

    def write_parts(self, fd: int, offset: int, parts: Sequence[Part]) -> None:
        inode, data = self.open_files[fd], b"".join(parts)
        fitting = data[: self.room]
        inode.data.extend(bytes(max(0, offset - len(inode.data))))
        inode.data[offset : offset + len(fitting)] = fitting
        inode.remember(offset, offset + len(fitting))
        self._take(len(data))

    def truncate(self, fd: int, length: int) -> None:
        inode = self.open_files[fd]
        before = len(inode.data)
        inode.data[:] = inode.data[:length].ljust(length, b"\0")
        inode.remember(length, max(before, length))

    def reserve(self, fd: int, length: int) -> None:
        inode = self.open_files[fd]
        if length > len(inode.data):
            self._take(0)
            self.truncate(fd, length)

    def sync(self, fd: int) -> None:
        self.syncs += 1
        if self.bad_syncs:
            self.bad_syncs -= 1
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        self.open_files[fd].sync()

    def forget_cached(self, fd: int) -> None:
        # After a failed sync the pages count as written, though they are not.
        inode = self.open_files[fd]
        inode.data[:] = inode.safe

    def vanished(self, fd: int) -> bool:
        return False

    def sync_directory(self, directory: Path) -> None:
        self.names_since = [dict(self.names_now)]

    def rename(self, old: Path, new: Path) -> None:
        self.names_now[new.name] = self.names_now.pop(old.name)
        self.names_since.append(dict(self.names_now))

    def unlink(self, path: Path) -> None:
        self.names_now.pop(path.name, None)
        self.names_since.append(dict(self.names_now))

    def names(self, directory: Path) -> list[str]:
        return sorted(self.names_now)

    def _take(self, size: int) -> None:
        if self.room <= size:
            self.room = 0
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.room -= size


class Life:
    """A journal with a memory of what it was told, through any number of crashes."""

    def __init__(self, directory: Path, chance: random.Random, durability: str) -> None:
        self.directory, self.chance, self.durability = directory, chance, durability
        self.messages: list[bytes] = []
        self.safe = 0
        self.released = 0
        self.disk = SimulatedDisk()
        self.open()

    def open(self) -> None:
        self.journal = Journal.open(
            self.directory,
            durability="os" if self.durability == "os" else "fsync",
            segment_bytes=SEGMENT,
            cache_bytes=self.chance.choice([0, 3000, 1 << 20]),
            snapshot=lambda: self.state(len(self.messages)),
            disk=self.disk,
            # As a recovery opens it, now and then.
            frugal=self.chance.choice([False, False, True]),
        )

    @staticmethod
    def state(lsn: int) -> bytes:
        # The head fills a page, so that entries may begin and end with one.
        return (b"state %d" % lsn).ljust(4096 - 40)

    def append(self, *sizes: int) -> None:
        size = self.chance.choice(sizes or [0, 5, 100, 700, 4064, 9000, 70_000])
        text = self.chance.randbytes(size)
        assert self.journal.append(text) == len(self.messages) + 1
        self.messages.append(text)

    def sync(self) -> None:
        self.safe = self.journal.sync()
        assert self.safe == len(self.messages)

    def release(self) -> None:
        self.released = self.chance.randint(self.released, self.safe)
        self.journal.release(self.released)

    def power_loss(self) -> None:
        self.disk = self.disk.after_power_loss(self.chance)
        self.check()

    def kill(self) -> None:
        self.check()

    def close(self) -> None:
        self.journal.close()
        self.safe = len(self.messages)
        self.kill()

    def check(self) -> None:
        """Nothing that was safe is gone, nothing is there that was not appended."""
        self.open()
        journal = self.journal
        assert self.safe <= journal.last <= len(self.messages)
        assert journal.oldest <= self.released + 1
        before = journal.oldest - 1
        got = [bytes(entry.message) for entry in journal.entries(before, journal.last)]
        assert got == self.messages[before : journal.last]
        assert journal.snapshot == self.state(before) or (before == 0 and not got)
        # The journal on the disk is the truth: what it does not have was never told to anybody.
        del self.messages[journal.last :]
        self.safe = journal.synced


@mock.patch("h5daq.storage.segments.LARGE_BYTES", 8192)
@settings(max_examples=150, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    steps=st.lists(
        st.sampled_from(["append"] * 6 + ["sync"] * 3 + ["release", "power_loss", "kill", "close"]),
        min_size=20,
        max_size=60,
    ),
)
def test_power_may_go_at_any_moment(
    tmp_path_factory: pytest.TempPathFactory, seed: int, steps: list[str]
) -> None:
    life = Life(tmp_path_factory.getbasetemp() / "j", random.Random(seed), "fsync")
    for step in [*steps, "power_loss", "power_loss"]:
        getattr(life, step)()


@pytest.mark.parametrize("seed", range(10))
def test_what_a_torn_tail_hid_stays_dead_when_power_goes_again(tmp_path: Path, seed: int) -> None:
    life = Life(tmp_path / "j", random.Random(seed), "fsync")
    life.append(4064)
    life.sync()
    for _ in range(20):
        # Written each by itself, a page each: the second can survive the first.
        for _ in range(3):
            life.append(4064)
            life.journal._writer.write()
        life.power_loss()
        life.append(4064)
        life.journal._writer.write()
        life.power_loss()


@mock.patch("h5daq.storage.segments.LARGE_BYTES", 8192)
@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    steps=st.lists(
        st.sampled_from(["append"] * 6 + ["sync"] * 3 + ["release", "kill", "close"]), max_size=60
    ),
)
def test_without_fsync_a_kill_may_come_at_any_moment(
    tmp_path_factory: pytest.TempPathFactory, seed: int, steps: list[str]
) -> None:
    life = Life(tmp_path_factory.getbasetemp() / "j", random.Random(seed), "os")
    for step in [*steps, "kill"]:
        getattr(life, step)()


@pytest.mark.parametrize("seed", range(20))
def test_without_fsync_a_power_loss_leaves_a_journal_that_opens(tmp_path: Path, seed: int) -> None:
    life = Life(tmp_path / "j", random.Random(seed), "os")
    for _ in range(60):
        life.append()
        life.sync()
        life.release()
    disk = life.disk.after_power_loss(life.chance)
    journal = Journal.open(tmp_path / "j", segment_bytes=SEGMENT, disk=disk)
    assert journal.oldest <= life.released + 1
    got = [bytes(e.message) for e in journal.entries(journal.oldest - 1, journal.last)]
    assert got == life.messages[journal.oldest - 1 : journal.last]


# -- a disk that is full or fails ---------------------------------------------------------------


@pytest.fixture
def disk() -> SimulatedDisk:
    return SimulatedDisk()


@pytest.fixture
def journal(tmp_path: Path, disk: SimulatedDisk) -> Journal:
    return Journal.open(tmp_path / "j", segment_bytes=1 << 20, disk=disk)


def contents(journal: Journal) -> list[bytes]:
    return [bytes(e.message) for e in journal.entries(journal.oldest - 1, journal.last)]


def test_one_sync_covers_all_that_came_before_it(journal: Journal, disk: SimulatedDisk) -> None:
    journal.append(b"the first makes the segment")
    journal.sync()
    before = disk.syncs
    for number in range(100):
        journal.append(b"message %d" % number)
    assert journal.sync() == 101
    assert disk.syncs == before + 1
    journal.sync()
    assert disk.syncs == before + 1


def test_short_syncs_prepare_the_file_for_those_that_follow(
    journal: Journal, disk: SimulatedDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[tuple[int, int]] = []

    def note(fd: int, offset: int, parts: Sequence[Part]) -> None:
        written.append((offset, offset + sum(map(len, parts))))
        SimulatedDisk.write_parts(disk, fd, offset, parts)

    monkeypatch.setattr(disk, "write_parts", note)
    for number in range(1, 100):
        journal.append(b"message %6d" % number * 10)
        journal.sync()
    assert max(end for _, end in written) == 1 << 20
    assert sum(end - begin > 10 * PAGE for begin, end in written) == 1
    assert len(contents(journal)) == 99


def test_long_syncs_write_nothing_but_entries(journal: Journal, disk: SimulatedDisk) -> None:
    journal.append(bytes(300_000))
    journal.sync()
    disk.room = 301_000 + 2 * PAGE
    journal.append(bytes(300_000))
    assert journal.sync() == 2
    assert disk.room > 0


def test_a_large_entry_that_finds_no_room_was_never_appended(
    tmp_path: Path, journal: Journal, disk: SimulatedDisk
) -> None:
    journal.append(b"small")
    journal.sync()
    disk.room = 50_000
    with pytest.raises(StorageError, match="entry 2 can't be written: No space") as caught:
        journal.append(bytes(100_000))
    assert caught.value.errno == errno.ENOSPC
    assert (journal.last, contents(journal)) == (1, [b"small"])
    disk.room = 1 << 30
    assert journal.append(b"again") == 2
    journal.sync()
    again = Journal.open(tmp_path / "j", disk=disk)
    assert contents(again) == [b"small", b"again"]


def test_a_write_that_failed_late_leaves_nothing_behind(
    tmp_path: Path, journal: Journal, disk: SimulatedDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(fd: int, offset: int, parts: Sequence[Part]) -> None:
        SimulatedDisk.write_parts(disk, fd, offset, parts)
        raise OSError(errno.EIO, "after all of it was written")

    journal.append(b"one")
    journal.sync()
    monkeypatch.setattr(disk, "write_parts", fail)
    with pytest.raises(StorageError, match="entry 2 can't be written"):
        journal.append(bytes(100_000))
    monkeypatch.undo()
    assert contents(Journal.open(tmp_path / "j", disk=disk)) == [b"one"]


def test_small_entries_that_find_no_room_are_written_by_a_later_sync(
    tmp_path: Path, journal: Journal, disk: SimulatedDisk
) -> None:
    journal.append(b"one")
    journal.sync()
    journal.append(b"two")
    disk.room = 10
    with pytest.raises(StorageError, match="up to 2 can't be written: No space"):
        journal.sync()
    assert journal.synced == 1
    disk.room = 1 << 30
    assert journal.append(b"three") == 3
    assert journal.sync() == 3
    again = Journal.open(tmp_path / "j", disk=disk)
    assert contents(again) == [b"one", b"two", b"three"]


def append_until_refused(journal: Journal) -> None:
    for number in range(100_000):
        journal.append(b"message %6d" % number * 10)


def test_on_a_full_disk_memory_does_not_fill_up_instead(
    journal: Journal, disk: SimulatedDisk
) -> None:
    journal.append(b"one")
    disk.room = 10
    with pytest.raises(StorageError, match="No space"):
        append_until_refused(journal)
    last = journal.last
    assert journal.waiting_bytes < 2 << 20
    disk.room = 1 << 30
    assert journal.append(b"goes on") == last + 1
    assert journal.sync() == last + 1
    assert len(contents(journal)) == last + 1


def test_a_disk_with_no_room_for_a_segment_refuses_the_first_entry(
    journal: Journal, disk: SimulatedDisk
) -> None:
    disk.room = 0
    with pytest.raises(StorageError, match=r"no new journal segment: No space.*00000001.seg"):
        journal.append(b"one")
    assert (journal.last, disk.names(Path())) == (0, [])
    disk.room = 1 << 30
    assert journal.append(b"one") == 1


def test_after_a_failed_sync_nothing_more_is_taken_or_called_safe(
    journal: Journal, disk: SimulatedDisk
) -> None:
    journal.append(b"safe")
    journal.sync()
    journal.append(b"lost")
    disk.bad_syncs = 1
    for _ in range(2):
        with pytest.raises(StorageError, match="nothing after entry 1 is safe"):
            journal.sync()
    with pytest.raises(StorageError, match="takes no more"):
        journal.append(b"more")
    assert journal.synced == 1


def test_reopening_after_a_failed_sync_finds_what_is_on_the_medium(
    journal: Journal, disk: SimulatedDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal.append(b"safe")
    journal.sync()
    journal.append(b"lost")
    disk.bad_syncs = 1
    with pytest.raises(StorageError):
        journal.sync()
    # As in the kernel: the next sync succeeds, having nothing left to do.
    monkeypatch.setattr(Inode, "sync", lambda inode: None)
    journal.reopen()
    monkeypatch.undo()
    assert contents(journal) == [b"safe"]
    assert journal.append(b"another") == 2
    assert journal.sync() == 2


def test_a_write_behind_that_fails_counts_as_a_failed_sync(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: object, offset: int, length: int) -> None:
        raise OSError(errno.EIO, "write-behind")

    journal.append(b"safe")
    journal.sync()
    monkeypatch.setattr("h5daq.storage.writeback.WriteBehind.wrote", fail)
    with pytest.raises(StorageError, match="nothing after entry 1 is safe"):
        journal.append(bytes(100_000))
    assert journal.last == 1
    with pytest.raises(StorageError, match="takes no more"):
        journal.sync()


def test_closing_a_failed_journal_does_not_pretend(journal: Journal, disk: SimulatedDisk) -> None:
    journal.append(b"lost")
    disk.bad_syncs = 1
    with pytest.raises(StorageError, match="Input/output error"):
        journal.close()
    journal.close()


def test_a_directory_that_vanishes_is_noticed_by_the_next_sync(tmp_path: Path) -> None:
    journal = Journal.open(tmp_path / "j")
    journal.append(b"safe")
    journal.sync()
    journal.append(b"nowhere")
    shutil.rmtree(tmp_path / "j")
    with pytest.raises(StorageError, match=r"nothing after entry 1 is safe.*No such file"):
        journal.sync()
    with pytest.raises(StorageError, match="directory can't be read"):
        journal.reopen()
    journal.close()


def test_a_directory_that_can_not_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageError, match="directory can't be made") as caught:
        Journal.open(tmp_path / "file" / "j")
    assert caught.value.filename == str(tmp_path / "file" / "j")
