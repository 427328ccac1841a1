"""The count of a worker's rows: right after any store; each row of a killed one is lost once."""

from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from h5daq.errors import FileDamaged, ReadingError
from h5daq.flow import wire
from h5daq.flow.batch import Batch
from h5daq.flow.buffer import RowBuffer
from h5daq.flow.judging import Verdict
from h5daq.flow.ledger import Ledger
from h5daq.flow.records import DeathRecord, FileRecord, RunRecord, encode_record
from h5daq.flow.schema import Column, Schema
from h5daq.flow.toll import CELLS, Count, counted

SCHEMA = Schema((Column("time", np.dtype("<f8")), Column("T", np.dtype("<f8"))))


class Cells(list):
    """Remembers what the count said after each store: a kill may come after any."""

    def __init__(self):
        super().__init__([0] * CELLS)
        self.seen = []

    def __setitem__(self, place, value):
        super().__setitem__(place, value)
        self.seen.append(counted(self))


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 9), st.integers(0, 500))))
def test_the_count_is_right_after_each_store(steps):
    cells, want = Cells(), [0]
    count = Count(cells)
    for in_a_loop, n, place in steps:
        if in_a_loop:
            cell = count.begin(place)
            for row in range(place, place + n):
                count.cells[cell] = row
            want += range(want[-1] + 1, want[-1] + n + 1)
        else:
            count.add(n)
            want.append(want[-1] + n)
    assert [a for a, b in zip([-1, *cells.seen], cells.seen, strict=False) if a > b] == []
    assert set(cells.seen) <= set(want)
    assert count.total == want[-1]


def test_a_copy_counts_for_itself():
    cells = Cells()
    count = Count(cells)
    count.add(3)
    place = count.begin(0)
    count.leave()
    count.cells[place] = 5
    count.add(1)
    assert counted(cells) == 3


@given(st.lists(st.sampled_from(["row", "none", "bad", "raise", "take"]), max_size=60))
def test_a_loop_counts_each_row_that_is_held(steps):
    said, count, taken = iter(steps), Count(), 0
    buffer = RowBuffer(SCHEMA, rows=4)

    def getter():
        step = next(said, "none")
        assert step != "raise"
        return {"row": (1.0,), "bad": "x"}.get(step)

    for _ in steps:
        with suppress(AssertionError, ReadingError):
            buffer.fill(getter, lambda: 1.0, 2.0, count=count)
        assert count.total == taken + buffer.n
        batch = buffer.take("tank", 1, taken)
        taken += 0 if batch is None else batch.n


# -- what the writer makes of it -----------------------------------------------------------------


def hello(inc):
    return wire.encode("hello", job="tank", inc=inc, schema=SCHEMA.to_wire())


def rows(inc, first, n):
    t = np.full(n, 5.0)
    return wire.encode_rows(Batch("tank", inc, first, n, (t, t)), SCHEMA)


def begun(run="r"):
    return [encode_record(RunRecord(run, "run", 0.0)),
            encode_record(FileRecord(10, 0, 11, 0.0, 100.0, "a.hdf5"))]  # fmt: skip


def made(*messages):
    ledger = Ledger()
    for message in [*begun(), *messages]:
        ledger.apply(message)
    return ledger


def death(inc, produced, cause="killed"):
    return encode_record(DeathRecord("tank", inc, produced, cause))


# What happens to one of two workers: so many rows come, so many were refused, or it dies.
STEPS = st.tuples(
    st.sampled_from(["rows", "skip", "told", "dies", "restored", "new run"]),
    st.integers(1, 2), st.integers(1, 20),
)  # fmt: skip


@given(st.lists(STEPS, max_size=40), st.tuples(st.integers(0, 50), st.integers(0, 50)))
def test_each_row_of_a_dead_worker_is_committed_or_lost_and_none_twice(steps, tails):
    ledger = made(hello(1), hello(2))
    came, told, total = {1: 0, 2: 0}, {1: 0, 2: 0}, {"rows": 0, "lost": 0}

    def keep():
        job = ledger.jobs["tank"]
        total["rows"], total["lost"] = total["rows"] + job.rows, total["lost"] + lost(job)

    for step, inc, n in steps:
        if step == "rows":
            ledger.apply(rows(inc, came[inc], n))
            came[inc] += n
        elif step == "skip":
            ledger.apply(wire.encode("skip", job="tank", inc=inc, first=came[inc], n=n, cause="a"))
            came[inc] += n
        elif step == "told":
            told[inc] += n
            ledger.apply(wire.encode("status", job="tank", inc=inc, counts={"b": told[inc]}))
        elif step == "restored":
            ledger = Ledger.restore(ledger.snapshot())
        elif step == "new run":
            keep()
            for message in [*begun("s"), hello(1), hello(2)]:
                ledger.apply(message)
    for inc, tail in zip((1, 2, 1, 2), tails * 2, strict=True):
        ledger.apply(death(inc, came[inc] + told[inc] + tail))
        ledger = Ledger.restore(ledger.snapshot())
    keep()
    assert total["rows"] + total["lost"] == sum([*came.values(), *told.values(), *tails])
    assert ledger.jobs["tank"].lost.get("killed", 0) == sum(tails)


def lost(job):
    return sum(job.lost.values())


def test_what_comes_of_a_worker_after_its_death_was_counted_is_not_taken():
    ledger = made(hello(1), rows(1, 0, 4), death(1, 10))
    assert ledger.judge(wire.decode_head(rows(1, 4, 3))) is Verdict.KNOWN
    assert ledger.jobs["tank"].lost == {"killed": 6}


def test_the_next_worker_is_not_touched_by_a_death():
    ledger = made(hello(1), rows(1, 0, 4), hello(2), rows(2, 0, 3), death(1, 5))
    ledger.apply(rows(2, 3, 2))
    assert (ledger.jobs["tank"].rows, ledger.jobs["tank"].lost) == (9, {"killed": 1})


def test_a_worker_that_never_said_hello_is_counted_with_its_job():
    assert made(hello(1), death(2, 7, "undelivered")).jobs["tank"].lost == {"undelivered": 7}


def test_a_death_in_a_job_that_the_journal_does_not_know_is_damage():
    with pytest.raises(FileDamaged, match="death"):
        made(death(1, 1))
