"""Batches of any length become chunks, none lost, none twice."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from h5daq.flow.chunks import ChunkFiller, chunk_rows, expected_rows, fill_value
from h5daq.flow.schema import Column

FLOAT = Column("x", np.dtype("<f8"))
LENGTHS = st.lists(st.integers(0, 40), max_size=12)


def numbered(start, n, column=FLOAT):
    rows = np.arange(start, start + n).repeat(int(np.prod(column.shape)))
    return rows.astype(column.dtype).reshape(n, *column.shape)


class Dataset:
    """What the blocks add up to; full chunks may come once only."""

    def __init__(self, column, size):
        self.column, self.size, self.full, self.chunks = column, size, set(), {}

    def write(self, filler, rows):
        for index, block in filler.add(rows):
            assert index not in self.full
            assert block.shape == (self.size, *self.column.shape)
            self.full.add(index)
            self.chunks[index] = block

    def checkpoint(self, filler):
        partial = filler.partial()
        if partial is not None:
            self.chunks[partial[0]] = partial[1].copy()

    def rows(self, count):
        empty = np.empty((0, *self.column.shape), self.column.dtype)
        return np.concatenate([empty, *(self.chunks[i] for i in sorted(self.chunks))])[:count]


@given(LENGTHS, st.integers(1, 16), st.sets(st.integers(0, 11)), st.sampled_from([(), (2, 3)]))
@settings(max_examples=100, deadline=None)
def test_chunks_hold_all_rows_in_order(lengths, size, checkpoints, shape):
    column = Column("x", np.dtype("<i4"), shape)
    filler, dataset, count = ChunkFiller(column, size), Dataset(column, size), 0
    for step, n in enumerate(lengths):
        dataset.write(filler, numbered(count, n, column))
        count += n
        if step in checkpoints:
            dataset.checkpoint(filler)
            np.testing.assert_array_equal(dataset.rows(count), numbered(0, count, column))
    dataset.checkpoint(filler)
    assert filler.rows == count
    np.testing.assert_array_equal(dataset.rows(count), numbered(0, count, column))


@given(st.integers(0, 50), st.integers(0, 50), st.integers(1, 16))
@settings(max_examples=50, deadline=None)
def test_a_filler_that_was_reloaded_goes_on_where_the_last_one_ended(before, after, size):
    tail = numbered(0, before)[before - before % size :]
    filler, dataset = ChunkFiller(FLOAT, size, before, tail), Dataset(FLOAT, size)
    assert filler.partial() is None
    dataset.write(filler, numbered(before, after))
    dataset.checkpoint(filler)
    # Only chunks from the partial one on are written again, and only if rows came.
    first = before - before % size if after else before + after
    wanted = numbered(first, before + after - first)
    np.testing.assert_array_equal(dataset.rows(len(wanted)), wanted)


def test_a_tail_of_another_length_is_refused():
    with pytest.raises(ValueError, match="partial chunk has 3 rows"):
        ChunkFiller(FLOAT, 4, 7, numbered(0, 2))


def test_aligned_rows_are_handed_out_without_a_copy():
    rows = numbered(0, 12)
    blocks = [block for _, block in ChunkFiller(FLOAT, 4).add(rows)]
    assert len(blocks) == 3
    assert all(np.shares_memory(block, rows) for block in blocks)


def test_a_strided_array_is_copied_into_contiguous_blocks():
    ((_, block),) = ChunkFiller(FLOAT, 4).add(numbered(0, 8)[::2])
    assert block.flags.c_contiguous
    assert block.tolist() == [0, 2, 4, 6]


def test_a_block_that_was_handed_out_is_never_written_again():
    filler = ChunkFiller(FLOAT, 4)
    list(filler.add(numbered(0, 3)))
    ((_, block),) = filler.add(numbered(3, 1))
    list(filler.add(numbered(4, 3)))
    assert block.tolist() == [0, 1, 2, 3]


def test_a_partial_chunk_is_given_once_and_padded_with_the_fill_value():
    filler = ChunkFiller(FLOAT, 4)
    list(filler.add(numbered(0, 2)))
    index, block, held = filler.partial()
    assert (index, held) == (0, 2)
    assert np.isnan(block[2:]).all()
    assert filler.partial() is None
    list(filler.add(numbered(2, 1)))
    assert filler.partial()[1][:3].tolist() == [0, 1, 2]


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "c8", "c16"])
def test_the_fill_value_is_nan_where_the_type_has_one(dtype):
    value = fill_value(Column("x", np.dtype(dtype)))
    assert np.isnan(value)
    assert value.dtype == dtype


@pytest.mark.parametrize(("dtype", "zero"), [("?", False), ("u8", 0), ("S3", b"")])
def test_other_types_are_filled_with_zero(dtype, zero):
    assert fill_value(Column("x", np.dtype(dtype))) == zero


@given(st.integers(1, 1 << 26), st.integers(1, 1 << 40))
def test_a_chunk_has_1_kib_to_1_mib_or_one_row(row_bytes, expected):
    rows = chunk_rows(row_bytes, expected)
    assert rows == 1 or rows * row_bytes <= 1 << 20
    assert (rows + 1) * row_bytes > 1024


def test_the_users_chunk_length_is_taken_as_it_is_within_memory():
    assert chunk_rows(8, 1, user=7) == 7
    assert chunk_rows(8, 1, user=10**12) * 8 == 64 << 20
    assert chunk_rows(100 << 20, 1, user=5) == 1


@pytest.mark.parametrize(
    ("rows", "span", "period", "mode", "expected"),
    [(1, 0.0, 1.0, "schedule", 240), (20, 0.019, 0.001, "schedule", 240_000),
     (1, 0.0, 0.001, "schedule", 240_000), (500, 0.0, 1.0, "schedule", 120_000),
     (101, 1.0, 0.01, "schedule", 24_240), (4096, 0.001, 0.0, "constant", 49_152_000),
     (1, 0.0, 0.0, "trigger", 4), (1, -5.0, 1.0, "schedule", 240)],
)  # fmt: skip
def test_the_first_batch_tells_how_many_rows_to_expect(rows, span, period, mode, expected):
    assert expected_rows(rows, span, period, mode, 60.0) == expected
