"""A history shows every peak in few points; room tells how long a disk will last."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from h5daq.monitor.history import History
from h5daq.monitor.rate import Room

NUMBERS = st.floats(-1e6, 1e6)


@given(
    st.lists(st.tuples(st.floats(0, 1e5), NUMBERS), min_size=1, max_size=200), st.integers(2, 20)
)
def test_a_history_keeps_the_extremes_in_time_and_few_points(news, most):
    history, now = History(most), 0.0
    for gap, value in news:
        now += gap
        history.add(now, value)
    times, values = history.points()
    assert len(times) == len(values) <= 2 * most
    assert times == sorted(times)
    assert min(values) == min(value for _, value in news)
    assert max(values) == max(value for _, value in news)


def test_a_slow_value_is_kept_as_it_is_and_a_long_one_in_even_stretches():
    history = History(most=100)
    for second in range(100):
        history.add(float(second), float(second))
    assert history.points() == ([float(n) for n in range(100)],) * 2
    for second in range(100, 100_000):
        history.add(float(second), float(second))
    times, _ = history.points()
    gaps = [b - a for a, b in pairwise(times) if b != a]
    assert 50 <= len(history) <= 100
    assert max(gaps) <= 4 * min(gaps[:-1])


@given(st.lists(st.tuples(st.floats(-1e9, 1e9), NUMBERS), max_size=200))
def test_a_clock_that_goes_wherever_it_likes_fills_no_memory(news):
    history = History(most=10)
    for time, value in news:
        history.add(time, value)
    assert len(history) <= 10


def test_room_is_told_by_what_went_in_ten_minutes_and_not_by_a_step():
    room = Room()
    room.count(1000, 0.0)
    room.count(900, 5.0)
    assert room.lasts is None, "a file of somebody else is no trend"
    for minute in range(1, 30):
        room.count(900 - 10 * minute, 60.0 * minute)
    assert room.lasts == pytest.approx(610 / 10 * 60)
    room.count(5000, 1800.0)
    assert room.lasts is None
