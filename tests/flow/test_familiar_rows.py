"""Rows that are known by how they begin are read as those that are not, whatever they hold."""

from __future__ import annotations

from typing import Any

import msgpack
from hypothesis import example, given
from hypothesis import strategies as st

from h5daq.errors import WireError
from h5daq.flow.familiar_rows import HeadReader
from h5daq.flow.wire import decode_head, encode

GROUPS = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="/\0."), min_size=1, max_size=9
)
NUMBERS = st.integers(0, (1 << 64) - 1)


def outcome(read: Any, message: bytes) -> Any:
    try:
        return read(memoryview(message))
    except WireError as error:
        return error.cause


def same(reader: HeadReader, message: bytes) -> bool:
    """Whether a message is read as without a memory, twice."""
    return all(outcome(reader.read, message) == outcome(decode_head, message) for _ in range(2))


@given(GROUPS, NUMBERS, st.lists(st.tuples(NUMBERS, NUMBERS, st.binary(max_size=300)), max_size=4))
@example("åfirst\x05¡n\x01¤data", 7, [(70, 1, bytes(8))])
def test_rows_of_a_known_worker_are_read_each_time(group, inc, sent):
    reader = HeadReader()
    for first, n, data in [(0, 1, b"12345678"), *sent]:
        assert same(reader, encode("rows", job=group, inc=inc, first=first, n=n, data=data))


@given(NUMBERS, st.integers(0, 90), st.integers(0, 255), st.integers(0, 90))
def test_what_was_bent_is_judged_as_without_a_memory(first, at, value, cut):
    good = encode("rows", job="tank", inc=7, first=first, n=2, data=bytes(range(40)))
    reader, bent = HeadReader(), bytearray(good)
    outcome(reader.read, good)
    bent[at % len(bent)] = value
    for message in (bytes(bent), good[: cut % len(good)], good + b"\xc0", good):
        assert same(reader, message)


def test_keys_in_another_order_or_with_texts_are_read_as_ever():
    fields = {"v": 1, "inc": 7, "k": "rows", "job": "tank", "first": 3, "n": 1, "data": bytes(8)}
    text = {"v": 1, "k": "rows", "job": "tank", "inc": 7, "first": 3, "n": 1, "text": [["a"]]}
    for message in (msgpack.packb(fields), msgpack.packb({**text, "data": bytes(8)})):
        assert same(HeadReader(), message)


def test_the_job_of_known_rows_is_the_very_same_text():
    reader = HeadReader()
    sent = [encode("rows", job="tank", inc=7, first=n, n=1, data=bytes(8)) for n in (0, 1, 300)]
    heads = [reader.read(memoryview(message)) for message in sent]
    assert [head.first for head in heads] == [0, 1, 300]
    assert heads[1].job is heads[2].job
