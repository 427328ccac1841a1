"""The overlay against a plain array of bytes."""

from hypothesis import given, settings
from hypothesis import strategies as st

from h5daq.storage.overlay import PAGE, Overlay

PAGES = 6
SIZE = PAGES * PAGE


class Store:
    """A redo log's pages, in memory."""

    def __init__(self):
        self.slots = {}

    def write_page(self, image, slot=None):
        slot = len(self.slots) if slot is None else slot
        self.slots[slot] = bytes(image)
        return slot

    def read_page(self, slot):
        return bytearray(self.slots[slot])


def make(limit=SIZE, committed=()):
    disk = bytearray(number % 251 for number in range(SIZE))
    store = Store()
    slots = {page: store.write_page(bytes([200 + page]) * PAGE) for page in committed}
    overlay = Overlay(lambda page: disk[page * PAGE : (page + 1) * PAGE], store, slots, limit)
    expected = bytearray(disk)
    for page in committed:
        expected[page * PAGE : (page + 1) * PAGE] = bytes([200 + page]) * PAGE
    return disk, overlay, expected


def read(disk, overlay, offset, length):
    buffer = bytearray(disk[offset : offset + length])
    overlay.read_over(offset, memoryview(buffer))
    return buffer


writes = st.lists(
    st.tuples(st.integers(0, SIZE - 1), st.integers(1, 3 * PAGE), st.integers(0, 255)), max_size=12
)


@settings(max_examples=100, deadline=None)
@given(writes, st.sets(st.integers(0, PAGES - 1)), st.sampled_from([1, 2 * PAGE, SIZE]))
def test_reads_see_what_was_written_over_what_was_committed_over_the_disk(writes, committed, limit):
    disk, overlay, expected = make(limit, committed)
    for offset, length, value in writes:
        data = bytes([value]) * min(length, SIZE - offset)
        overlay.write(offset, memoryview(data))
        expected[offset : offset + len(data)] = data
        assert (
            read(disk, overlay, offset // 2, length + 100)
            == (expected[offset // 2 : offset // 2 + length + 100])
        )
    assert read(disk, overlay, 0, SIZE) == expected


@settings(max_examples=50, deadline=None)
@given(writes, st.sets(st.integers(0, PAGES - 1)), st.integers(0, SIZE))
def test_changes_are_the_pages_that_differ_below_the_length(writes, committed, length):
    _, overlay, expected = make(2 * PAGE, committed)
    before = bytes(expected)
    for offset, size, value in writes:
        data = bytes([value]) * min(size, SIZE - offset)
        overlay.write(offset, memoryview(data))
        expected[offset : offset + len(data)] = data
    differ = [
        page
        for page in range(PAGES)
        if expected[page * PAGE : length][:PAGE] != before[page * PAGE : length][:PAGE]
    ]
    assert [page for page, _ in overlay.changes(length)] == differ


def test_a_page_written_back_to_what_it_was_is_no_change():
    disk, overlay, _ = make()
    overlay.write(10, memoryview(b"other"))
    overlay.write(10, memoryview(bytes(disk[10:15])))
    assert list(overlay.changes(SIZE)) == []


def test_memory_holds_no_more_than_the_limit():
    _, overlay, _ = make(limit=3 * PAGE)
    for page in range(PAGES):
        overlay.write(page * PAGE, memoryview(b"x"))
        assert overlay.held_bytes <= 3 * PAGE


def test_a_discarded_change_shows_what_was_committed():
    disk, overlay, expected = make(limit=PAGE, committed={1, 2})
    overlay.write(0, memoryview(bytes(SIZE)))
    overlay.discard()
    assert read(disk, overlay, 0, SIZE) == expected
