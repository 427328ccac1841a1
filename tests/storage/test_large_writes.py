"""Large writes: what arrives, where the page cache can't be passed by, and what fails."""

from __future__ import annotations

import errno
import gc
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from h5daq.errors import StorageError
from h5daq.storage.disk import Disk
from h5daq.storage.journal import Journal
from h5daq.storage.large import STRETCH_BYTES, LargeWrites, put_together
from h5daq.storage.ondisk import OnDisk
from h5daq.storage.overlay import Overlay
from h5daq.storage.paged import PagedFile
from h5daq.storage.pages import PAGE_BYTES, PageMemory
from h5daq.storage.segment_disk import SegmentDisk
from h5daq.storage.transaction import TransactionFile

MIB = 1 << 20


class NoDirect(SegmentDisk):
    """A file system on which `O_DIRECT` is refused, at once or at the first write."""

    def __init__(self, at_once: bool = False) -> None:
        self.at_once = at_once

    def open_direct(self, fd: int) -> int | None:
        return None if self.at_once else super().open_direct(fd)

    def write_direct(self, fd: int, offset: int, pages: memoryview) -> int:
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))


class Short(SegmentDisk):
    """Takes a page less than it could."""

    def write_direct(self, fd: int, offset: int, pages: memoryview) -> int:
        return super().write_direct(fd, offset, pages[: max(PAGE_BYTES, len(pages) - PAGE_BYTES)])


class Broken(SegmentDisk):
    """Writes past the cache fail, as long as `number` is not 0."""

    number = errno.EIO

    def write_direct(self, fd: int, offset: int, pages: memoryview) -> int:
        if self.number:
            raise OSError(self.number, os.strerror(self.number))
        return super().write_direct(fd, offset, pages)


LENGTHS = st.one_of(
    st.integers(1, 40_000), st.sampled_from([PAGE_BYTES, 2 * PAGE_BYTES, 5 * PAGE_BYTES])
)
DISKS = [SegmentDisk(), NoDirect(), NoDirect(at_once=True), Short()]


@pytest.fixture
def fd(tmp_path: Path) -> Iterator[int]:
    number = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)
    yield number
    os.close(number)


@settings(max_examples=200, deadline=None)
@given(
    disk=st.sampled_from(DISKS),
    pieces=st.lists(
        st.tuples(st.sampled_from([0, 0, 0, 1, 300, 5000]), LENGTHS, st.sampled_from("wws")),
        max_size=12,
    ),
    start=st.one_of(st.integers(0, 9000), st.sampled_from([0, PAGE_BYTES])),
    together=st.sampled_from([1, 20_000, STRETCH_BYTES]),
)
def test_what_is_written_side_by_side_arrives(
    tmp_path_factory: pytest.TempPathFactory,
    disk: SegmentDisk,
    pieces: list[tuple[int, int, str]],
    start: int,
    together: int,
) -> None:
    path = tmp_path_factory.getbasetemp() / "side"
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
    large, expected = disk.large_writes(fd), bytearray(start)
    with mock.patch("h5daq.storage.large.STRETCH_BYTES", together):
        for gap, length, step in pieces:
            # Now and then the next one begins at a page.
            expected += bytes(gap if gap < 5000 else -len(expected) % PAGE_BYTES)
            data = os.urandom(length)
            large.submit(len(expected), length, partial(put_together, [data]))
            expected += data
            if step == "s":
                large.settle()
                assert os.pread(fd, length, len(expected) - length) == data
        large.settle()
    found = os.pread(fd, len(expected) + MIB, 0)
    large.close()
    os.close(fd)
    # It may have been made longer, by nothing.
    assert found.rstrip(b"\0") == (bytes(expected) if pieces else b"").rstrip(b"\0")
    assert len(found) >= len(expected) or not pieces


def test_it_is_known_whether_the_cache_is_passed_by(fd: int) -> None:
    for disk in (NoDirect(), NoDirect(at_once=True)):
        large = disk.large_writes(fd)
        large.submit(0, 2 * PAGE_BYTES, lambda buffer: buffer.fill(7))
        large.settle()
        assert not large.direct
        large.close()
    assert os.pread(fd, 2 * PAGE_BYTES, 0) == b"\7" * 2 * PAGE_BYTES


def test_a_failure_is_said_until_it_is_forgotten(fd: int) -> None:
    disk = Broken()
    large = disk.large_writes(fd)
    large.submit(0, MIB, lambda buffer: None)
    for _ in range(2):
        with pytest.raises(OSError, match=os.strerror(errno.EIO)):
            large.settle()
    disk.number = 0
    large.forget()
    large.submit(0, MIB, lambda buffer: buffer.fill(1))
    large.settle()
    large.close()
    assert os.pread(fd, MIB, 0) == b"\1" * MIB


def test_a_fault_of_ours_in_the_thread_is_said_as_what_it_is(fd: int) -> None:
    large = SegmentDisk().large_writes(fd)
    large.submit(0, MIB, lambda buffer: 1 / 0)  # type: ignore[arg-type, return-value]
    for _ in range(2):
        with pytest.raises(OSError, match="ZeroDivisionError") as caught:
            large.settle()
        assert isinstance(caught.value.__cause__, ZeroDivisionError)


def test_who_wants_more_than_may_be_on_its_way_waits(fd: int) -> None:
    gate, begun = threading.Event(), []

    def fill(buffer: np.ndarray) -> None:
        begun.append(len(buffer))
        assert gate.wait(60)

    large = SegmentDisk().large_writes(fd)
    with ThreadPoolExecutor(1) as pool:
        for number in range(2):
            large.make_room(8 * MIB)
            large.submit(number * 8 * MIB, 8 * MIB, fill)
        third = pool.submit(large.make_room, MIB)
        assert not third.done()
        gate.set()
        third.result(60)
    large.submit(16 * MIB, MIB, fill)
    large.settle()
    large.close()
    assert sorted(begun) == [MIB, 8 * MIB, 8 * MIB]


def test_bytes_on_their_way_are_waited_for_by_who_needs_them(fd: int) -> None:
    gate = threading.Event()
    large = SegmentDisk().large_writes(fd)
    large.submit(0, MIB, lambda buffer: (gate.wait(60), buffer.fill(5))[1])
    large.settle_over(MIB, 2 * MIB)
    threading.Timer(0.05, gate.set).start()
    large.settle_over(MIB - 1, MIB)
    assert os.pread(fd, 1, MIB - 1) == b"\5"
    large.close()


@pytest.mark.parametrize("settled", [False, True])
def test_what_is_changed_after_it_was_written_stays_so(fd: int, settled: bool) -> None:
    large = SegmentDisk().large_writes(fd)
    large.submit(0, 10_000, lambda buffer: buffer.fill(1))
    if settled:
        large.settle()
    large.settle_over(9_990, 10_000)
    os.pwrite(fd, b"\2" * 10, 9_990)
    # It begins in the page in which the first one ends, and may have taken along what that left.
    large.submit(10_000, 10_000, lambda buffer: buffer.fill(3))
    large.settle()
    large.close()
    assert os.pread(fd, 20_000, 0) == b"\1" * 9_990 + b"\2" * 10 + b"\3" * 10_000


def test_what_was_submitted_while_another_thread_settled_is_not_forgotten(
    fd: int, wait_until: Callable[..., Any]
) -> None:
    large = SegmentDisk().large_writes(fd)
    large.submit(0, 10_000, lambda buffer: buffer.fill(1))
    settle = large.settle

    def settle_and_lose_time() -> None:
        settle()
        large.submit(10_000, 10_000, lambda buffer: buffer.fill(2))
        wait_until(lambda: large._done == 2)

    with mock.patch.object(large, "settle", settle_and_lose_time):
        large.settle_over(9_990, 10_000)
    large.settle()
    large.close()
    assert os.pread(fd, 20_000, 0) == b"\1" * 10_000 + b"\2" * 10_000


def test_where_room_is_short_none_is_claimed_ahead(fd: int) -> None:
    with mock.patch("h5daq.storage.direct._LEAST_FREE", 1 << 62):
        large = SegmentDisk().large_writes(fd)
        for number in range(3):
            large.submit(number * 2 * PAGE_BYTES, 2 * PAGE_BYTES, lambda buffer: buffer.fill(5))
        large.settle()
        large.close()
    assert os.fstat(fd).st_size == 6 * PAGE_BYTES


def test_threads_that_can_not_be_had_are_the_systems_fault(fd: int) -> None:
    large = SegmentDisk().large_writes(fd)
    no_more = mock.patch("threading.Thread.start", side_effect=RuntimeError("can't start"))
    with no_more, pytest.raises(OSError, match="can't start"):
        large.make_room(MIB)
    large.make_room(MIB)
    large.close()


def test_without_memory_for_its_list_nothing_is_waited_for_in_vain(fd: int) -> None:
    large = SegmentDisk().large_writes(fd)
    with mock.patch.object(large, "_following", side_effect=MemoryError):
        large.submit(0, MIB, lambda buffer: None)
        with pytest.raises(OSError, match="MemoryError"):
            large.settle()
    large.forget()
    large.submit(0, MIB, lambda buffer: buffer.fill(1))
    large.settle()
    large.close()
    assert os.pread(fd, MIB, 0) == b"\1" * MIB


def test_memory_is_used_again_and_begins_at_a_page() -> None:
    memory = PageMemory(10_000)
    first = memory.take(9_000)
    assert first.ctypes.data % PAGE_BYTES == 0
    memory.give(first)
    assert memory.take(10_000 + PAGE_BYTES) is first
    large = memory.take(100_000)
    assert len(large) >= 100_000
    # What is larger than usual is not kept.
    memory.give(large)
    assert memory.take(9_000) is not large


# -- the journal -----------------------------------------------------------------------------------


@pytest.mark.parametrize("disk", DISKS, ids=["direct", "refused late", "refused", "short"])
def test_entries_of_all_sizes_are_read_back_in_order(tmp_path: Path, disk: SegmentDisk) -> None:
    options = {"segment_bytes": 4 * MIB, "cache_bytes": 0, "disk": disk}
    journal = Journal.open(tmp_path / "journal", **options)  # type: ignore[arg-type]
    sizes = [100, MIB, 3, 300_001, 40_000, MIB - 17, 70, 2 * MIB, 5 * MIB, 11, 900_000]
    messages = [os.urandom(size) for size in sizes]
    for message in messages:
        journal.append(message)
    # Nothing is kept in memory: what is still on its way has to arrive first.
    assert [bytes(entry.message) for entry in journal.entries(0, journal.last)] == messages
    assert journal.sync() == len(messages)
    again = Journal.open(tmp_path / "journal", disk=disk)
    assert [bytes(entry.message) for entry in again.entries(0, again.last)] == messages
    again.close()
    journal.close()


def test_a_large_entry_that_could_not_be_written_counts_as_a_failed_sync(tmp_path: Path) -> None:
    disk = Broken()
    journal = Journal.open(tmp_path / "journal", disk=disk)
    journal.append(b"small")
    assert journal.sync() == 1
    journal.append(os.urandom(MIB))
    for call in (journal.sync, lambda: journal.append(bytes(MIB))):
        with pytest.raises(StorageError, match="nothing after entry 1 is safe"):
            call()
    disk.number = 0
    journal.reopen()
    assert journal.last == 1
    assert journal.append(bytes(MIB)) == 2
    assert journal.sync() == 2
    journal.close()


def test_a_sync_that_was_interrupted_is_not_taken_for_done(tmp_path: Path) -> None:
    class Interrupted(SegmentDisk):
        syncs = 0

        def sync(self, fd: int) -> None:
            self.syncs += 1
            if self.syncs == 1:
                raise KeyboardInterrupt
            super().sync(fd)

    disk = Interrupted()
    journal = Journal.open(tmp_path / "journal", disk=disk)
    disk.syncs = 0
    journal.append(os.urandom(MIB))
    with pytest.raises(KeyboardInterrupt):
        journal.sync()
    assert journal.sync() == 1
    assert disk.syncs == 2
    journal.close()


def test_entries_without_room_of_their_own_are_not_left_to_a_thread(tmp_path: Path) -> None:
    class NoRoom(SegmentDisk):
        def reserve(self, fd: int, length: int) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    journal = Journal.open(tmp_path / "journal")
    journal.append(b"small")
    journal.close()
    journal = Journal.open(tmp_path / "journal", disk=NoRoom())
    with mock.patch.object(LargeWrites, "submit", side_effect=AssertionError):
        assert journal.append(bytes(MIB)) == 2
    assert journal.sync() == 2
    journal.close()


# -- transactions ----------------------------------------------------------------------------------


def begun(path: Path, disk: Disk) -> tuple[TransactionFile, h5py.Dataset]:
    """A file with a dataset of chunks of 1 MiB, in its second transaction."""
    target = TransactionFile(path, create=True, disk=disk)
    target.begin().create_dataset("x", (0, MIB), "u1", maxshape=(None, MIB), chunks=(1, MIB))
    target.commit()
    return target, target.begin()["x"]


def write_rows(target: TransactionFile, dataset: h5py.Dataset, rows: list[int]) -> None:
    for row in rows:
        dataset.id.set_extent((row + 1, MIB))
        with target.later(MIB, lambda buffer, row=row: buffer.fill(row)) as placeholder:
            dataset.id.write_direct_chunk((row, 0), placeholder)


@pytest.mark.parametrize("disk", DISKS, ids=["direct", "refused late", "refused", "short"])
def test_chunks_that_are_written_later_are_in_the_file(tmp_path: Path, disk: Disk) -> None:
    target, dataset = begun(tmp_path / "a.h5", disk)
    write_rows(target, dataset, list(range(20)))
    # A look before the commit waits for what it looks at.
    assert dataset[19, 0] == 19
    target.commit()
    # It was made longer ahead of the writes.
    assert (tmp_path / "a.h5").stat().st_size == target.committed_bytes
    target.close()
    with h5py.File(tmp_path / "a.h5") as file:
        assert [set(np.unique(row)) for row in file["x"]] == [{row} for row in range(20)]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
def test_a_chunk_that_could_not_be_written_fails_the_commit(tmp_path: Path, number: int) -> None:
    disk = Broken()
    disk.number = 0
    target, dataset = begun(tmp_path / "a.h5", disk)
    size = (tmp_path / "a.h5").stat().st_size
    disk.number = number
    write_rows(target, dataset, [0, 1, 2])
    with pytest.raises(StorageError, match=os.strerror(number)):
        target.commit()
    assert (tmp_path / "a.h5").stat().st_size == size
    disk.number = 0
    write_rows(target, target.begin()["x"], [0, 1, 2])
    target.commit()
    target.close()
    with h5py.File(tmp_path / "a.h5") as file:
        assert [row[0] for row in file["x"]] == [0, 1, 2]


def test_what_was_aborted_does_not_come_late(tmp_path: Path) -> None:
    gate = threading.Event()
    target, dataset = begun(tmp_path / "a.h5", Disk())
    size = (tmp_path / "a.h5").stat().st_size
    write_rows(target, dataset, [0])
    dataset.id.set_extent((2, MIB))
    with target.later(MIB, lambda buffer: (gate.wait(60), buffer.fill(9))[1]) as placeholder:
        dataset.id.write_direct_chunk((1, 0), placeholder)
    threading.Timer(0.05, gate.set).start()
    target.abort()
    assert (tmp_path / "a.h5").stat().st_size == size
    target.close()


def test_a_thread_may_meanwhile_let_go_of_an_object_of_h5py(tmp_path: Path) -> None:
    # For that it needs h5py's lock, which whoever is within HDF5 holds.
    def fill(buffer: np.ndarray) -> None:
        knot: list[object] = [h5py.h5s.create_simple((1,))]
        knot.append(knot)
        del knot
        gc.collect()
        buffer.fill(3)

    target, dataset = begun(tmp_path / "a.h5", Disk())
    for row in range(20):
        dataset.id.set_extent((row + 1, MIB))
        with target.later(MIB, fill) as placeholder:
            dataset.id.write_direct_chunk((row, 0), placeholder)
    target.commit()
    target.close()
    with h5py.File(tmp_path / "a.h5") as file:
        assert [row[-1] for row in file["x"]] == [3] * 20


def test_what_comes_to_a_place_that_was_given_up_comes_last(tmp_path: Path) -> None:
    # HDF5 cuts the file when what stands at its end is deleted, and gives the place away again.
    path, gate = tmp_path / "a.h5", threading.Event()
    path.touch()

    class Slow(Disk):
        def write_direct(self, fd: int, offset: int, pages: memoryview) -> int:
            assert pages[0] == 2 or gate.wait(60)
            return super().write_direct(fd, offset, pages)

    disk = Slow()
    on_disk = OnDisk(disk, path, disk.open(path), durable=False)
    paged = PagedFile(on_disk, Overlay(on_disk.page, mock.Mock(), {}, MIB), 0, 0)
    threading.Timer(0.1, gate.set).start()
    for value in (1, 2):
        with paged.later(MIB, partial(put_together, [bytes([value]) * MIB])) as placeholder:
            paged.seek(8192)
            paged.write(placeholder.data)
        paged.truncate(8192)
    paged.settle()
    on_disk.close()
    assert path.read_bytes()[8192 : 8192 + MIB] == b"\2" * MIB


@pytest.mark.parametrize("looked_at", [False, True])
@pytest.mark.parametrize("first", ["overlay", "piece"])
def test_a_chunk_in_the_page_of_the_committed_length_is_in_the_overlay_too(
    tmp_path: Path, first: str, looked_at: bool
) -> None:
    # The overlay holds whole pages, and what it holds of that one may be older than the chunk.
    (tmp_path / "a.h5").write_bytes(b"\1" * 5000)
    disk = Disk()
    on_disk = OnDisk(disk, tmp_path / "a.h5", disk.open(tmp_path / "a.h5"), durable=False)
    overlay = Overlay(on_disk.page, mock.Mock(), {}, MIB)
    paged = PagedFile(on_disk, overlay, 5000, 5000)

    def put(offset: int, data: bytes | memoryview) -> None:
        paged.seek(offset)
        paged.write(data)

    if first == "overlay":
        put(4990, b"\2" * 5)
    with paged.later(MIB, lambda buffer: buffer.fill(3)) as placeholder:
        put(5000, placeholder.data)
    put(4990, b"\2" * 5)
    page = b"\1" * (4990 - 4096) + b"\2" * 5 + b"\1" * 5 + b"\3" * (8192 - 5000)
    if looked_at:
        paged.seek(4096)
        assert paged.read(4096) == page
    paged.settle()
    assert overlay.page(1) == page
    on_disk.close()


def test_a_placeholder_that_hdf5_did_not_write_is_noticed(tmp_path: Path) -> None:
    target, _ = begun(tmp_path / "a.h5", Disk())
    with pytest.raises(RuntimeError, match="in one piece"), target.later(MIB, lambda buffer: None):
        pass
    target.abort()
    target.close()


def test_without_threads_a_failure_is_said_at_once(fd: int) -> None:
    class Full:
        direct = False

        def write(self, offset: int, data: memoryview) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        def write_direct(self, offset: int, pages: memoryview) -> bool:
            return False

        def settled(self) -> None: ...

        def close(self) -> None: ...

    with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
        LargeWrites(Full(), PageMemory(MIB), None).submit(0, 10, lambda buffer: None)
