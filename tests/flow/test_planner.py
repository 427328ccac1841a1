"""The planner: when a file ends, and that ids make a chain without gaps."""

import itertools

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from h5daq.flow import wire
from h5daq.flow.batch import Batch
from h5daq.flow.effects import Sealed
from h5daq.flow.ledger import Ledger
from h5daq.flow.planner import Planner
from h5daq.flow.records import EndRecord, RunRecord, encode_record
from h5daq.flow.rollover import Calendar
from h5daq.flow.schema import Column, Schema

SCHEMA = Schema((Column("time", np.dtype("<f8")), Column("T", np.dtype("<f8"))))
HOUR = 3600.0


class Run:
    """A run driven by hand: rows go in, records come out of the planner and into the ledger."""

    def __init__(self, size=0, start=100.0):
        self.planner = Planner(
            Calendar({"hours": 1}),
            "{date_from}_{date_to}.h5",
            size,
            60.0,
            itertools.count(1).__next__,
        )
        self.ledger, self.sealed, self.opened, self.next = Ledger(), [], [], {}
        self.record(RunRecord("r", "", start))
        self.record(self.planner.first(start))

    def record(self, record):
        if record is not None:
            self.opened += [record] if hasattr(record, "reason") else []
            effects = self.ledger.apply(encode_record(record))
            self.sealed += [e for e in effects if isinstance(e, Sealed)]

    def hello(self, job):
        self.next[job] = 0
        self.ledger.apply(wire.encode("hello", job=job, inc=1, schema=SCHEMA.to_wire()))

    def rows(self, job, times, now=None):
        if job not in self.next:
            self.hello(job)
        t = np.asarray(times, "<f8")
        self.record(self.planner.before_rows(self.ledger, t.max(), t.max() if now is None else now))
        message = wire.encode_rows(Batch(job, 1, self.next[job], len(t), (t, t)), SCHEMA)
        self.next[job] += len(t)
        return [(p.file, p.batch.n) for p in self.ledger.apply(message)]

    def tick(self, now):
        self.record(self.planner.to_seal(self.ledger, now))


def test_a_row_past_the_boundary_begins_the_next_file_at_the_boundary():
    run = Run()
    run.rows("a", [200.0])
    run.rows("a", [HOUR + 1])
    assert [(f.start, f.end) for f in run.ledger.files] == [(100.0, HOUR), (HOUR, 2 * HOUR)]


def test_a_row_from_far_ahead_of_the_writers_clock_begins_no_file():
    run = Run()
    run.rows("a", [200.0])
    run.rows("a", [50 * HOUR], now=300.0)
    assert len(run.ledger.files) == 1


def test_periods_without_rows_leave_no_file_and_no_gap_in_the_chain():
    run = Run()
    run.rows("a", [200.0])
    run.tick(HOUR + 61)
    assert not run.ledger.files
    run.rows("a", [5 * HOUR + 10])
    (file,) = run.ledger.files
    assert (file.start, file.end) == (5 * HOUR, 6 * HOUR)
    assert (file.previous, file.id) == (run.sealed[0].file.id, run.sealed[0].seal.following)


def test_the_old_file_is_sealed_when_all_jobs_have_crossed():
    run = Run()
    run.rows("a", [200.0])
    run.rows("b", [200.0])
    run.rows("a", [HOUR + 1])
    run.tick(HOUR + 2)
    assert not run.sealed
    run.rows("b", [HOUR + 2])
    run.tick(HOUR + 3)
    assert [s.seal.end for s in run.sealed] == [HOUR]


def test_a_job_that_never_crosses_is_moved_on_after_the_grace():
    run = Run()
    run.rows("slow", [200.0])
    run.rows("a", [HOUR + 1])
    run.tick(HOUR + 59)
    assert not run.sealed
    run.tick(HOUR + 60)
    assert len(run.sealed) == 1
    assert run.rows("slow", [300.0], now=HOUR + 70) == [(run.ledger.files[0].id, 1)]


def test_a_full_file_ends_now_and_the_next_keeps_the_calendar():
    run = Run(size=64)
    run.rows("a", [200.0, 201.0, 202.0, 203.0])
    run.rows("a", [204.0], now=203.5)
    first, second = run.ledger.files
    assert (second.start, second.end) == (203.5, first.end)


def test_a_schema_change_moves_every_job_at_once():
    run = Run()
    run.rows("a", [200.0])
    run.rows("b", [200.0])
    run.record(run.planner.on_schema_change(run.ledger, 300.0))
    new = run.ledger.files[-1].id
    assert {job.file for job in run.ledger.jobs.values()} == {new}


def test_a_schema_change_finds_a_file_of_its_own_also_when_the_newest_is_still_empty():
    run = Run(size=40)
    run.rows("a", [200.0, 201.0, 202.0])
    run.rows("a", [202.5], now=203.0)
    assert [file.rows for file in run.ledger.files] == [4, 0]
    run.record(run.planner.on_schema_change(run.ledger, 204.0))
    assert [file.rows for file in run.ledger.files] == [4, 0]
    assert run.ledger.jobs["a"].file == run.ledger.files[-1].id


def test_a_clock_that_was_set_by_decades_is_not_counted_through():
    run = Run()
    run.rows("a", [200.0])
    run.rows("a", [1.7e9])
    assert run.ledger.files[-1].start <= 1.7e9 < run.ledger.files[-1].end


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("ab"), st.floats(0, 3 * HOUR)), max_size=25))
def test_every_file_with_rows_is_in_one_chain(steps):
    run, now = Run(size=40), 100.0
    for job, ahead in steps:
        now += ahead
        run.rows(job, [now])
        run.tick(now)
    run.record(EndRecord(now))
    chain = [s for s in run.sealed if s.file.rows]
    assert sum(s.file.rows for s in chain) == len(steps)
    for one, other in itertools.pairwise(chain):
        assert (one.seal.following, other.file.previous) == (other.file.id, one.file.id)
        assert one.seal.end <= other.file.start
