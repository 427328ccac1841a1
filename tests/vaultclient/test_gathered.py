"""Pages that are gathered are what they would be joined at the end."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from h5daq.vaultclient.gathered import Gathered
from h5daq.vaultclient.rows import joined

DTYPES = st.sampled_from(["<f8", "<i4", "|b1", "<c16"])
LENGTHS = st.lists(st.integers(0, 5), min_size=1, max_size=8)


@given(LENGTHS, st.lists(DTYPES, min_size=8, max_size=8), st.data())
def test_pages_of_any_size_come_out_as_one(
    lengths: list[int], dtypes: list[str], data: Any
) -> None:
    pages, first, gathered = [], 0, Gathered()
    for length, dtype in zip(lengths, dtypes, strict=False):
        numbers = np.arange(first, first + length)
        pages.append([numbers.astype(dtype), np.outer(numbers, [1, 2]), list(map(str, numbers))])
        # What is said to follow is a help, and no more than that.
        gathered.take(pages[-1], left=data.draw(st.integers(0, 20)))
        first += length
    for found, wanted in zip(gathered.columns(), joined(pages), strict=True):
        assert type(found) is type(wanted)
        assert np.array_equal(found, wanted)
        assert np.asarray(found).dtype == np.asarray(wanted).dtype


def test_a_reading_that_begins_anew_has_nothing_of_what_came_before() -> None:
    gathered = Gathered()
    gathered.take([np.arange(3)], left=3)
    gathered.take([np.arange(3)])
    gathered.clear()
    gathered.take([np.arange(2)])
    assert gathered.columns()[0].tolist() == [0, 1]


def test_pages_with_other_columns_are_no_reading() -> None:
    gathered = Gathered()
    gathered.take([np.arange(3)])
    with pytest.raises(ValueError, match="zip"):
        gathered.take([np.arange(3), np.arange(3)])
