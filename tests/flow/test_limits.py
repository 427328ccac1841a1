"""Limits: what makes no sense is refused where it is written, and says what would be right."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from h5daq.errors import JobTypeError, JobValueError
from h5daq.flow.limits import Limits, check_limits, greatest, least
from h5daq.flow.schema import Column, Schema

SCHEMA = Schema.of(
    [Column("T", np.dtype("f8")), Column("text", np.dtype(object)), Column("z", np.dtype("c16"))]
)


@pytest.mark.parametrize(
    ("told", "key"),
    [
        ({}, "no limit"),
        ({"warn": {}}, "no limit"),
        ({"warn": {"low": 5, "high": 5}}, "warn.low"),
        ({"warn": {"low": 5}, "alarm": {"high": 4}}, "warn.low"),
        ({"warn": {"high": 5}, "alarm": {"high": 4}}, "alarm.high"),
        ({"warn": {"low": 5}, "alarm": {"low": 6}}, "alarm.low"),
        ({"warn": {"low": 1, "high": 5}, "hysteresis": 4}, "hysteresis"),
        ({"warn": {"high": 5}, "hysteresis": -1}, "hysteresis"),
        ({"stale": 0}, "stale"),
        ({"warn": {"high": float("nan")}}, "finite"),
        ({"warn": {"height": 5}}, "'height'"),
        ({"wran": {"high": 5}}, "'wran'"),
    ],
)
def test_limits_that_make_no_sense_are_refused(told, key):
    with pytest.raises(JobValueError, match=key):
        Limits.of(told)


@pytest.mark.parametrize(
    "told", [3, {"warn": 5}, {"warn": {"high": "5"}}, {"stale": True}, {"warn": [1, 2]}]
)
def test_limits_of_another_kind_are_refused(told):
    with pytest.raises(JobTypeError):
        Limits.of(told)


def test_limits_survive_the_way_to_the_writer():
    limits = Limits.of({"warn": {"low": 1, "high": 5}, "alarm": {"high": 6}, "stale": 3})
    assert Limits.of(limits.to_map()) == limits


@pytest.mark.parametrize(("label", "what"), [("text", "text"), ("z", "complex"), ("y", "'y'")])
def test_only_columns_of_real_numbers_have_limits(label, what):
    with pytest.raises(JobValueError, match=what):
        check_limits({label: {"stale": 5}}, SCHEMA)
    assert check_limits({"T": {"stale": 5}}, SCHEMA)["T"].stale == 5.0


FLOATS = st.floats(width=32)


@given(arrays.arrays("f4", arrays.array_shapes(min_dims=1, max_dims=3), elements=FLOATS))
def test_extremes_are_those_of_the_numbers_in_an_array(values):
    numbers = [float(v) for v in values.flat if v == v]
    assert greatest(values) == (max(numbers) if numbers else None)
    assert least(values) == (min(numbers) if numbers else None)


@pytest.mark.parametrize("dtype", ["i1", "u8", "bool", "f2", "f8"])
def test_extremes_of_every_kind_of_number(dtype):
    values = np.array([[1, 0], [1, 1]], dtype)
    assert (least(values), greatest(values)) == (0.0, 1.0)
    assert least(values[:0]) is None
