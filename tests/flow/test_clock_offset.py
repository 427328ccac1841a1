"""The difference of two clocks is never told with less doubt than there is."""

from hypothesis import given
from hypothesis import strategies as st

from h5daq.flow.clock_offset import ClockOffset

SECONDS = st.floats(0, 5, allow_nan=False)
EXCHANGES = st.lists(st.tuples(SECONDS, SECONDS, SECONDS, SECONDS), min_size=1, max_size=30)
EPSILON = 1e-6
"""Times are of this century: their last bits are worth less."""


def exchange(clock, now, true, there, busy, back):
    """One exchange with a clock that is `true` seconds ahead; when it is over."""
    received = now + there + true
    clock.take(now, received, received + busy, now + there + busy + back)
    return now + there + busy + back


@given(EXCHANGES, st.floats(-1e9, 1e9, allow_nan=False))
def test_the_true_difference_lies_within_the_error_whatever_the_delays(exchanges, true):
    clock, now = ClockOffset(), 1e6
    for there, busy, back, pause in exchanges:
        now = exchange(clock, now, true, there, busy, back) + pause
        found = clock.at(now)
        assert abs(found.offset - true) <= found.error + EPSILON


@given(EXCHANGES, st.floats(-1e6, 1e6, allow_nan=False), st.floats(50, 1e6), st.booleans())
def test_a_clock_that_was_set_by_more_than_the_doubt_is_believed_at_once(
    exchanges, true, jump, back
):
    clock, now = ClockOffset(), 1e6
    for there, busy, home, pause in exchanges:
        now = exchange(clock, now, true, there, busy, home) + pause
    after = true - jump if back else true + jump
    now = exchange(clock, now, after, 0.1, 0.0, 0.1)
    found = clock.at(now)
    assert abs(found.offset - after) <= found.error + EPSILON


def test_the_exchange_that_was_fastest_counts_until_doubt_has_grown():
    clock = ClockOffset()
    exchange(clock, 0.0, 5.0, 0.001, 0.0, 0.001)
    exchange(clock, 1.0, 5.0, 1.0, 0.0, 0.0)
    assert clock.at(3.0).error < 0.002
    exchange(clock, 1000.0, 5.0, 0.02, 0.0, 0.02)
    assert clock.at(1000.1).error < 0.03


def test_exchanges_that_contradict_themselves_are_left_out():
    clock = ClockOffset()
    clock.take(sent=10.0, received=20.0, answered=19.0, heard=10.5)
    clock.take(sent=10.0, received=20.0, answered=20.0, heard=9.0)
    clock.take(sent=10.0, received=20.0, answered=25.0, heard=10.5)
    assert clock.at(11.0) is None


def test_an_answer_without_delay_counts_though_the_last_bits_of_its_times_differ():
    clock = ClockOffset()
    exchange(clock, 1e6, 535870911.0, 0.0, 1.4602003902275174, 0.0)
    assert clock.at(1e6) is not None
