"""Requests under way: each is repeated until it is answered, and never in a storm."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from h5daq.flow.errands import FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS, Errands

TICK = 0.1


def asked(size=0):
    errands = Errands()
    errands.ask(1, [b"x" * size], now=0.0)
    return errands


def test_pauses_double_up_to_the_longest():
    errands, times = asked(), []
    for tick in range(400):
        times += [tick * TICK for _ in errands.due(tick * TICK)]
    pauses = [round(b - a, 6) for a, b in pairwise(times)]
    assert pauses[:4] == [1.0, 2.0, 4.0, 8.0]
    assert set(pauses[4:]) == {LONGEST_PAUSE_SECONDS}


def test_a_large_request_is_given_time_to_get_through():
    errands = asked(size=64 << 20)
    assert len(errands.due(0.0)) == 1
    assert errands.due(10.0) == []
    assert len(errands.due(18.0)) == 1


def test_what_had_no_room_is_due_again_and_counts_as_not_sent():
    errands = asked()
    errands.due(0.0)
    errands.unsent(1, due=0.5)
    assert errands.wait(0.0) == 0.5
    errands.due(0.5)
    assert errands.answered(1) == 1
    errands.unsent(1, due=1.0)
    assert errands.wait(0.0) is None


def test_what_is_given_up_is_not_sent_any_more():
    errands = asked()
    errands.give_up(1)
    assert (len(errands), errands.due(9.0), errands.answered(1)) == (0, [], None)


@given(st.lists(st.tuples(st.integers(1, 5), st.sampled_from(["ask", "answer", "time"]))))
def test_what_is_due_was_asked_and_not_answered_and_waited_its_time(events):
    errands, now, sent = Errands(), 0.0, dict[int, list[float]]()
    for number, event in events:
        if event == "ask" and number not in sent:
            errands.ask(number, [], now)
            sent[number] = []
        elif event == "answer":
            assert errands.answered(number) == (len(sent[number]) if number in sent else None)
            sent.pop(number, None)
        else:
            now += number * TICK
        for due, _ in errands.due(now):
            assert not sent[due] or now - sent[due][-1] >= FIRST_PAUSE_SECONDS - 1e-9
            sent[due].append(now)
        assert len(errands) == len(sent)
