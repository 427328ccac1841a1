"""Batches: cutting keeps numbers and rows together."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from h5daq.flow.batch import EARLIEST, LATEST, Batch
from h5daq.flow.schema import Column, Schema

SCHEMA = Schema.of(
    [
        Column("T", np.dtype("f4")),
        Column("wave", np.dtype("i2"), (3,)),
        Column("note", np.dtype(object)),
    ]
)


def make(n: int, first: int = 100) -> Batch:
    """Rows whose every value tells their number."""
    numbers = np.arange(first, first + n)
    waves = np.repeat(numbers.astype("i2")[:, None], 3, axis=1)
    notes = [str(number) for number in numbers]
    return Batch("a/b", 7, first, n, (numbers.astype("f8"), numbers.astype("f4"), waves, notes))


def numbers(batch: Batch) -> list[int]:
    time, temperature, wave, notes = batch.columns
    rows = [int(note) for note in notes]
    assert rows == list(time) == list(temperature) == [w[0] for w in wave]
    return rows


@given(st.integers(0, 8), st.integers(0, 10))
def test_a_tail_begins_after_the_rows_skipped(n: int, skip: int) -> None:
    batch = make(n)
    tail = batch.tail(skip)
    assert tail.end == batch.end
    assert tail.n == max(0, n - skip)
    assert numbers(tail) == list(range(tail.first, tail.end))


@given(st.integers(0, 8), st.integers(-10, 10), st.integers(-10, 10) | st.none())
def test_a_slice_keeps_the_numbers_of_its_rows(n: int, start: int, stop: int | None) -> None:
    part = make(n).part(slice(start, stop))
    assert numbers(part) == list(range(100, 100 + n))[start:stop]
    assert numbers(part) == list(range(part.first, part.end))


@given(st.lists(st.booleans(), max_size=8))
def test_a_mask_picks_rows(mask: list[bool]) -> None:
    part = make(len(mask)).part(np.array(mask, bool))
    wanted = [100 + i for i, chosen in enumerate(mask) if chosen]
    assert numbers(part) == wanted
    assert part.n == len(wanted)
    assert part.first == (wanted[0] if wanted else 100)


def test_nothing_skipped_is_the_batch_itself() -> None:
    batch = make(3)
    assert batch.tail(0) is batch


def test_times_are_seconds_also_where_nanoseconds_are_kept() -> None:
    time = np.array([1_500_000_000, 2_000_000_000], "i8")
    batch = Batch("a", 1, 0, 2, (time,))
    assert batch.times().dtype == np.float64
    assert batch.times().tolist() == [1.5, 2.0]


def test_the_last_row_is_plain_python() -> None:
    row = make(2).last_row(SCHEMA)
    assert row == {"time": 101.0, "T": 101.0, "wave": [101, 101, 101], "note": "101"}
    assert [type(value) for value in row.values()] == [float, float, list, str]


def test_the_last_row_leaves_large_arrays_out() -> None:
    assert set(make(2).last_row(SCHEMA, max_elements=2)) == {"time", "T", "note"}


@pytest.mark.parametrize(
    ("dtype", "value", "plain"),
    [
        ("c16", 1 + 2j, [1.0, 2.0]),
        ("S3", b"ab", "ab"),
        ("?", True, True),
        ("u8", 2**64 - 1, 2**64 - 1),
    ],
)
def test_each_kind_of_value_has_a_plain_form(dtype: str, value: object, plain: object) -> None:
    schema = Schema.of([Column("x", np.dtype(dtype))])
    batch = Batch("a", 1, 0, 1, (np.zeros(1), np.array([value], dtype)))
    assert batch.last_row(schema)["x"] == plain


def test_a_batch_without_rows_has_no_last_row() -> None:
    assert make(0).last_row(SCHEMA) == {}


@given(st.lists(st.floats(allow_nan=True), min_size=1, max_size=70))
def test_a_span_is_what_numpy_finds_in_the_times(times: list[float]) -> None:
    span = Batch("a", 7, 0, len(times), (np.array(times),)).span
    if {math.inf, -math.inf} <= set(times) or any(map(math.isnan, times)):
        assert not (span.oldest >= EARLIEST and span.newest < LATEST)
    else:
        assert span == (min(times), max(times), times[-1])
