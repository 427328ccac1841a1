"""A request that is known by its bytes is read as one that is not, and a wrong one is refused."""

from __future__ import annotations

import weakref
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from h5daq.errors import WireError
from h5daq.flow import packing
from h5daq.flow.familiar import RequestReader
from h5daq.flow.requests import Request, decode_request, encode_request

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 1 << 40) | TEXTS | st.binary(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)
NUMBERS = st.integers(0, (1 << 63) - 1)


def outcome(read: Any, given_: Any) -> Any:
    try:
        return read(given_)
    except WireError as error:
        return error.cause


@given(st.lists(NUMBERS, min_size=1, max_size=4), st.dictionaries(TEXTS, VALUES, max_size=3))
def test_the_same_request_under_other_numbers_is_read_each_time(numbers, args):
    reader, found = RequestReader(), []
    for number in numbers:
        sent = Request(number, "add", args, 1, "anna", (bytes([number % 251]),))
        found.append(reader.read(encode_request(sent)))
        assert found[-1] == sent
    assert all(request.args is found[0].args for request in found)


@given(NUMBERS, st.integers(0, 90), st.integers(0, 255), st.integers(0, 90))
def test_what_was_bent_is_judged_as_without_a_memory(number, at, value, cut):
    good = encode_request(Request(number, "get", {"limit": None}, 1, "anna"))
    reader = RequestReader()
    reader.read(good)
    bent = bytearray(good[0])
    bent[at % len(bent)] = value
    for frames in ([bytes(bent)], [good[0][: cut % len(good[0])]], [good[0] + b"\xc0"]):
        for _ in range(2):
            assert outcome(reader.read, frames) == outcome(decode_request, frames)


def test_a_number_beyond_63_bits_is_refused_also_of_a_known_request():
    reader, rest = RequestReader(), encode_request(Request(1, "get"))[0][8:]
    reader.read([b"\x86\xa1v\x01\xa2id\x01" + rest])
    with pytest.raises(WireError):
        reader.read([b"\x86\xa1v\x01\xa2id\xcf" + b"\xff" * 8 + rest])


def test_a_known_request_with_too_many_frames_or_bytes_is_refused(monkeypatch):
    reader, head = RequestReader(), encode_request(Request(1, "get"))
    reader.read(head)
    with pytest.raises(WireError, match="frames"):
        reader.read(head + [b""] * 257)
    monkeypatch.setattr(packing, "MAX_MESSAGE_BYTES", 100)
    with pytest.raises(WireError, match="bytes"):
        reader.read([*head, bytes(100)])


def test_what_is_remembered_of_a_request_is_not_its_data():
    reader, data = RequestReader(), np.zeros(100)
    reader.read([*encode_request(Request(1, "add", {"n": 100})), memoryview(data).cast("B")])
    before = weakref.ref(data)
    del data
    assert before() is None
