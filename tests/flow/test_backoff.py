"""Backoff: pauses double, are bounded, end, and are forgotten by who lives well."""

from hypothesis import given
from hypothesis import strategies as st

from h5daq.flow.backoff import Backoff


def test_pauses_double_up_to_the_longest():
    backoff = Backoff(first=0.25, most=2.0)
    assert [backoff.died(0.0, 1.0) for _ in range(5)] == [0.25, 0.5, 1.0, 2.0, 2.0]


def test_after_too_many_deaths_in_a_row_it_gives_up():
    backoff = Backoff(limit=3)
    pauses = [backoff.died(0.0, 1.0) for _ in range(4)]
    assert None not in pauses[:3]
    assert pauses[3] is None


def test_a_healthy_life_forgets_the_deaths_before_it_but_they_stay_counted():
    backoff = Backoff(first=0.25, healthy=60.0)
    for _ in range(5):
        backoff.died(0.0, 1.0)
    assert backoff.died(100.0, 160.0) == 0.25
    assert (backoff.deaths, backoff.total) == (1, 6)


@given(st.lists(st.floats(0.0, 200.0), max_size=50))
def test_a_pause_is_never_outside_its_bounds(lives):
    backoff = Backoff(first=0.5, most=8.0, healthy=60.0, limit=10)
    pauses = [backoff.died(0.0, life) for life in lives]
    assert all(pause is None or 0.5 <= pause <= 8.0 for pause in pauses)
    assert backoff.total == len(lives)
