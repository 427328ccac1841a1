"""The queue of a receiver: all that counts is told in the end, not too often, not for ever."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from h5daq.flow.alarm_queue import MOST_TRIES, MOST_WAITING, AlarmQueue


def alarm(column="T", number=0):
    return {"job": "tank", "column": column, "kind": "high", "id": number}


def test_a_delivery_that_fails_waits_longer_each_time_and_is_given_up():
    queue, now, waits = AlarmQueue(600.0), 0.0, []
    queue.put(alarm())
    while (wait := queue.wait(now)) is not None:
        waits.append(wait)
        now += wait
        assert queue.take(now) is not None
        queue.done(False, now)
    assert waits == [0.0, 1.0, 2.0, 4.0, 8.0, 16.0][:MOST_TRIES]
    assert (queue.failed, queue.delivered) == (1, 0)


def test_what_is_tried_again_gives_way_to_a_newer_change():
    queue = AlarmQueue(600.0)
    queue.put(alarm(number=1))
    assert queue.take(0.0)["id"] == 1
    queue.put(alarm(number=2))
    queue.done(False, 0.0)
    assert queue.take(0.5) is None
    again = queue.take(1.0)
    assert (again["id"], again["missed"]) == (2, 1)


def test_there_are_no_more_deliveries_per_minute_than_are_wanted():
    queue, times, now = AlarmQueue(6.0), [], 0.0
    for number in range(20):
        queue.put(alarm(str(number)))
    while (wait := queue.wait(now)) is not None:
        now += wait
        if queue.take(now) is not None:
            times.append(now)
            queue.done(True, now)
    assert len(times) == 20
    assert times[:6] == [0.0] * 6
    assert all(later - earlier >= 9.99 for earlier, later in pairwise(times[5:]))


def test_what_has_no_room_is_counted():
    queue = AlarmQueue(600.0)
    for number in range(MOST_WAITING + 3):
        queue.put(alarm(str(number)))
    assert (len(queue), queue.dropped) == (MOST_WAITING, 3)


STEPS = st.lists(st.sampled_from(["put a", "put b", "well", "badly"]), max_size=60)


@given(STEPS)
def test_the_last_change_of_each_alarm_is_told_or_given_up_and_missed_ones_are_counted(steps):
    queue, now, put, told, missed = AlarmQueue(6000.0), 0.0, {}, {}, 0

    def deliver(well):
        nonlocal now, missed
        now += queue.wait(now)
        given = queue.take(now)
        if given is not None:
            gone = queue.failed
            queue.done(well, now)
            if well or queue.failed > gone:
                told[given["column"]] = given["id"]
                missed += given["missed"] + 1

    for number, step in enumerate(steps):
        if step.startswith("put"):
            queue.put(alarm(step[-1], number))
            put[step[-1]] = number
        elif queue.wait(now) is not None:
            deliver(step == "well")
    while queue.wait(now) is not None:
        deliver(True)
    assert told == put
    assert missed == sum(step.startswith("put") for step in steps)
