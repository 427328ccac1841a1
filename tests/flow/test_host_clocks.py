"""What hosts tell of their clocks: whose word counts, and what is worth a row."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from h5daq.errors import JobValueError
from h5daq.flow.host_clocks import ROW_SECONDS, HostClock, HostClocks

CLOCK = HostClock(0.2, 0.001, 0.002)
TOLD = st.lists(
    st.tuples(st.floats(0, 5), st.floats(-10, 10), st.floats(0, 2), st.floats(0, 4)), max_size=40
)


@given(TOLD)
def test_at_any_time_the_newest_row_is_fresh_and_what_was_told_since_agrees_with_it(told):
    clocks, now, row, row_at = HostClocks(), 0.0, None, 0.0
    for pause, *numbers in told:
        now, clock = now + pause, HostClock(*numbers)
        if clocks.take("pi1", "key", clock, now):
            clocks.recorded("pi1", now)
            row, row_at = clock, now
        assert now - row_at < ROW_SECONDS
        assert not clock.contradicts(row)


def test_what_got_no_row_is_due_the_next_time():
    clocks = HostClocks()
    assert clocks.take("pi1", "key", CLOCK, 0.0)
    assert clocks.take("pi1", "key", CLOCK, 2.0)
    clocks.recorded("pi1", 2.0)
    assert not clocks.take("pi1", "key", CLOCK, 4.0)


def test_another_key_may_speak_for_a_host_only_when_the_first_is_silent():
    clocks = HostClocks()
    clocks.take("pi1", "key", CLOCK, 0.0)
    with pytest.raises(JobValueError, match="another key"):
        clocks.take("pi1", "stranger", CLOCK._replace(offset=9.0), 1.0)
    assert clocks.status(3.0) == {"pi1": {**CLOCK._asdict(), "age": 3.0}}
    clocks.take("pi1", "stranger", CLOCK, 100.0)


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a\0", "x" * 300, None, 5, ["pi1"]])
def test_a_name_that_can_be_no_groups_is_refused(name):
    clocks = HostClocks()
    with pytest.raises(ValueError, match=r"name|group|part"):
        clocks.take(name, "key", CLOCK, 0.0)
    assert clocks.status(0.0) == {}


def test_too_many_hosts_are_refused_and_the_known_ones_go_on():
    clocks = HostClocks()
    for n in range(1000):
        clocks.take(f"pi{n}", "key", CLOCK, 0.0)
    with pytest.raises(JobValueError, match="1000 hosts"):
        clocks.take("one more", "key", CLOCK, 0.0)
    clocks.take("pi7", "key", CLOCK, 0.0)


@pytest.mark.parametrize(
    "told",
    [
        {},
        {"offset": "0.2"},
        {"offset": True},
        {"offset": float("nan")},
        {"offset": float("inf")},
        {"error": -1.0},
        {"delay": -1.0},
        {"error": None},
    ],
)
def test_what_are_no_seconds_is_refused(told):
    with pytest.raises(JobValueError):
        HostClock.of({**CLOCK._asdict(), **told} if told else {})
