"""Alarms: each excursion is told once, noise does not chatter, and who rests is not stale."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from h5daq.flow.alarms import QUIET_SECONDS, Alarms
from h5daq.flow.limits import Limits, greatest, least
from h5daq.flow.watched import LEVELS, Change, Disk, Rules, Seen

BOUNDS = {"warn": {"low": -10.0, "high": 10.0}, "alarm": {"low": -20.0, "high": 20.0}}


def alarms_of(rules=None, **limits):
    found = {"tank": {"T": Limits.of(limits)}} if limits else {}
    return Alarms(found, rules or Rules(), now=0.0)


def look(alarms, *values, now=1.0):
    low, high = min(values), max(values)
    return [(change.kind, change.level) for change in alarms.look("tank", "T", low, high, now)]


def tick(alarms, now, state="reading", lost=0, **disk):
    changes = alarms.tick(now, {"tank": Seen(state, lost)}, Disk(**disk))
    return [(change.kind, change.level) for change in changes]


def test_each_bound_raises_its_level_and_the_way_back_is_told():
    alarms = alarms_of(**BOUNDS)
    told = [look(alarms, value) for value in (0, 11, 21, 15, 5, -11, -25, 0)]
    highs = [[], [("high", "warn")], [("high", "alarm")], [("high", "warn")], [("high", "ok")]]
    assert told == [*highs, [("low", "warn")], [("low", "alarm")], [("low", "ok")]]
    assert not alarms.current


def test_a_bound_itself_is_still_good():
    assert look(alarms_of(**BOUNDS), 10.0) == []


def test_noise_at_a_bound_is_told_once():
    alarms = alarms_of(**BOUNDS, hysteresis=1.0)
    told = [change for n in range(100) for change in look(alarms, 10.0 + 0.9 * (-1) ** n)]
    assert told == [("high", "warn")]
    assert look(alarms, 9.0) == [("high", "ok")]


def test_an_excursion_within_a_batch_is_seen_and_stays_for_that_batch():
    alarms = alarms_of(**BOUNDS)
    assert look(alarms, 0.0, 30.0, -15.0, 0.0) == [("low", "warn"), ("high", "alarm")]
    assert look(alarms, 0.0) == [("low", "ok"), ("high", "ok")]


def test_infinity_is_beyond_every_bound():
    assert look(alarms_of(**BOUNDS), math.inf) == [("high", "alarm")]


# -- against a model that knows no levels, only latches ----------------------------------------


class Latch:
    """One bound: set beyond it, reset inside it by the hysteresis."""

    def __init__(self, sign, bound, hysteresis):
        self.sign, self.bound, self.hysteresis, self.on = sign, bound, hysteresis, False

    def see(self, values):
        furthest = max(self.sign * value for value in values)
        if furthest > self.sign * self.bound:
            self.on = True
        elif furthest <= self.sign * self.bound - self.hysteresis:
            self.on = False


BATCHES = st.lists(st.lists(st.integers(-30, 30), min_size=1, max_size=4), max_size=30)


@given(BATCHES, st.integers(0, 19))
def test_levels_are_those_of_independent_latches(batches, hysteresis):
    alarms = alarms_of(**BOUNDS, hysteresis=float(hysteresis))
    latches = {
        kind: [Latch(sign, sign * 10.0, hysteresis), Latch(sign, sign * 20.0, hysteresis)]
        for kind, sign in (("low", -1), ("high", 1))
    }
    for batch in batches:
        changes = dict(look(alarms, *map(float, batch)))
        for kind, (warn, alarm) in latches.items():
            before = 2 * alarm.on or int(warn.on)
            warn.see(batch), alarm.see(batch)
            after = 2 * alarm.on or int(warn.on)
            assert changes.get(kind) == (LEVELS[after] if after != before else None)


@given(st.lists(st.floats(), min_size=1, max_size=20))
def test_no_value_breaks_it_and_nan_changes_nothing(values):
    alarms = alarms_of(**BOUNDS, hysteresis=2.0)
    for value in values:
        before = dict(alarms.current)
        row = np.array([value])
        alarms.look("tank", "T", least(row), greatest(row), 1.0)
        assert value == value or alarms.current == before


# -- what is seen once a second ----------------------------------------------------------------


def test_a_column_without_numbers_is_stale_until_one_comes():
    alarms = alarms_of(stale=5.0)
    assert tick(alarms, 5.0) == []
    assert tick(alarms, 5.1) == [("stale", "alarm")]
    assert tick(alarms, 60.0) == []
    alarms.look("tank", "T", None, None, 61.0)
    assert tick(alarms, 61.0) == []
    alarms.look("tank", "T", 1.0, 1.0, 62.0)
    assert tick(alarms, 62.0) == [("stale", "ok")]


def test_a_job_that_still_starts_has_its_time_from_its_hello_on():
    alarms = alarms_of(stale=5.0)
    assert alarms.tick(20.0, {}, Disk()) == []
    assert tick(alarms, 24.0, "starting") == []
    assert tick(alarms, 26.0) == [("stale", "alarm")]
    assert alarms_of(stale=5.0).tick(30.0, {}, Disk())[0].kind == "stale"


@pytest.mark.parametrize("state", ["paused", "ended"])
def test_who_rests_is_not_stale_and_has_its_time_again_afterwards(state):
    alarms = alarms_of(stale=5.0)
    assert tick(alarms, 100.0, state) == []
    assert tick(alarms, 104.0) == []
    assert tick(alarms, 106.0) == [("stale", "alarm")]
    assert tick(alarms, 107.0, state) == [("stale", "ok")]


@pytest.mark.parametrize("state", ["silent", "hanging", "restarting", "given up", "refused"])
def test_a_job_is_down_until_it_reads_again(state):
    alarms = alarms_of()
    assert tick(alarms, 1.0) == []
    assert tick(alarms, 2.0, state) == [("down", "alarm")]
    assert tick(alarms, 3.0, state) == []
    assert tick(alarms, 4.0) == [("down", "ok")]


def test_a_job_that_never_says_hello_is_down_after_a_while():
    alarms = alarms_of(Rules(jobs=("pump", "tank")))
    assert tick(alarms, 29.0) == []
    (change,) = alarms.tick(31.0, {"tank": Seen("reading")}, Disk())
    assert (change.job, change.kind, change.level) == ("pump", "down", "alarm")


def test_a_loss_is_told_once_and_taken_back_when_it_is_quiet():
    alarms = alarms_of()
    told = [tick(alarms, float(t), lost=t) for t in range(1, 6)]
    assert told == [[("loss", "alarm")], [], [], [], []]
    assert tick(alarms, 4.0 + QUIET_SECONDS, lost=5) == []
    assert tick(alarms, 5.0 + QUIET_SECONDS, lost=5) == [("loss", "ok")]
    assert tick(alarms, 6.0 + QUIET_SECONDS, lost=6) == [("loss", "alarm")]


def test_what_was_lost_before_is_no_news():
    alarms = Alarms({}, Rules(), 0.0, {"tank": 7})
    assert tick(alarms, 1.0, lost=7) == []
    assert tick(alarms, 2.0, lost=8) == [("loss", "alarm")]


def test_a_disk_that_fills_is_a_warning_then_an_alarm():
    alarms = alarms_of(Rules(disk=(100.0, 10.0)))
    told = [tick(alarms, 1.0, free=free) for free in (200, 99, 105, 9, 10.5, 50, 109, 111)]
    assert [[level for _, level in one] for one in told] == [
        [], ["warn"], [], ["alarm"], [], ["warn"], [], ["ok"],
    ]  # fmt: skip


def test_a_disk_that_takes_nothing_is_an_alarm_whatever_is_free():
    alarms = alarms_of(Rules(disk=(100.0, 10.0)))
    assert tick(alarms, 1.0, free=500.0, trouble="no space left") == [("disk", "alarm")]
    assert "no space left" in alarms.worst()[0].text
    assert tick(alarms, 2.0, free=500.0) == [("disk", "ok")]


def test_what_is_switched_off_is_never_told():
    alarms = alarms_of(Rules(down=False, loss=False))
    assert tick(alarms, 1.0, "given up", lost=5, free=0.0, trouble="full") == []


def test_the_worst_come_first():
    alarms = alarms_of(**BOUNDS)
    tick(alarms, 1.0, "silent")
    look(alarms, 11.0)
    assert [change.kind for change in alarms.worst()] == ["down", "high"]


# -- a watch that comes after another ------------------------------------------------------------


def raised_before(kind, column="", level="alarm"):
    return Change("tank", column, kind, level, None, None, "as it was")


def successor(*raised, rules=None, **limits):
    found = {"tank": {"T": Limits.of(limits)}} if limits else {}
    return Alarms(found, rules or Rules(), 0.0, {"tank": 3}, raised)


def test_what_was_raised_before_is_no_news_and_ends_when_the_next_row_says_so():
    alarms = successor(raised_before("high", "T", "warn"), **BOUNDS, hysteresis=1.0)
    assert look(alarms, 9.5) == []
    assert look(alarms, 8.0) == [("high", "ok")]


def test_a_column_stays_stale_until_a_number_comes_whoever_watches():
    alarms = successor(raised_before("stale", "T"), stale=5.0)
    assert tick(alarms, 1.0) == tick(alarms, 100.0) == []
    look(alarms, 1.0, now=101.0)
    assert tick(alarms, 101.0) == [("stale", "ok")]


def test_a_job_of_which_nothing_is_known_yet_stays_down():
    alarms = successor(raised_before("down"))
    assert tick(alarms, 1.0, state="new", lost=3) == []
    assert tick(alarms, 2.0, lost=3) == [("down", "ok")]


def test_an_alarm_about_a_loss_is_kept_for_a_minute_by_the_next_watch_as_well():
    alarms = successor(raised_before("loss"))
    assert tick(alarms, QUIET_SECONDS - 1, lost=3) == []
    assert tick(alarms, QUIET_SECONDS, lost=3) == [("loss", "ok")]
