"""The journal on a real disk: what is appended can be read, released, and found again."""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from h5daq.errors import FileDamaged, JournalFull, StorageError
from h5daq.storage.journal import Journal, MemoryJournal

SEGMENT = 16 << 10

Open = Callable[..., Journal]


@pytest.fixture
def open_journal(tmp_path: Path) -> Iterator[Open]:
    journals: list[Journal] = []

    def opened(**options: Any) -> Journal:
        journals.append(Journal.open(tmp_path / "j", **{"segment_bytes": SEGMENT, **options}))
        return journals[-1]

    yield opened
    for journal in journals:
        journal.close()


def contents(journal: Journal | MemoryJournal) -> list[bytes]:
    return [bytes(e.message) for e in journal.entries(journal.oldest - 1, journal.last)]


def message(number: int, size: int = 100) -> bytes:
    return number.to_bytes(8, "little") + random.Random(number).randbytes(size)


def fill(journal: Journal | MemoryJournal) -> None:
    for number in range(1, 1000):
        journal.append(message(number))


def segments(tmp_path: Path) -> list[str]:
    return sorted(path.name for path in (tmp_path / "j").glob("*.seg"))


# -- appending and reading ---------------------------------------------------------------------


def test_a_fresh_journal_is_empty_and_numbers_from_one(open_journal: Open) -> None:
    journal = open_journal()
    assert (journal.oldest, journal.last, journal.synced) == (1, 0, 0)
    assert journal.snapshot is None
    assert [journal.append(b"a"), journal.append(b"b")] == [1, 2]
    journal.close()


def test_entries_are_readable_before_and_after_the_sync(open_journal: Open) -> None:
    journal = open_journal()
    journal.append(b"first")
    assert contents(journal) == [b"first"]
    assert journal.sync() == journal.synced == 1
    journal.append(b"second")
    assert contents(journal) == [b"first", b"second"]
    journal.close()


def test_a_closed_journal_comes_back_with_everything(open_journal: Open) -> None:
    journal = open_journal()
    messages = [message(i, 10 * i) for i in range(200)]
    for each in messages:
        journal.append(each)
    journal.close()
    again = open_journal()
    assert contents(again) == messages
    assert (again.last, again.synced) == (200, 200)
    assert again.append(b"next") == 201
    again.close()


def test_a_message_in_pieces_is_one_entry(open_journal: Open) -> None:
    journal = open_journal(cache_bytes=0)
    large = [os.urandom(50_000), memoryview(os.urandom(50_000)), b""]
    journal.append([b"head", memoryview(b"tail"), bytearray(b"!")])
    journal.append(large)
    assert contents(journal) == [b"headtail!", b"".join(large)]
    journal.close()
    assert contents(open_journal()) == [b"headtail!", b"".join(large)]


def test_an_entry_larger_than_a_segment_gets_one_to_itself(open_journal: Open) -> None:
    journal = open_journal()
    messages = [b"small", os.urandom(10 * SEGMENT), b"after", b""]
    for each in messages:
        journal.append(each)
    journal.close()
    assert contents(open_journal()) == messages


@pytest.mark.parametrize("size", [100, 100_000])
@pytest.mark.parametrize("cache_bytes", [0, 64 << 20])
def test_messages_handed_out_stay_as_they_are(
    open_journal: Open, size: int, cache_bytes: int
) -> None:
    journal = open_journal(cache_bytes=cache_bytes)
    owned = bytearray(message(1, size))
    journal.append(owned)
    journal.sync()
    (entry,) = journal.entries(0, 1)
    owned[:] = bytes(len(owned))
    for number in range(2, 600):
        journal.append(message(number, size))
        journal.release(journal.sync())
    assert entry.message == message(1, size)
    journal.close()


def test_entries_gives_exactly_what_is_asked_for(open_journal: Open) -> None:
    journal = open_journal(cache_bytes=2000)
    for number in range(1, 301):
        journal.append(message(number))
        if number % 7 == 0:
            journal.sync()
    for after, upto in [(0, 300), (0, 0), (5, 5), (17, 203), (299, 300), (299, 1000)]:
        got = list(journal.entries(after, upto))
        assert [e.lsn for e in got] == list(range(after + 1, min(upto, 300) + 1))
        assert all(e.message == message(e.lsn) for e in got)
    journal.close()


def test_a_sync_per_entry_does_not_make_a_block_per_entry(open_journal: Open) -> None:
    journal = open_journal(segment_bytes=1 << 20, durability="os")
    for number in range(2000):
        journal.append(message(number))
        journal.sync()
    newest = journal._shelf.newest
    assert newest is not None
    assert len(newest.blocks) < 20
    journal.close()


def test_the_cache_keeps_no_more_than_it_may(open_journal: Open) -> None:
    journal = open_journal(cache_bytes=20_000, durability="os")
    for number in range(1000):
        journal.append(message(number, 1000))
        journal.sync()
    assert journal._shelf._tail._bytes <= 20_000
    journal.close()


# -- releasing -----------------------------------------------------------------------------------


def test_released_segments_are_used_again(open_journal: Open, tmp_path: Path) -> None:
    journal = open_journal()
    for number in range(1, 2001):
        journal.append(message(number))
        if number % 50 == 0:
            journal.release(journal.sync())
    assert len(list((tmp_path / "j").iterdir())) <= 4
    assert int(segments(tmp_path)[-1][:8]) > 10
    journal.close()


def test_what_is_not_synced_is_not_released(open_journal: Open, tmp_path: Path) -> None:
    journal = open_journal()
    for number in range(400):
        journal.append(message(number))
    journal.release(journal.last)
    assert journal.oldest == 1
    assert len(contents(journal)) == 400
    journal.close()


def test_released_entries_can_not_be_read(open_journal: Open) -> None:
    journal = open_journal()
    for number in range(400):
        journal.append(message(number))
    journal.release(journal.sync())
    with pytest.raises(StorageError, match="entry 1 was released"):
        list(journal.entries(0, 10))
    journal.close()


def test_a_reader_that_comes_too_late_is_told_that_the_entry_was_released(
    open_journal: Open,
) -> None:
    journal = open_journal(cache_bytes=0)
    fill(journal)
    journal.sync()
    found = journal._shelf.find(1)
    assert found is not None
    journal.release(journal.last)
    fill(journal)
    journal.sync()
    with pytest.raises(StorageError, match="entry 1 was released"):
        list(found[0].read(found[1]))


def test_each_use_of_a_segment_has_a_salt_of_its_own(open_journal: Open) -> None:
    journal = open_journal()
    salts = set()
    for number in range(1, 2001):
        journal.append(message(number))
        newest = journal._shelf.newest
        assert newest is not None
        salts.add(newest.head.salt)
        if number % 50 == 0:
            journal.release(journal.sync())
    assert len(salts) == newest.head.number


def test_spares_without_a_journal_are_thrown_away(open_journal: Open, tmp_path: Path) -> None:
    journal = open_journal()
    fill(journal)
    journal.release(journal.sync())
    for name in segments(tmp_path):
        (tmp_path / "j" / name).unlink()
    assert list((tmp_path / "j").glob("*.spare"))
    again = open_journal()
    assert list((tmp_path / "j").iterdir()) == []
    assert again.append(b"one") == 1


def test_the_snapshot_is_that_of_the_oldest_segment(open_journal: Open) -> None:
    state = 0
    journal = open_journal(snapshot=lambda: b"state %d" % state)
    for number in range(1, 1001):
        journal.append(message(number))
        state = number
        if number % 90 == 0:
            journal.release(journal.sync() - 30)
    assert journal.oldest > 300
    assert journal.snapshot == b"state %d" % (journal.oldest - 1)
    oldest = journal.oldest
    journal.close()
    again = open_journal()
    assert (again.oldest, again.snapshot) == (oldest, b"state %d" % (oldest - 1))
    again.close()


def test_waiting_bytes_rise_with_appends_and_fall_to_nothing(open_journal: Open) -> None:
    journal = open_journal(snapshot=lambda: bytes(5000))
    for number in range(400):
        journal.append(message(number))
    assert journal.waiting_bytes >= 400 * 108
    journal.release(journal.sync())
    assert journal.waiting_bytes == 0
    journal.close()
    again = open_journal()
    assert again.waiting_bytes > 0
    again.release(again.last)
    assert again.waiting_bytes == 0
    again.close()


def test_a_full_journal_refuses_until_something_is_released(open_journal: Open) -> None:
    journal = open_journal(limit_bytes=10_000)
    with pytest.raises(JournalFull, match="10000"):
        fill(journal)
    last = journal.last
    assert journal.waiting_bytes <= 10_000
    journal.release(journal.sync())
    assert journal.append(b"there is room") == last + 1
    journal.close()


def test_a_message_above_the_limit_gets_through_when_nothing_waits(open_journal: Open) -> None:
    journal = open_journal(limit_bytes=1000)
    assert journal.append(bytes(5000)) == 1
    journal.close()


def test_a_closed_journal_takes_no_more_room_than_its_entries(
    open_journal: Open, tmp_path: Path
) -> None:
    journal = open_journal(segment_bytes=1 << 20)
    journal.append(b"one")
    journal.close()
    assert [path.stat().st_size for path in (tmp_path / "j").iterdir()] < [200]


# -- damage and torn tails -----------------------------------------------------------------------


def test_after_a_kill_everything_synced_is_there(open_journal: Open) -> None:
    journal = open_journal(durability="os")
    for number in range(1, 301):
        journal.append(message(number))
    journal.sync()
    journal.append(b"only in memory")
    again = open_journal()
    assert contents(again) == [message(number) for number in range(1, 301)]
    again.close()


def test_a_torn_tail_is_cut_and_what_stood_behind_it_stays_dead(
    open_journal: Open, tmp_path: Path
) -> None:
    # Head and entries take a page each, so nothing that is written reaches into the next one.
    page = {"segment_bytes": 1 << 20, "snapshot": lambda: bytes(4096 - 40)}
    journal = open_journal(**page)
    for number in range(1, 11):
        journal.append(message(number, 4096 - 40))
    journal.sync()
    flip(tmp_path / "j" / "00000001.seg", 5 * 4096 + 40)
    again = open_journal(**page)
    assert again.last == 4
    again.append(message(5, 4096 - 40))
    again.sync()
    assert contents(open_journal(**page)) == [message(n, 4096 - 40) for n in range(1, 6)]


def contents_offset(journal: Journal, lsn: int) -> int:
    """Where the entry behind `lsn` begins, when all have a hundred bytes."""
    newest = journal._shelf.newest
    assert newest is not None
    return newest.head.end + lsn * 136


def flip(path: Path, offset: int, mask: int = 1) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ mask]))


def test_a_changed_entry_that_was_synced_is_named_with_segment_and_offset(
    open_journal: Open, tmp_path: Path
) -> None:
    journal = open_journal()
    for number in range(1, 11):
        journal.append(message(number, 92))
        journal.sync()
    offset = contents_offset(journal, 4)
    flip(tmp_path / "j" / "00000001.seg", offset + 40)
    with pytest.raises(FileDamaged, match=f"00000001.seg: entry 5 at offset {offset} "):
        open_journal()


def test_a_segment_that_vanished_is_missed(open_journal: Open, tmp_path: Path) -> None:
    journal = open_journal()
    for number in range(1, 600):
        journal.append(message(number))
        journal.sync()
    names = segments(tmp_path)
    assert len(names) > 3
    (tmp_path / "j" / names[1]).unlink()
    with pytest.raises(FileDamaged, match=names[0]):
        open_journal()


def test_a_journal_whose_oldest_head_is_broken_is_damaged(
    open_journal: Open, tmp_path: Path
) -> None:
    journal = open_journal()
    for number in range(1, 600):
        journal.append(message(number))
        journal.sync()
    journal.release(journal.last)
    (name,) = segments(tmp_path)
    flip(tmp_path / "j" / name, 12)
    with pytest.raises(FileDamaged, match=name):
        open_journal()


def test_a_change_under_the_reader_is_noticed(open_journal: Open, tmp_path: Path) -> None:
    journal = open_journal(cache_bytes=0)
    for number in range(1, 11):
        journal.append(message(number, 92))
    journal.sync()
    flip(tmp_path / "j" / "00000001.seg", contents_offset(journal, 4) + 40)
    with pytest.raises(FileDamaged, match="entry 5"):
        contents(journal)
    journal.close()


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The files of a journal of several segments, each entry of which was synced by itself."""
    directory = tmp_path_factory.mktemp("written")
    journal = Journal.open(directory, segment_bytes=4096, snapshot=lambda: b"state")
    for number in range(1, 80):
        journal.append(message(number))
        journal.sync()
    journal.close()
    return {path.name: path.read_bytes() for path in sorted(directory.iterdir())}


@settings(max_examples=100, deadline=None)
@given(data=st.data(), mask=st.sampled_from([1, 2, 64, 128, 255]))
def test_a_flipped_bit_is_either_harmless_or_said(
    tmp_path_factory: pytest.TempPathFactory,
    written: dict[str, bytes],
    data: st.DataObject,
    mask: int,
) -> None:
    directory = tmp_path_factory.mktemp("flip")
    for name, content in written.items():
        (directory / name).write_bytes(content)
    name = data.draw(st.sampled_from(sorted(written)))
    flip(directory / name, data.draw(st.integers(0, len(written[name]) - 1)), mask)
    try:
        journal = Journal.open(directory, segment_bytes=4096)
    except FileDamaged:
        return
    # Nobody can tell a flip in the last synced entry from a write that never came.
    assert contents(journal) in ([message(n) for n in range(1, last)] for last in (80, 79))
    journal.close()


# -- three threads -------------------------------------------------------------------------------


def test_appending_syncing_and_reading_go_on_at_the_same_time(open_journal: Open) -> None:
    journal = open_journal(cache_bytes=30_000, snapshot=lambda: b"state")
    sizes = [10, 3000, 90_000, 200]
    total, seen, done = 600, [], threading.Event()

    def keep_syncing() -> None:
        while not done.is_set():
            journal.sync()

    def follow() -> None:
        while len(seen) < total and not done.is_set():
            for entry in journal.entries(len(seen), journal.synced):
                assert entry.message == message(entry.lsn, sizes[entry.lsn % 4])
                seen.append(entry.lsn)
            journal.release(len(seen) - len(seen) % 10)

    threads = [threading.Thread(target=keep_syncing), threading.Thread(target=follow)]
    for thread in threads:
        thread.start()
    for number in range(1, total + 1):
        journal.append(message(number, sizes[number % 4]))
    threads[1].join(60)
    done.set()
    threads[0].join(60)
    assert seen == list(range(1, total + 1))
    journal.close()


# -- the journal in memory ----------------------------------------------------------------------


def test_the_memory_journal_reads_like_the_one_on_disk() -> None:
    journal = MemoryJournal()
    assert [journal.append(b"a"), journal.append([b"b", b"c"]), journal.append(b"d")] == [1, 2, 3]
    assert journal.sync() == journal.synced == 3
    assert contents(journal) == [b"a", b"bc", b"d"]
    journal.release(1)
    assert [(e.lsn, bytes(e.message)) for e in journal.entries(1, 2)] == [(2, b"bc")]
    assert (journal.oldest, journal.last, journal.snapshot) == (2, 3, None)


def test_a_full_memory_journal_refuses_until_something_is_released() -> None:
    journal = MemoryJournal(limit_bytes=1000)
    with pytest.raises(JournalFull, match="in memory"):
        fill(journal)
    assert journal.waiting_bytes <= 1000
    journal.release(journal.last)
    assert journal.waiting_bytes == 0
    assert journal.append(b"there is room") == journal.oldest == journal.last
