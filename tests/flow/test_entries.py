"""Journal entries: what is framed comes back, and nothing else ever does."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from h5daq.errors import FileDamaged
from h5daq.flow.entries import (
    HEADER_BYTES,
    find_witness,
    frame_bytes,
    frame_head,
    frame_header,
    padding,
    read_head,
    scan,
    walk,
)

SALT = 0xC0FFEE

messages = st.lists(st.binary(max_size=60), min_size=1, max_size=12)


def framed(message: bytes, lsn: int, synced_lsn: int = 0, salt: int = SALT) -> bytes:
    return frame_header(lsn, synced_lsn, [message], salt) + message + padding(len(message))


def stretch(
    payloads: list[bytes], first: int = 1, *, synced: bool = False, salt: int = SALT
) -> bytes:
    """Entries one after the other; when `synced`, each knows that the one before it was."""
    return b"".join(
        framed(payload, lsn, lsn - 1 if synced else 0, salt)
        for lsn, payload in enumerate(payloads, first)
    )


def read(buf: bytes, first: int = 1, salt: int = SALT) -> list[bytes]:
    return [bytes(entry.message) for entry in scan(buf, first, salt)]


@given(messages, st.integers(1, 2**63))
def test_what_is_framed_is_read_back_in_order(payloads: list[bytes], first: int) -> None:
    entries = list(scan(stretch(payloads, first), first, SALT))
    assert [bytes(entry.message) for entry in entries] == payloads
    assert [entry.lsn for entry in entries] == list(range(first, first + len(payloads)))


@given(st.lists(st.binary(max_size=40), max_size=5))
def test_a_message_in_pieces_is_framed_like_the_same_in_one(parts: list[bytes]) -> None:
    whole = b"".join(parts)
    assert frame_header(7, 3, parts, SALT) == frame_header(7, 3, [whole], SALT)


@pytest.mark.parametrize("length", range(20))
def test_entries_begin_at_multiples_of_eight(length: int) -> None:
    entry = framed(bytes(length), 1)
    assert len(entry) == frame_bytes(length)
    assert len(entry) % 8 == 0


@settings(max_examples=40)
@given(messages)
def test_an_entry_torn_anywhere_ends_the_entries_before_it(payloads: list[bytes]) -> None:
    buf = stretch(payloads)
    # Padding is not part of what an entry must have.
    ends = [e.end - len(padding(len(e.message))) for e in walk(buf, 1, SALT)]
    for cut in range(len(buf) + 1):
        assert read(buf[:cut]) == payloads[: sum(end <= cut for end in ends)]
        zeros = buf[:cut] + bytes(len(buf) - cut)
        assert read(zeros) == payloads[: sum(zeros[:end] == buf[:end] for end in ends)]


@settings(max_examples=200)
@given(messages, st.data())
def test_a_flipped_bit_never_gives_a_message_that_was_not_there(
    payloads: list[bytes], data: st.DataObject
) -> None:
    buf = bytearray(stretch(payloads))
    bit = data.draw(st.integers(0, len(buf) * 8 - 1))
    buf[bit // 8] ^= 1 << bit % 8
    got = read(bytes(buf))
    assert got == payloads[: len(got)]
    if len(got) < len(payloads):
        assert sum(frame_bytes(len(m)) for m in got) <= bit // 8


@settings(max_examples=200)
@given(messages.filter(lambda m: len(m) > 1), st.data())
def test_a_hole_below_what_was_synced_is_damage_and_its_place_is_named(
    payloads: list[bytes], data: st.DataObject
) -> None:
    buf = bytearray(stretch(payloads, synced=True))
    broken = data.draw(st.integers(0, len(payloads) - 2))
    offset = sum(frame_bytes(len(m)) for m in payloads[:broken])
    at = data.draw(st.integers(0, HEADER_BYTES + len(payloads[broken]) - 1))
    buf[offset + at] ^= 0xFF
    with pytest.raises(FileDamaged, match=f"00000007.seg: entry {broken + 1} at offset {offset} "):
        list(scan(bytes(buf), 1, SALT, name="00000007.seg"))


def test_a_hole_in_what_was_not_synced_is_a_torn_tail() -> None:
    payloads = [bytes([65 + i]) * 30 for i in range(6)]
    buf = bytearray(stretch(payloads))
    buf[3 * frame_bytes(30) + HEADER_BYTES] ^= 1
    assert read(bytes(buf)) == payloads[:3]


@given(messages, messages, st.integers(1, 20))
def test_entries_of_an_earlier_use_of_the_segment_stay_dead(
    new: list[bytes], old: list[bytes], first: int
) -> None:
    # Also when they stand at the right place and would have the right number.
    stale = stretch(old, first, synced=True, salt=SALT + 1)
    assert read(stretch(new) + stale) == new
    assert read(stale, first) == []


def test_the_next_entry_with_another_salt_is_not_the_next_entry() -> None:
    stale = framed(b"stale", 2, 1, salt=SALT ^ 1)
    assert read(framed(b"new", 1) + stale) == [b"new"]


def test_an_older_entry_is_not_taken_for_the_next() -> None:
    assert read(framed(b"five", 5) + framed(b"four", 4), first=5) == [b"five"]


def test_what_looks_like_an_entry_inside_a_message_is_no_witness_without_the_salt() -> None:
    forged = framed(b"forged", 9, 8, salt=0)
    torn = framed(forged, 2)[:-8]
    assert read(framed(b"one", 1) + torn) == [b"one"]


def test_without_a_salt_any_later_entry_that_was_synced_is_a_witness() -> None:
    buf = bytes(64) + framed(b"x", 9, 8)
    assert find_witness(buf, 8) == 9
    assert find_witness(buf, 9) is None


@pytest.mark.timeout(10)
def test_a_message_full_of_magics_does_not_slow_the_search_for_a_witness() -> None:
    decoy = frame_header(50, 1, [bytes(1 << 20)], SALT)
    assert find_witness(decoy * 60_000, 40, SALT) is None


@given(st.binary(max_size=5000), st.integers(0, 2**32 - 1))
def test_a_head_is_read_back(snapshot: bytes, salt: int) -> None:
    frame = frame_head(3, 41, 40, salt, snapshot)
    head = read_head(frame + b"whatever follows")
    assert head is not None
    assert (head.number, head.lsn, head.synced_lsn, head.salt) == (3, 41, 40, salt)
    assert (head.snapshot, head.end) == (snapshot, len(frame))


def test_a_torn_head_is_none() -> None:
    frame = frame_head(3, 41, 40, SALT, b"state of it")
    whole = len(frame) - len(padding(8 + len(b"state of it")))
    assert [cut for cut in range(len(frame)) if read_head(frame[:cut])] == list(
        range(whole, len(frame))
    )


def test_a_head_is_not_an_entry_nor_an_entry_a_head() -> None:
    assert read(frame_head(1, 1, 0, SALT, b"")) == []
    assert read_head(framed(b"a message long enough", 1)) is None


def test_messages_that_are_handed_out_are_read_only() -> None:
    (entry,) = scan(bytearray(framed(b"kept", 1)), 1, SALT)
    assert entry.message.readonly
