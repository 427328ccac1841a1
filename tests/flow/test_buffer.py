"""The row buffer: what goes in comes out in order, and a bad row leaves no trace."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import suppress
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from h5daq.errors import ReadingError
from h5daq.flow.batch import Batch
from h5daq.flow.buffer import MAX_BATCH_BYTES, RowBuffer
from h5daq.flow.rows import MAX_TEXT_BYTES
from h5daq.flow.schema import Column, Schema

NAN, INF = float("nan"), float("inf")


def one(dtype: Any, shape: tuple[int, ...] = ()) -> Schema:
    return Schema.of([Column("x", np.dtype(dtype), shape)])


TWO = Schema.of([Column("x", np.dtype("f8")), Column("n", np.dtype("i2"))])
TEXT = Schema.of([Column("x", np.dtype("f8")), Column("s", np.dtype(object))])


def take(buffer: RowBuffer, first: int = 0) -> Batch:
    batch = buffer.take("job", 1, first)
    assert batch is not None
    return batch


def stored(schema: Schema, result: Any) -> Any:
    """What a reading's only column holds after one append."""
    buffer = RowBuffer(schema)
    assert buffer.append(0.0, result)
    return take(buffer).columns[1][0]


def cause(schema: Schema, result: Any) -> str:
    """Why a reading is refused; and nothing of it may stay."""
    buffer = RowBuffer(schema)
    with pytest.raises(ReadingError) as caught:
        buffer.append(0.0, result)
    assert buffer.n == 0
    return caught.value.cause


def clock(step: float = 1.0) -> Callable[[], float]:
    ticks = itertools.count()
    return lambda: next(ticks) * step


# -- values ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dtype", "value"),
    [
        ("f8", 1.5), ("f8", 3), ("f8", np.float32(0.5)), ("f8", Decimal("0.5")), ("f8", INF),
        ("f8", True), ("f4", 0.5), ("f4", -INF), ("f4", 7), ("f2", 0.5),
        ("i2", -3), ("i2", 2.0), ("i2", np.int64(9)), ("i2", True), ("u8", 2**64 - 1),
        ("i8", -(2**63)), ("?", True), ("?", np.False_), ("?", 1),
        ("c16", 1 + 2j), ("c8", 2.0), ("S3", b"abc"), ("S3", "é"),
    ],
)  # fmt: skip
def test_a_value_that_fits_is_stored_as_it_is(dtype: str, value: Any) -> None:
    expected = value.encode() if isinstance(value, str) else value
    assert stored(one(dtype), [value]) == expected
    assert stored(one(dtype), value) == expected


@pytest.mark.parametrize(
    ("given", "dtype"), [("i2", "f8"), ("u1", "i2"), ("f4", "c8"), ("S1", "S3")]
)
def test_an_array_may_go_into_a_dtype_that_has_all_its_values(given: str, dtype: str) -> None:
    values = np.array([0, 1, 2, 3]).astype(given)
    assert np.array_equal(stored(one(dtype, (4,)), values), values)


@pytest.mark.parametrize("dtype", ["f8", "f4", "f2", "c8"])
def test_nan_may_stand_in_a_float(dtype: str) -> None:
    assert np.isnan(stored(one(dtype), [NAN]))


@pytest.mark.parametrize(
    ("dtype", "value"),
    [
        ("f8", "1.5"), ("f8", None), ("f8", 1j), ("f8", b"1"), ("f8", 10**400), ("f8", object()),
        ("f4", 1e300), ("f4", -(10**60)), ("f2", 1e6), ("f8", np.datetime64("2020-01-01")),
        ("i2", 1.7), ("i2", 40_000), ("i2", NAN), ("i8", 2**63), ("i8", 2.0**63),
        ("u1", -1), ("u8", 2**64), ("u8", -1.0), ("?", 2), ("?", "yes"), ("?", 0.5),
        ("c8", 1e300), ("c16", "1"), ("S3", b"abcd"), ("S3", 5),
    ],
)  # fmt: skip
def test_a_value_that_would_change_is_refused(dtype: str, value: Any) -> None:
    assert cause(one(dtype), [value]) == "value"


@pytest.mark.parametrize("wrap", [lambda v: v, lambda v: [v], lambda v: (v,), lambda v: v.tolist()])
@pytest.mark.parametrize("shape", [(3,), (1,), (2, 2), (1, 1)])
def test_an_only_array_may_come_bare_or_in_a_list(shape: tuple[int, ...], wrap: Any) -> None:
    value = np.arange(np.prod(shape)).reshape(shape)
    assert np.array_equal(stored(one("i4", shape), wrap(value)), value)


@pytest.mark.parametrize("value", [np.zeros(4), np.zeros((1, 3)), [[1, 2], [3]], 5.0, [1, 2]])
def test_an_array_of_another_shape_is_refused(value: Any) -> None:
    assert cause(one("f8", (3,)), [value]) == "shape"


@pytest.mark.parametrize("bad", [[1.0], [1.0, 2, 3], 5.0, "ab", {"x": 1, "n": 2}, np.zeros(3)])
def test_another_count_of_entries_is_refused(bad: Any) -> None:
    assert cause(TWO, bad) == "count"


@pytest.mark.parametrize("result", [[1.0, 2], (1.0, 2), np.array([1.0, 2.0]), iter([1.0, 2])])
def test_any_sequence_will_do_for_a_row(result: Any) -> None:
    buffer = RowBuffer(TWO)
    assert buffer.append(5.0, result)
    assert [column[0] for column in take(buffer).columns] == [5.0, 1.0, 2]


@pytest.mark.parametrize("nothing", [None, [], (), np.array([])])
@pytest.mark.parametrize("schema", [TWO, one("f8"), one("i2", (3,)), one(object)])
def test_none_and_nothing_are_skipped(schema: Schema, nothing: Any) -> None:
    buffer = RowBuffer(schema)
    assert buffer.append(0.0, nothing) is False
    assert buffer.n == 0


@pytest.mark.parametrize("zero", [0, 0.0, np.zeros(()), False])
def test_a_bare_zero_is_a_value(zero: Any) -> None:
    assert stored(one("f8"), zero) == 0.0


@pytest.mark.parametrize("value", ["", "x", "µ" * 1000, np.str_("s")])
def test_text_columns_hold_strings(value: str) -> None:
    assert stored(one(object), value) == value
    assert type(stored(one(object), [value])) is str


@pytest.mark.parametrize("value", [b"x", 5, "a\0b", "\ud800", [["a"]]])
def test_a_text_that_no_file_can_hold_is_refused(value: Any) -> None:
    assert cause(one(object), [value]) == "value"


def test_too_much_text_in_one_row_is_refused() -> None:
    assert cause(one(object), "x" * (MAX_TEXT_BYTES + 1)) == "size"


@pytest.mark.parametrize("t", [NAN, INF, 1e15, -1e12])
def test_a_time_that_no_calendar_knows_is_refused(t: float) -> None:
    buffer = RowBuffer(TWO)
    for row in ([t, 1.0, 2], [t, "x", 2]):
        with pytest.raises(ReadingError):
            buffer.append(None, row)
    with pytest.raises(ReadingError, match="time"):
        buffer.extend([[t], [1.0], [2]])
    assert buffer.n == 0


def test_nanoseconds_are_whole_numbers() -> None:
    buffer = RowBuffer(Schema.of([Column("x", np.dtype("f8"))], "i8"))
    assert buffer.append(1_700_000_000_123_456_789, [1.0])
    assert buffer.append(None, [1_700_000_000_123_456_790, 1.0])
    with pytest.raises(ReadingError):
        buffer.append(0.5, [1.0])
    times = take(buffer).columns[0]
    assert list(times) == [1_700_000_000_123_456_789, 1_700_000_000_123_456_790]


# -- rows ------------------------------------------------------------------------------------------

good = st.tuples(st.floats(), st.integers(-(2**15), 2**15 - 1))
bad = st.sampled_from([None, (), (1.0,), (1.0, 1.5), (1.0, 2**15), ("x", 1), (1.0, None)])


@given(st.lists(good | bad, max_size=30), st.integers(1, 4), st.integers(1, 8))
@settings(deadline=None)
def test_good_rows_come_out_in_order_and_bad_ones_leave_no_trace(
    readings: list[Any], rows: int, every: int
) -> None:
    buffer, out, wanted = RowBuffer(TWO, rows=rows), [], []
    for t, reading in enumerate(readings):
        with suppress(ReadingError):
            wanted += [(float(t), *reading)] if buffer.append(float(t), reading) else []
        if t % every == 0:
            out += rows_in(buffer)
    assert repr(out + rows_in(buffer)) == repr(wanted)


def rows_in(buffer: RowBuffer) -> list[tuple[Any, ...]]:
    rows = []
    while (batch := buffer.take("job", 1, 0)) is not None:
        columns = [c if isinstance(c, list) else c.tolist() for c in batch.columns]
        rows += list(zip(*columns, strict=True))
    return rows


def test_a_batch_keeps_its_rows_when_the_buffer_goes_on() -> None:
    buffer = RowBuffer(TWO, rows=2)
    buffer.append(1.0, [1.0, 1])
    batch = take(buffer, first=7)
    buffer.append(2.0, [2.0, 2])
    assert (batch.first, batch.n, batch.columns[1][0]) == (7, 1, 1.0)


def test_an_empty_buffer_gives_no_batch() -> None:
    assert RowBuffer(TWO).take("job", 1, 0) is None


def test_a_buffer_is_full_by_rows_by_bytes_and_by_text() -> None:
    by_rows, by_bytes = RowBuffer(TWO, rows=2), RowBuffer(TWO, max_bytes=2 * TWO.row_bytes)
    by_text = RowBuffer(TEXT, rows=100, max_bytes=10)
    for buffer, row in ((by_rows, [0, 0]), (by_bytes, [0, 0]), (by_text, [0, "12345"])):
        buffer.append(0.0, row)
        assert not buffer.full
        buffer.append(0.0, row)
        assert buffer.full


def test_a_full_buffer_still_takes_rows() -> None:
    buffer = RowBuffer(TEXT, rows=2)
    for i in range(9):
        buffer.append(float(i), [i, str(i)])
    assert take(buffer).columns[2] == [str(i) for i in range(9)]


def test_rows_are_due_when_the_oldest_has_waited() -> None:
    buffer = RowBuffer(TWO, max_age=0.5)
    assert not buffer.due(10.0)
    assert buffer.next_due() is None
    buffer.append(0.0, [0, 0])
    assert not buffer.due(20.0)
    buffer.append(0.0, [0, 0])
    assert buffer.next_due() == 20.5
    assert buffer.due(20.5)
    take(buffer)
    assert not buffer.due(30.0)


# -- fill ------------------------------------------------------------------------------------------


def test_a_fill_ends_when_the_buffer_is_full() -> None:
    buffer = RowBuffer(TWO, rows=5)
    assert buffer.fill(lambda: (1.0, 2), clock(), 1e9)
    assert buffer.full
    assert take(buffer).columns[0].tolist() == [1, 2, 3, 4, 5]  # type: ignore[union-attr]


def test_a_fill_of_a_buffer_that_is_overfull_loses_nothing() -> None:
    buffer = RowBuffer(TWO, rows=1)
    for i in range(3):
        buffer.append(float(i), [1.0, i])
    assert buffer.fill(lambda: (1.0, 9), clock(), 1e9)
    assert [row[2] for row in rows_in(buffer)] == [0, 1, 2]


def test_a_fill_ends_in_time() -> None:
    buffer = RowBuffer(TWO, rows=100)
    assert buffer.fill(lambda: (1.0, 2), clock(), 4.0)
    assert buffer.n == 3


def test_a_fill_ends_when_the_clock_is_set_back() -> None:
    times = iter([100.0, 100.1, 100.2, 50.0])
    buffer = RowBuffer(TWO, rows=100)
    assert buffer.fill(lambda: (1.0, 2), lambda: next(times), 200.0)
    assert buffer.n == 2


@pytest.mark.parametrize("timed", [False, True])
@pytest.mark.parametrize("nothing", [None, []])
def test_a_fill_says_when_the_getter_had_nothing(timed: bool, nothing: Any) -> None:
    rows = iter([(1.0, 2), (1.0, 2), nothing])
    buffer = RowBuffer(TWO, rows=100)
    getter = (lambda: r and (9.0, *r) if (r := next(rows)) else r) if timed else lambda: next(rows)
    assert buffer.fill(getter, clock(), 1e9, timed=timed) is False
    assert buffer.n == 2


@pytest.mark.parametrize("schema", [TWO, TEXT])
def test_a_fill_keeps_the_rows_before_a_failure(schema: Schema) -> None:
    last = 2 if schema is TWO else "s"
    buffer = RowBuffer(schema, rows=100)

    def getter() -> Iterator[Any]:
        yield from [(1.0, last), (2.0, last), (3.0, None), (4.0, last)]
        raise OSError("unplugged")

    readings = getter()
    with pytest.raises(ReadingError):
        buffer.fill(lambda: next(readings), clock(), 1e9)
    with pytest.raises(OSError, match="unplugged"):
        buffer.fill(lambda: next(readings), clock(), 1e9)
    assert [float(x) for x in take(buffer).columns[1]] == [1.0, 2.0, 4.0]


def test_a_fill_with_times_takes_them_from_the_getter() -> None:
    rows = iter([(5.0, 1.0, 2), (6.0, 1.0, 2.0)])
    buffer = RowBuffer(TWO, rows=2)
    assert buffer.fill(lambda: next(rows), clock(), 1e9, timed=True)
    assert take(buffer).columns[0].tolist() == [5.0, 6.0]  # type: ignore[union-attr]


def test_a_fill_of_text_ends_when_the_text_is_enough() -> None:
    buffer = RowBuffer(TEXT, rows=100, max_bytes=10)
    assert buffer.fill(lambda: (1.0, "1234"), clock(), 1e9)
    assert buffer.n == 3
    take(buffer)
    assert buffer.fill(lambda: (1.0, "1234"), clock(), 1e9)
    assert buffer.n == 3


@pytest.mark.parametrize("dtype", ["f4", "f2", "?", "c8", "i1", "u8", object])
def test_a_fill_takes_every_kind_of_column(dtype: Any) -> None:
    value = "s" if dtype is object else 1
    schema = Schema.of([Column(name, np.dtype(dtype)) for name in "ab"])
    buffer = RowBuffer(schema, rows=3)
    assert buffer.fill(lambda: [value, value], clock(), 1e9)
    assert list(take(buffer).columns[2]) == [value] * 3


# -- extend ----------------------------------------------------------------------------------------


@given(st.lists(st.lists(good, max_size=6), max_size=6), st.integers(1, 8))
@settings(deadline=None)
def test_blocks_come_out_row_by_row(blocks: list[list[Any]], rows: int) -> None:
    buffer = RowBuffer(TWO, rows=rows)
    for t, block in enumerate(blocks):
        floats, whole = [row[0] for row in block], [row[1] for row in block]
        assert buffer.extend([[float(t)] * len(block), floats, whole]) == len(block)
    wanted = [(float(t), *row) for t, block in enumerate(blocks) for row in block]
    assert repr(rows_in(buffer)) == repr(wanted)


@pytest.mark.parametrize(
    ("columns", "why"),
    [
        ([[0.0], [1.0]], "count"),
        (None, "count"),
        ([[0.0, 1.0], [1.0], [1]], "shape"),
        ([0.0, 1.0, 1], "shape"),
        ([[0.0, 1.0], [1.0, 2.0], [1, 1.5]], "value"),
        ([[0.0], [[1.0]], [1]], "shape"),
        ([[0.0, NAN], [1.0, 1.0], [1, 1]], "time"),
    ],
)
def test_a_block_that_does_not_fit_leaves_no_row(columns: Any, why: str) -> None:
    buffer = RowBuffer(TWO)
    with pytest.raises(ReadingError) as caught:
        buffer.extend(columns)
    assert (caught.value.cause, buffer.n) == (why, 0)


@pytest.mark.parametrize("dtype", ["f8", "i2", "?", "c8", "S3", object])
def test_a_block_without_rows_is_nothing(dtype: Any) -> None:
    assert RowBuffer(one(dtype)).extend([[], []]) == 0


def test_a_block_of_text_and_arrays_is_taken() -> None:
    schema = Schema.of([Column("w", np.dtype("i2"), (2,)), Column("s", np.dtype(object))])
    buffer = RowBuffer(schema, rows=1)
    waves = np.arange(6, dtype="i4").reshape(3, 2)
    buffer.extend([np.arange(3.0), waves, np.array(["a", "b", "c"])])
    batch = take(buffer)
    assert np.array_equal(batch.columns[1], waves)  # type: ignore[arg-type]
    assert batch.columns[2] == ["a", "b", "c"]


def test_a_block_too_large_for_a_batch_leaves_in_several() -> None:
    schema = one("u1", (1024,))
    n = 2 * MAX_BATCH_BYTES // schema.row_bytes
    buffer = RowBuffer(schema)
    buffer.extend([np.arange(float(n)), np.zeros((n, 1024), "u1")])
    sizes, times = [], []
    while (batch := buffer.take("job", 1, 0, copy=False)) is not None:
        sizes.append(batch.n * schema.row_bytes)
        times += list(batch.times())
    assert max(sizes) <= MAX_BATCH_BYTES
    assert times == list(range(n))


def test_a_block_with_much_text_leaves_in_several() -> None:
    buffer = RowBuffer(one(object))
    texts = ["x" * (MAX_TEXT_BYTES // 2)] * 3 + ["y"]
    buffer.extend([[0.0] * 4, texts])
    counts = []
    while (batch := buffer.take("job", 1, 0)) is not None:
        counts.append(batch.n)
    assert counts == [2, 2]
