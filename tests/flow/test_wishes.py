"""What workers want of a writer's time: intervals, and answers that may wait."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from h5daq.flow.deferred import MOST_BYTES, Deferred, Wait
from h5daq.flow.wire import Head
from h5daq.flow.wishes import LONGEST_PAUSE, LONGEST_REST, Pause, Wishes


def hello(job: str = "tank", inc: int = 1, **fields: float) -> Head:
    return Head(1, "hello", job, inc, fields=dict(fields))


def test_the_socket_is_left_alone_for_half_of_the_shortest_interval() -> None:
    wishes = Wishes()
    wishes.hear(hello("a", interval=0.02))
    wishes.hear(hello("b", interval=0.01))
    assert wishes.pause == 0.005
    wishes.forget("b", 1)
    assert wishes.pause == 0.01


def test_a_worker_that_says_nothing_is_in_a_hurry() -> None:
    wishes = Wishes()
    wishes.hear(hello("a", interval=0.02, rest=0.6))
    wishes.hear(hello("b"))
    assert (wishes.pause, wishes.rest("b", 1), wishes.rest("a", 1)) == (0.0, 0.0, 0.6)


def test_an_interval_of_a_millisecond_is_no_reason_to_pause() -> None:
    wishes = Wishes()
    wishes.hear(hello(interval=0.001))
    assert wishes.pause == 0.0


def test_wishes_have_bounds() -> None:
    wishes = Wishes()
    wishes.hear(hello("a", interval=1e9, rest=1e9))
    assert (wishes.pause, wishes.rest("a", 1)) == (LONGEST_PAUSE, LONGEST_REST)
    wishes.hear(hello("a", interval=-1.0, rest=-1.0))
    assert (wishes.pause, wishes.rest("a", 1)) == (0.0, 0.0)


def test_only_the_newest_worker_of_a_job_counts() -> None:
    wishes = Wishes()
    wishes.hear(hello(inc=1, interval=0.02, rest=0.6))
    wishes.hear(hello(inc=2, interval=0.01, rest=0.3))
    wishes.forget("tank", 1)
    assert (wishes.rest("tank", 1), wishes.rest("tank", 2), wishes.pause) == (0.0, 0.3, 0.005)


@pytest.mark.parametrize(("messages", "nbytes"), [(0, 0), (1000, 10), (1, 1 << 20)])
def test_no_pause_follows_a_look_that_brought_nothing_or_much(messages: int, nbytes: int) -> None:
    pause = Pause()
    pause.looked(1.0, 1, 100, 0.01)
    pause.looked(1.005, messages, nbytes, 0.01)
    assert pause.left(1.005) == 0.0


def test_a_position_without_a_wish_to_wait_is_told_at_once() -> None:
    assert not Deferred().holds(("tank", 1), 1, Wait(0.0, 10), 1.0)


def test_much_that_is_untold_is_told_at_once() -> None:
    deferred, key = Deferred(), ("tank", 1)
    held = [deferred.holds(key, n, Wait(0.6, MOST_BYTES // 4), 1.0) for n in range(1, 6)]
    assert held == [True] * 4 + [False]
    assert deferred.due(9.0) == {}


def test_what_a_heartbeat_has_told_is_not_told_again() -> None:
    deferred = Deferred()
    for job, position in (("a", 5), ("b", 6), ("c", 7)):
        deferred.holds((job, 1), position, Wait(0.6, 10), 1.0)
    deferred.told({"a": (1, 5), "b": (1, 4)}, 1.5)
    assert deferred.next_deadline() == 1.6
    assert deferred.due(1.6) == {("b", 1): 6, ("c", 1): 7}
    assert deferred.next_deadline() is None


def test_what_came_after_a_heartbeat_waits_anew() -> None:
    deferred = Deferred()
    deferred.holds(("a", 1), 5, Wait(1.5, 10), 1.0)
    deferred.holds(("a", 1), 6, Wait(1.5, 10), 1.9)
    deferred.told({"a": (1, 5)}, 2.0)
    assert deferred.due(3.4) == {}
    assert deferred.due(3.5) == {("a", 1): 6}


KEYS = st.tuples(st.sampled_from("ab"), st.integers(1, 2))
STEPS = st.lists(st.tuples(KEYS, st.sampled_from([0.0, 0.3, 0.6]), st.integers(0, MOST_BYTES)))


@given(STEPS, st.floats(0.01, 0.5))
def test_the_newest_position_of_each_is_told_in_time(steps: list, tick: float) -> None:
    deferred, newest, told = Deferred(), {}, {}
    since: dict[tuple[str, int], float] = {}
    for n, (key, seconds, nbytes) in zip(itertools.count(1), steps, strict=False):
        now = n * tick
        newest[key] = n
        if deferred.holds(key, n, Wait(seconds, nbytes), now):
            since.setdefault(key, now)
        else:
            told[key] = n
            since.pop(key, None)
        for due, position in deferred.due(now).items():
            told[due] = position
            since.pop(due, None)
        assert all(now - began <= 0.6 for began in since.values())
    told |= deferred.due(1e9)
    assert told == newest
