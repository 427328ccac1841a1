"""A message that is made where its rows stand is the one that a copy would be, and stays so."""

from __future__ import annotations

import tracemalloc
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from h5daq.errors import ReadingError
from h5daq.flow.batch import Batch
from h5daq.flow.buffer import MAX_BATCH_BYTES, RowBuffer
from h5daq.flow.packing import Buffer
from h5daq.flow.schema import Column, Schema
from h5daq.flow.wire import encode_rows, seal_rows

Row = tuple[Any, ...]
SMALL = [Column(f"c{i}", np.dtype(name)) for i, name in enumerate(["f8", "i1", "f4", "?", "S3"])]
TEXT = Column("text", np.dtype(object))
WAVE = Column("wave", np.dtype("i2"), (100, 641))
ODD = Column("odd", np.dtype("u1"), (100_003,))
LARGE = Schema.of([WAVE])


def row_of(schema: Schema, number: int) -> Row:
    """A row that no other is like, its time included."""
    values: list[Any] = [float(number)]
    for column in schema.columns[1:]:
        if column.is_text:
            values.append("é" * (number % 3 * 500))
        else:
            count = int(np.prod(column.shape))
            cells = (np.arange(count) + number) % (2 if column.dtype.kind == "b" else 100)
            values.append(cells.astype(column.dtype).reshape(column.shape))
    return tuple(values)


def columns_of(schema: Schema, rows: list[Row]) -> tuple[Any, ...]:
    values = list(zip(*rows, strict=True)) or [()] * len(schema.columns)
    pairs = zip(schema.columns, values, strict=True)
    return tuple(list(v) if c.is_text else np.array(v, c.dtype) for c, v in pairs)


class Story:
    """A buffer, beside it the rows that it holds, and the messages that it gave."""

    def __init__(self, schema: Schema, rows: int) -> None:
        self.schema, self.buffer = schema, RowBuffer(schema, rows=rows)
        self.held: list[Row] = []
        self.made = self.first = 0
        self.messages: list[tuple[Buffer, bytes]] = []

    def fresh(self) -> Row:
        self.made += 1
        return row_of(self.schema, self.made)

    def append(self, _: int) -> None:
        row = self.fresh()
        self.buffer.append(None, row)
        self.held.append(row)

    def extend(self, n: int) -> None:
        rows = [self.fresh() for _ in range(n)]
        self.buffer.extend(columns_of(self.schema, rows))
        self.held += rows

    def fill(self, n: int) -> None:
        """With `n` rows, if there is room; what follows is no row, or the getter raises."""
        came: list[Row] = []

        def getter() -> Row:
            if len(came) == n:
                return (1.0,) if n % 2 else self.unplugged()
            came.append(self.fresh())
            return came[-1]

        with suppress(ReadingError, OSError):
            self.buffer.fill(getter, lambda: 1.0, 2.0, timed=True)
        self.held += came

    def unplugged(self) -> Row:
        raise OSError("unplugged")

    def take(self, copy: int) -> None:
        while (batch := self.buffer.take("job", 1, self.first, copy=bool(copy % 2))) is not None:
            rows, self.held = self.held[: batch.n], self.held[batch.n :]
            plain = Batch("job", 1, self.first, batch.n, columns_of(self.schema, rows))
            self.messages.append((seal_rows(batch, self.schema), encode_rows(plain, self.schema)))
            self.first = batch.end


def some_of(*columns: Column) -> st.SearchStrategy[list[Column]]:
    return st.lists(st.sampled_from(columns), unique=True)


STEPS = st.tuples(st.sampled_from(["append", "extend", "fill", "take"]), st.integers(0, 5))


@given(
    st.tuples(some_of(*SMALL[:3], TEXT), some_of(WAVE, ODD), some_of(*SMALL[3:])).map(
        lambda parts: [column for part in parts for column in part] or [WAVE]
    ),
    st.integers(1, 4),
    st.lists(STEPS, max_size=12),
)
@settings(deadline=None, max_examples=150)
def test_whatever_comes_the_messages_are_those_of_copies_and_never_change(
    columns: list[Column], rows: int, steps: list[tuple[str, int]]
) -> None:
    story = Story(Schema.of(columns), rows)
    for step, n in [*steps, ("take", 0), ("fill", 4), ("take", 1)]:
        getattr(story, step)(n)
    assert not story.held
    assert all(message == wanted for message, wanted in story.messages)


def full(schema: Schema = LARGE, rows: int = 3) -> Batch:
    story = Story(schema, rows)
    for _ in range(rows):
        story.append(0)
    batch = story.buffer.take("job", 1, 0)
    assert batch is not None
    return batch


def is_of(message: Buffer, batch: Batch) -> bool:
    """Whether the message has the batch's own memory."""
    return bool(np.shares_memory(np.frombuffer(message, "u1"), np.asarray(batch.columns[-1])))


def test_a_full_batch_of_large_rows_becomes_its_message_and_nobody_can_write_into_it() -> None:
    batch = full()
    message = seal_rows(batch, LARGE)
    assert is_of(message, batch)
    assert isinstance(message, memoryview)
    assert message.readonly


def test_rows_of_many_at_once_become_their_message() -> None:
    schema, n = Schema.of([SMALL[0]]), 100_000
    buffer = RowBuffer(schema, rows=1000)
    for _ in range(2):
        buffer.extend([np.arange(float(n)), np.zeros(n)])
        batch = buffer.take("job", 1, 0)
        assert batch is not None
        assert is_of(seal_rows(batch, schema), batch)


@pytest.mark.parametrize(
    ("schema", "rows"),
    [(Schema.of([ODD]), 2), (Schema.of([WAVE, TEXT]), 3), (Schema.of(SMALL[:1]), 70_000)],
    ids=["small", "much text", "value by value"],
)
def test_what_is_small_or_has_no_room_for_its_text_is_copied(schema: Schema, rows: int) -> None:
    batch = full(schema, rows)
    message = seal_rows(batch, schema)
    assert isinstance(message, bytes)
    assert message == encode_rows(batch, schema)


def test_a_batch_too_large_for_one_message_leaves_in_several_that_are_copied() -> None:
    schema, n = Schema.of([SMALL[0]]), MAX_BATCH_BYTES // 16 + 1
    buffer = RowBuffer(schema)
    buffer.extend([np.arange(float(n)), np.zeros(n)])
    batches = [buffer.take("job", 1, 0), buffer.take("job", 1, n - 1)]
    assert [batch and (batch.n, batch.block) for batch in batches] == [(n - 1, None), (1, None)]


def test_a_second_message_of_a_batch_leaves_the_first_as_it_is() -> None:
    batch = full()
    first = seal_rows(batch, LARGE)
    other = Batch("another", 7, 8, batch.n, batch.columns, batch.block)
    before, second = bytes(first), seal_rows(other, LARGE)
    assert first == before
    assert second == encode_rows(other, LARGE)


def test_a_buffer_that_has_grown_once_hands_over_its_next_full_batch() -> None:
    story = Story(LARGE, 3)
    for held in (5, 3):
        for _ in range(held):
            story.append(0)
        story.take(0)
    assert [type(message) for message, _ in story.messages] == [bytes, memoryview]


def test_what_a_batch_has_taken_is_not_kept() -> None:
    buffer = RowBuffer(LARGE, rows=4)
    tracemalloc.start()
    buffer.extend([np.arange(100.0), np.ones((100, *WAVE.shape), "i2")])
    while buffer.take("job", 1, 0, copy=False) is not None:
        pass
    held, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most > 100 * LARGE.row_bytes
    assert held < LARGE.row_bytes


def test_a_value_that_only_signals_is_taken_like_any_other() -> None:
    # As bits from an instrument may have it: a conversion of that one warns, or is told to raise.
    buffer = RowBuffer(Schema.of([Column("x", np.dtype("f8"))]), rows=4)
    with np.errstate(all="raise"):
        buffer.extend([np.arange(1.0), np.array([0x7F800001], "u4").view("f4")])
    batch = buffer.take("job", 1, 0)
    assert batch is not None
    assert np.isnan(batch.columns[1][0])
