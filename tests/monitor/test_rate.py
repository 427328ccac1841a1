"""Rates are right for fast and slow jobs alike, and silence brings them down."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from h5daq.monitor.rate import Rate, Trend


@pytest.mark.parametrize(("gap", "rows"), [(0.05, 500), (1.0, 10), (60.0, 1)])
def test_steady_news_give_their_rate(gap, rows):
    rate = Rate()
    for number in range(20):
        rate.count(rows * number, gap * number)
    assert rate.at(19 * gap) == pytest.approx(rows / gap)


def test_nothing_is_said_before_there_is_enough_to_tell():
    rate = Rate()
    assert rate.at(0.0) is None
    rate.count(5, 0.0)
    assert rate.at(1.0) is None
    rate.count(1000, 0.001)
    assert rate.at(0.001) is None


def test_a_rate_follows_a_change_within_some_seconds():
    rate, total = Rate(), 0
    for second in range(60):
        total += 10 if second < 30 else 100
        rate.count(total, float(second))
    assert rate.at(59.0) == pytest.approx(100, rel=0.02)


def test_silence_brings_the_rate_down():
    rate = Rate()
    for second in range(10):
        rate.count(10 * second, float(second))
    assert rate.at(10.5) == pytest.approx(10)
    assert rate.at(109.0) == pytest.approx(0.1)


def test_a_total_that_fell_and_a_clock_set_back_do_no_harm():
    rate = Rate()
    for now, total in [(0.0, 100), (1.0, 110), (2.0, 5), (1.5, 8), (3.0, 15)]:
        rate.count(total, now)
    assert rate.at(3.0) == pytest.approx(10, rel=0.05)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 100), st.integers(0, 10**9)), max_size=30), st.floats(0, 99))
def test_a_rate_is_never_negative_nor_above_the_fastest_stretch(news, later):
    rate, now, total, fastest = Rate(), 0.0, 0, 0.0
    since = 0.0
    rate.count(0, 0.0)
    for gap, rows in news:
        now, total = now + gap, total + rows
        if rows and now > since:
            fastest, since = max(fastest, total / (now - since)), now
        rate.count(total, now)
    told = rate.at(now + later)
    assert told is None or 0.0 <= told <= fastest * (1 + 1e-9)


def test_a_trend_keeps_one_point_a_second_and_the_newest_of_it():
    trend = Trend(points=3)
    for now, value in [(0.0, 1), (0.5, 2), (1.0, 3), (2.2, 4), (2.9, 5), (3.5, 6), (1.0, 7)]:
        trend.add(value, now)
    assert trend.points == (5, 6, 7)
