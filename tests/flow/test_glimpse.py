"""A glimpse of an array is small whatever its size, and shows the stored numbers."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from h5daq.errors import WireError
from h5daq.flow.batch import Batch
from h5daq.flow.glimpse import MOST_BYTES, glimpse_of, read_glimpse, strides
from h5daq.flow.schema import Column, Schema


def rows_of(*values, dtype=None):
    """Rows of a column `x`, and their schema."""
    column = values if dtype is object else np.array(values, dtype)
    shape = () if dtype is object else column.shape[1:]
    schema = Schema.of([Column("x", np.dtype(dtype or column.dtype), shape)])
    data = list(values) if dtype is object else column
    return Batch("cam", 1, 0, len(values), (np.arange(float(len(values))) + 5.0, data)), schema


def test_an_image_goes_whole_and_a_camera_s_with_every_other_pixel():
    small, large = np.arange(512.0 * 512).reshape(512, 512), np.zeros((4096, 4096), "<u2")
    batch, schema = rows_of(small - 1, small)
    time, seen, whole = read_glimpse(glimpse_of(batch, schema, "x"))
    assert (time, whole) == (6.0, (512, 512))
    assert (seen == small).all()
    large[::4, ::4] = np.arange(1024)
    told = glimpse_of(*rows_of(large), "x")
    _, seen, whole = read_glimpse(told)
    assert whole == (4096, 4096)
    assert (seen == np.arange(1024)).all()
    assert len(told["data"]) == MOST_BYTES


@given(
    st.lists(st.integers(1, 10_000), max_size=5).filter(lambda shape: math.prod(shape) < 50e6),
    st.integers(1, 300_000),
)
def test_what_is_picked_fits_and_is_no_coarser_than_it_must_be(shape, most):
    steps = strides(shape, most)
    assert math.prod(-(-n // step) for n, step in zip(shape, steps, strict=True)) <= most
    assert math.prod(shape) > most or set(steps) <= {1}


def test_there_is_no_glimpse_of_texts_of_nothing_and_of_what_is_not_there():
    assert glimpse_of(*rows_of("a", dtype=object), "x") is None
    assert glimpse_of(*rows_of(1.0), "y") is None
    batch, schema = rows_of(1.0)
    assert glimpse_of(batch.part(slice(0, 0)), schema, "x") is None


@pytest.mark.parametrize("wrong", [{"dtype": "O"}, {"shape": [3]}, {"data": None}, {"time": "x"}])
def test_what_is_no_glimpse_is_refused(wrong):
    told = glimpse_of(*rows_of([1.0, 2.0]), "x")
    with pytest.raises(WireError, match="no glimpse"):
        read_glimpse({**told, **wrong})
