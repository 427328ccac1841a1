"""Token buckets: who asks steadily is never stopped, who floods is held to the rate."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from h5daq.flow import ratelimit
from h5daq.flow.ratelimit import RateLimit

GAPS = st.lists(st.floats(0.0, 2.0), min_size=1, max_size=200)


@given(GAPS, st.floats(1.0, 100.0), st.integers(1, 20))
def test_never_more_than_the_burst_and_the_rate(gaps, rate, burst):
    limit, now, granted = RateLimit(rate, burst), 0.0, 0
    for gap in gaps:
        now += gap
        granted += limit.wait(b"a", now) == 0.0
        assert granted <= burst + rate * now + 1e-6


@given(GAPS)
def test_after_the_wait_that_it_says_there_is_a_token(gaps):
    limit, now = RateLimit(3.0, 2.0), 0.0
    for gap in gaps:
        now += gap
        wait = limit.wait(b"a", now)
        if wait:
            now += wait
            assert limit.wait(b"a", now) == 0.0


def test_connections_do_not_share_a_bucket():
    limit = RateLimit(1.0, 1.0)
    assert [limit.wait(who, 0.0) > 0 for who in (b"a", b"a", b"b")] == [False, True, False]


def test_who_asks_one_question_after_the_other_is_never_stopped():
    limit = RateLimit()
    assert not any(limit.wait(b"a", n / ratelimit.REQUEST_RATE) for n in range(20_000))


def test_of_many_connections_those_that_floods_are_remembered(monkeypatch):
    monkeypatch.setattr(ratelimit, "_MOST_BUCKETS", 10)
    limit = RateLimit(1.0, 3.0)
    for _ in range(3):
        limit.wait(b"flood", 0.0)
    for number in range(100):
        limit.wait(b"%d" % number, 0.001 * number)
    assert len(limit._buckets) <= 10
    assert limit.wait(b"flood", 0.1) == pytest.approx(0.9)


def test_what_costs_less_may_come_more_often():
    limit = RateLimit(1.0, 1.0)
    assert [limit.wait(b"a", 0.0, 0.25) for _ in range(4)] == [0.0] * 4
    assert limit.wait(b"a", 0.0, 0.25) == pytest.approx(0.25)
    assert limit.wait(b"a", 0.0) == pytest.approx(1.0)
