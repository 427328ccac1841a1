"""Rows of the vault on the wire: what goes in comes out, and nothing else gets in."""

import contextlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from h5daq.errors import WireError
from h5daq.flow.requests import Request, decode_request, encode_request
from h5daq.flow.vaultwire import DTYPES, decode_columns, encode_columns
from h5daq.storage.runs.rooms import row_of_rooms

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)


@st.composite
def tables(draw):
    n = draw(st.integers(0, 5))
    arrays = st.sampled_from(sorted(DTYPES)).flatmap(
        lambda kind: npst.array_shapes(min_dims=0, max_dims=2, max_side=3).flatmap(
            lambda shape: npst.arrays(kind, (n, *shape))
        )
    )
    texts = st.lists(TEXT, min_size=n, max_size=n)
    return draw(st.lists(arrays | texts, max_size=4))


def test_a_column_of_each_kind_comes_back_as_it_was():
    columns = [np.array([1, 2], "<i4"), ["a", ""], np.ones((2, 3, 1)), np.array([1j, 2], "<c16")]
    fields, frames = encode_columns(columns)
    found = decode_columns(fields, frames)
    assert found[1] == ["a", ""]
    for before, after in zip(columns[::2], found[::2], strict=True):
        np.testing.assert_array_equal(before, after)
        assert before.dtype == after.dtype


def test_arrays_of_texts_and_foreign_byte_order_travel_too():
    fields, frames = encode_columns([np.array(["x"], dtype=object), np.array([258], ">i2")])
    assert decode_columns(fields, frames)[0] == ["x"]
    assert frames == [b"\x02\x01"]


@settings(deadline=None)
@given(tables())
def test_what_goes_in_comes_out_through_a_request(columns):
    fields, frames = encode_columns(columns)
    sent = encode_request(Request(1, "add_ex_t", fields, 1, "s", tuple(frames)))
    request = decode_request([bytes(frame) for frame in sent])
    found = decode_columns(request.args, request.frames)
    assert len(found) == len(columns)
    for before, after in zip(columns, found, strict=True):
        if isinstance(before, list):
            assert before == after
        else:
            assert (before.tobytes(), before.shape) == (after.tobytes(), after.shape)


@settings(deadline=None)
@given(tables(), st.randoms(use_true_random=False))
def test_columns_that_lie_in_a_row_are_sent_from_there_as_any_others(columns, chance):
    arrays = [column for column in columns if isinstance(column, np.ndarray)]
    room = row_of_rooms(sum(array.nbytes for array in arrays))
    placed = [_in(room, array) for array in arrays]
    for _ in range(2):
        fields, frames = encode_columns(placed, copy=False)
        wanted = encode_columns([array.copy() for array in placed])
        assert (fields, [bytes(frame) for frame in frames]) == wanted
        chance.shuffle(placed)


def _in(room, array):
    place = room(array.dtype, array.shape)
    if place is None:
        return array
    place[...] = array
    return place


def test_columns_of_different_lengths_are_refused():
    with pytest.raises(WireError, match="different lengths"):
        encode_columns([np.zeros(2), np.zeros(3)])


@pytest.mark.parametrize(
    ("fields", "frames"),
    [
        ({}, []),
        ({"n": -1, "columns": []}, []),
        ({"n": True, "columns": []}, []),
        ({"n": 2, "columns": [["<f8", []]]}, [bytes(15)]),
        ({"n": 2, "columns": [["<f8", []]]}, []),
        ({"n": 1 << 39, "columns": [["<f8", [1 << 25]]]}, [b""]),
        ({"n": 0, "columns": [["<f8", [1 << 30, 1 << 30]]]}, [b""]),
        ({"n": 0, "columns": [["|O8", []]]}, []),
        ({"n": 0, "columns": [[["<f8"], []]]}, []),
        ({"n": 1, "columns": [["text"]], "text": [["a", "b"]]}, []),
        ({"n": 1, "columns": [["text"]], "text": [[1]]}, []),
        ({"n": 1, "columns": [["text"]]}, []),
        ({"n": 1, "columns": [["<f8", [0]]]}, []),
        ({"n": 0, "columns": []}, [b"", b""]),
    ],
)
def test_a_message_that_is_not_what_it_says_is_refused(fields, frames):
    with pytest.raises(WireError):
        decode_columns(fields, frames)


junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4) | st.sampled_from(["<f8"]),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=8,
)


@given(st.fixed_dictionaries({"n": junk, "columns": junk, "text": junk}), st.lists(st.binary()))
def test_junk_raises_nothing_but_the_one_error(fields, frames):
    with contextlib.suppress(WireError):
        decode_columns(fields, frames)
