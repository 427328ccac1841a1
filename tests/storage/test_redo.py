"""The redo log: whole records come back, torn and retired ones don't, room is used again."""

import random
import zlib
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from h5daq.errors import FileDamaged
from h5daq.storage.overlay import PAGE
from h5daq.storage.redo import RedoLog, redo_path
from h5daq.storage.redo_record import Entry, Record
from h5daq.testing.disk import SimulatedDisk

PATH = Path("/lab/.run.h5.redo")
EMPTY = Record(7, 100, 20_000, 0, b"old superblock", b"new superblock", {})


def open_log(disk):
    return RedoLog(disk, disk.open(PATH, create=True), PATH, durable=True)


def commit(log, pages, record=EMPTY):
    """Commit a record that changes `pages` (number to byte), besides those of `record`."""
    entries = dict(record.pages)
    for page, value in pages.items():
        image = bytearray([value]) * PAGE
        entries[page] = Entry(log.write_page(image), zlib.crc32(image), before=5)
    return log.commit(log.prepare(replace(record, pages=entries)))


def values(log, record):
    return {page: log.read_page(entry.slot)[0] for page, entry in record.pages.items()}


def test_the_log_lies_beside_its_file_and_is_hidden():
    assert redo_path(Path("/lab/run.h5")) == PATH


def test_a_record_comes_back_as_it_was_written():
    disk = SimulatedDisk()
    written = commit(open_log(disk), {3: 30, 9: 90})
    log = open_log(disk)
    assert log.load() == written
    assert values(log, written) == {3: 30, 9: 90}


def test_a_new_log_holds_nothing():
    assert open_log(SimulatedDisk()).load() is None


def test_the_newest_record_counts_and_holds_what_it_took_over():
    disk = SimulatedDisk()
    log = open_log(disk)
    first = commit(log, {1: 1, 2: 2})
    commit(log, {2: 22}, first)
    log = open_log(disk)
    assert values(log, log.load()) == {1: 1, 2: 22}


def test_a_record_that_is_only_prepared_does_not_count():
    disk = SimulatedDisk()
    log = open_log(disk)
    first = commit(log, {1: 1})
    log.write_page(bytearray(PAGE))
    log.prepare(replace(EMPTY, new_length=5))
    assert open_log(disk).load() == first


def test_a_torn_record_leaves_the_one_before():
    disk = SimulatedDisk()
    log = open_log(disk)
    first = commit(log, {1: 1})
    second = commit(log, {2: 2}, first)
    tear(disk, second.pages[2].slot * PAGE + 100)
    log = open_log(disk)
    assert log.load() == first
    # It is wiped, so that nothing written later into its slots can make it whole.
    assert commit(log, {2: 3}, first).number == second.number
    assert values(log, open_log(disk).load()) == {1: 1, 2: 3}


def tear(disk, offset):
    fd = disk.open(PATH)
    byte = bytearray(1)
    disk.read_into(fd, offset, memoryview(byte))
    disk.write(fd, offset, bytes([byte[0] ^ 1]))


def test_a_torn_record_after_a_retired_one_leaves_none():
    disk = SimulatedDisk()
    log = open_log(disk)
    commit(log, {1: 1})
    log.retire()
    second = commit(log, {2: 2})
    tear(disk, second.pages[2].slot * PAGE)
    assert open_log(disk).load() is None


@pytest.mark.parametrize("seed", range(30))
def test_what_a_retired_record_took_over_never_comes_back(seed):
    disk, dice = SimulatedDisk(), random.Random(seed)
    log = open_log(disk)
    disk.sync_directory(PATH.parent)
    first = commit(log, {1: 1, 2: 2})
    second = commit(log, {1: 3}, first)
    log.retire()
    begun = disk.events
    third = commit(log, {5: 5, 6: 6, 7: 7})
    for at in range(begun, disk.events + 1):
        assert open_log(disk.crash(at, dice)).load() in (second, third, None)


def test_two_records_that_can_not_be_read_are_damage():
    disk = SimulatedDisk()
    log = open_log(disk)
    first = commit(log, {1: 1})
    second = commit(log, {2: 2}, first)
    tear(disk, second.pages[2].slot * PAGE)
    tear(disk, first.pages[1].slot * PAGE)
    with pytest.raises(FileDamaged, match="redo"):
        open_log(disk).load()


@pytest.mark.parametrize("offset", [0, 8, 40, 200, 511])
def test_a_torn_header_is_no_record(offset):
    disk = SimulatedDisk()
    record = commit(open_log(disk), {1: 1})
    tear(disk, record.number % 2 * PAGE + offset)
    assert open_log(disk).load() is None


def test_a_log_that_is_used_for_long_stays_small():
    disk = SimulatedDisk()
    log = open_log(disk)
    record = EMPTY
    for number in range(300):
        record = commit(log, dict.fromkeys(range(10), number % 256), record)
    assert len(disk.contents(PATH)) < 40 * PAGE


def test_a_log_that_was_large_once_gets_short_again():
    disk = SimulatedDisk()
    log = open_log(disk)
    commit(log, dict.fromkeys(range(3000), 1))
    log.retire()
    for _ in range(3):
        commit(log, {1: 1})
        log.retire()
    assert len(disk.contents(PATH)) < 1 << 20
    assert open_log(disk).load() is not None


def test_an_abandoned_page_gives_its_slot_back():
    log = open_log(SimulatedDisk())
    slot = log.write_page(bytearray(PAGE))
    log.abandon()
    assert log.write_page(bytearray(PAGE)) == slot


steps = st.lists(
    st.tuples(st.dictionaries(st.integers(0, 8), st.integers(0, 255), min_size=1), st.booleans()),
    min_size=1,
    max_size=6,
)


@settings(max_examples=150, deadline=None)
@given(steps, st.integers(0, 2**32), st.floats(0, 1))
def test_after_any_crash_the_log_says_the_last_synced_state_or_the_next(steps, seed, moment):
    """Retired records may come back (their file knows), but only the newest one of them."""
    disk = SimulatedDisk()
    log, record = open_log(disk), EMPTY
    disk.sync_directory(PATH.parent)
    history = [(disk.events, {})]
    for pages, retire in steps:
        record = commit(log, pages, record)
        history.append((disk.events, values(log, record)))
        if retire:
            log.retire()
            record = EMPTY
    at = history[0][0] + int(moment * (disk.events - history[0][0]))
    log = open_log(disk.crash(at, random.Random(seed)))
    found = log.load()
    safe = max(n for n, (done, _) in enumerate(history) if done <= at)
    possible = [state for _, state in history[safe : safe + 2]]
    if safe and steps[safe - 1][1]:
        possible.append({})
    assert (values(log, found) if found else {}) in possible
