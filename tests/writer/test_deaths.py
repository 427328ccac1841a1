"""A worker that was killed: what nobody has is counted once, whoever tells it and how often."""

from types import SimpleNamespace

import pytest

from h5daq.errors import JobValueError
from h5daq.flow.ledger import Ledger
from h5daq.flow.records import DeathRecord, EndRecord
from h5daq.writer.deaths import QUIET_SECONDS, Deaths, death_of

TOLD = {"job": "tank", "inc": 1, "produced": 10, "cause": "killed"}


class Bench:
    """Deaths before a front whose journal syncs when told to."""

    def __init__(self, front):
        self.front, self.now = front, 0.0
        self.hear()

    def hear(self):
        intake = self.front.intake
        self.deaths = Deaths(intake.ledger, self.front.journal, intake.record, lambda: self.now)

    def told(self, **fields):
        return self.deaths.take(death_of({**TOLD, **fields}))

    def later(self, **fields):
        """Told now, and again when nothing has come for long enough, and it is synced."""
        self.told(**fields)
        self.now += QUIET_SECONDS
        self.told(**fields)
        self.front.journal.sync()
        return self.told(**fields)

    @property
    def lost(self):
        return self.front.intake.ledger.jobs["tank"].lost


@pytest.fixture
def bench(front, worker):
    tank = worker()
    front.take(tank.hello(), tank.rows(11.0, 12.0, 13.0), tank.say("status", counts={"getter": 2}))
    return Bench(front)


def test_what_neither_came_nor_was_told_is_lost(bench):
    assert bench.later() == "counted"
    assert bench.lost == {"getter": 2, "killed": 5}


def test_rows_that_still_come_in_are_waited_for(bench, worker):
    late = worker()
    late.end = 3
    assert bench.told() == "waiting"
    bench.now += QUIET_SECONDS
    bench.front.take(late.rows(14.0, 15.0))
    assert bench.told() == "waiting"
    assert bench.later() == "counted"
    assert bench.lost["killed"] == 3


def test_it_is_not_counted_before_it_is_synced(bench):
    journal = SimpleNamespace(last=7, synced=6)
    bench.deaths = Deaths(bench.front.intake.ledger, journal, lambda _: None, lambda: bench.now)
    bench.told()
    bench.now += QUIET_SECONDS
    assert bench.told() == bench.told() == "waiting"
    journal.synced = 7
    assert bench.told() == "counted"


def test_told_again_also_to_the_next_writer_it_counts_nothing_more(bench):
    assert [bench.later() for _ in range(2)] == ["counted"] * 2
    bench.front.begin(Ledger.restore(bench.front.intake.ledger.snapshot()))
    bench.hear()
    assert bench.later() == "counted"
    assert bench.lost == {"getter": 2, "killed": 5}


def test_a_job_that_the_run_does_not_know_and_a_run_that_is_over_are_for_the_next(bench):
    assert bench.later(job="other") == "unknown"
    bench.front.intake.record(EndRecord(20.0))
    assert bench.later() == "unknown"


@pytest.mark.parametrize(
    "wrong",
    [{"job": 7}, {"job": "h5daq/events"}, {"inc": -1}, {"inc": 1 << 64}, {"produced": -1},
     {"produced": 1.5}, {"produced": True}, {"produced": 1 << 63}, {"cause": "late"},
     {"cause": ["killed"]}],
)  # fmt: skip
def test_what_makes_no_sense_is_refused_and_names_what_is_wrong(wrong):
    with pytest.raises(JobValueError, match=next(iter(wrong))):
        death_of({**TOLD, **wrong})


def test_who_says_no_cause_says_that_it_was_killed():
    told = {key: value for key, value in TOLD.items() if key != "cause"}
    assert death_of(told) == DeathRecord("tank", 1, 10)
