"""Folding keeps the first and the last row of each stretch, and loses no value."""

from __future__ import annotations

from itertools import groupby
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from h5daq.errors import ReadingError
from h5daq.flow.fold import Fold
from h5daq.flow.schema import Column, Schema

ONE = Schema.of([Column("x", np.dtype("f8"))])
MIXED = Schema.of([Column("w", np.dtype("f4"), (2,)), Column("s", np.dtype(object))])


def run(values: list[float]) -> list[tuple[float, float]]:
    """(time, value) of what comes out, with the rows numbered by time."""
    fold = Fold(ONE)
    out = [row for t, value in enumerate(values) for row in fold.offer(float(t), [value])]
    return [(float(t), float(entries[0])) for t, entries in [*out, *fold.release()]]


def kept(values: list[float]) -> list[tuple[float, float]]:
    """The same by the definition: the ends of each stretch."""
    rows = []
    for _, stretch in groupby(enumerate(values), key=lambda pair: repr(pair[1])):
        ends = list(stretch)
        rows += [ends[0]] if len(ends) == 1 else [ends[0], ends[-1]]
    return [(float(t), float(value)) for t, value in rows]


def test_a_stretch_keeps_its_first_and_its_last_row() -> None:
    assert run([0, 0, 0, 1, 1, 2]) == [(0, 0), (2, 0), (3, 1), (4, 1), (5, 2)]


@given(st.lists(st.sampled_from([0.0, 1.0, float("nan"), float("inf")]), max_size=20))
def test_folding_follows_its_definition(values: list[float]) -> None:
    assert repr(run(values)) == repr(kept(values))


def test_nan_equals_nan_in_arrays_too() -> None:
    fold = Fold(MIXED)
    assert len(fold.offer(0.0, [[1.0, np.nan], "a"])) == 1
    assert fold.offer(1.0, [[1.0, np.nan], "a"]) == []
    assert len(fold.offer(2.0, [[1.0, np.nan], "b"])) == 2


def test_an_array_that_the_getter_uses_again_is_seen_to_change() -> None:
    fold, reused = Fold(MIXED), np.zeros(2, "f4")
    assert len(fold.offer(0.0, [reused, "a"])) == 1
    reused[0] = 5
    rows = fold.offer(1.0, [reused, "a"])
    assert [entries[0].tolist() for _, entries in rows] == [[5.0, 0.0]]


def test_the_held_row_is_given_out_once_and_the_stretch_goes_on() -> None:
    fold = Fold(ONE)
    for t in range(3):
        fold.offer(float(t), [0.0])
    assert [float(t) for t, _ in fold.release()] == [2.0]
    assert fold.release() == []
    assert fold.offer(3.0, [0.0]) == []


def test_folded_rows_are_counted() -> None:
    fold = Fold(ONE)
    for t in range(5):
        fold.offer(float(t), [0.0])
    assert fold.folded == 3


@pytest.mark.parametrize("bad", [["x"], [1.0, 2.0], [None]])
def test_a_bad_row_is_refused_each_time_it_comes(bad: Any) -> None:
    fold = Fold(ONE)
    for _ in range(2):
        with pytest.raises(ReadingError):
            fold.offer(0.0, bad)
    assert len(fold.offer(1.0, [1.0])) == 1


def test_a_reading_without_data_gives_no_row() -> None:
    assert Fold(ONE).offer(0.0, None) == []
