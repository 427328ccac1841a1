"""Deadlines that never drift, whatever the readings take."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from h5daq.errors import JobValueError
from h5daq.jobs.schedule import Constant, OnTrigger, Schedule

PERIODS = st.floats(1e-4, 100.0)
DURATIONS = st.lists(st.floats(0.0, 5.0), max_size=50)


def run(schedule: Schedule, durations: list[float]) -> list[float]:
    """Begin each reading when it is due, or when the one before is over; the beginnings."""
    now, begun = 0.0, []
    for duration in durations:
        now = max(now, schedule.due)
        begun.append(now)
        now += duration * schedule.period
        schedule.done(now)
    return begun


@given(PERIODS, st.integers(1, 1000))
def test_quick_readings_begin_on_the_grid(period: float, n: int) -> None:
    schedule = Schedule(period, now=7.0)
    for _ in range(n):
        schedule.done(schedule.due)
    assert math.isclose(schedule.due, 7.0 + n * period)
    assert schedule.overruns == 0


@given(PERIODS, DURATIONS)
def test_readings_and_overruns_add_up_to_the_time_that_passed(
    period: float, durations: list[float]
) -> None:
    schedule = Schedule(period, now=0.0)
    run(schedule, durations)
    assert math.isclose(schedule.due, (len(durations) + schedule.overruns) * period, abs_tol=1e-9)


@given(PERIODS, DURATIONS)
def test_no_reading_is_later_than_a_period_beyond_the_one_before(
    period: float, durations: list[float]
) -> None:
    schedule = Schedule(period, now=0.0)
    now = 0.0
    for duration in durations:
        now = max(now, schedule.due) + duration * period
        schedule.done(now)
        assert now - schedule.due <= period * (1 + 1e-6)


def test_a_getter_a_little_slower_than_its_period_is_read_without_pause() -> None:
    begun = run(Schedule(0.010, now=0.0), [1.1] * 101)
    assert math.isclose(begun[-1], 1.1)


def test_catch_up_reads_what_was_missed_until_the_grid_is_reached() -> None:
    schedule = Schedule(1.0, now=0.0, overrun="catch-up")
    schedule.done(3.5)
    assert (schedule.due, schedule.overruns) == (1.0, 1)


def test_shift_begins_a_new_grid() -> None:
    schedule = Schedule(1.0, now=0.0, overrun="shift")
    schedule.done(3.5)
    assert (schedule.due, schedule.overruns) == (3.5, 1)


def test_an_unknown_policy_is_refused() -> None:
    with pytest.raises(JobValueError, match="skip, catch-up, shift"):
        Schedule(1.0, now=0.0, overrun="hope")


@given(st.floats(0.01, 60.0), st.floats(0.0, 1e6), st.floats(1e9, 2e9))
def test_aligned_deadlines_lie_on_multiples_of_the_wall_clock(
    period: float, now: float, wall: float
) -> None:
    schedule = Schedule(period, now, align=True, wall=wall)
    phase = (wall + schedule.due - now) % period
    assert min(phase, period - phase) < 1e-4
    assert now <= schedule.due <= now + period


def test_aligned_deadlines_follow_a_clock_that_is_set() -> None:
    schedule = Schedule(1.0, 0.25, align=True, wall=1000.25)
    schedule.done(1.0, True, 1001.3)  # 0.3 s ahead of where it was
    assert math.isclose(schedule.due, 1.7)


def test_a_pause_is_no_overrun() -> None:
    schedule = Schedule(1.0, now=0.0)
    schedule.restart(10.2)
    assert (schedule.due, schedule.overruns) == (11.0, 0)


def test_lateness_is_told_once() -> None:
    schedule = Schedule(1.0, now=0.0)
    for late in (0.1, 0.2, 0.9):
        schedule.begin(schedule.due + late)
    assert schedule.lateness() == (pytest.approx(0.2), pytest.approx(0.9))
    assert schedule.lateness() == (0.0, 0.0)


def test_constant_waits_only_after_a_reading_that_gave_nothing() -> None:
    pace = Constant(2.0)
    pace.done(5.0, True)
    assert pace.due == 5.0
    pace.done(5.0, False)
    assert pace.due == 7.0


def test_a_trigger_comes_from_outside_or_never() -> None:
    assert OnTrigger().due == math.inf
