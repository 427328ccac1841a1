"""Whatever the clocks do: each row in one file, in order, and what is late is counted."""

import itertools
from collections import Counter, defaultdict

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from h5daq.flow import wire
from h5daq.flow.batch import Batch
from h5daq.flow.clockwatch import JUMP_SECONDS, MOST_JUMPS, ClockWatch
from h5daq.flow.effects import Place, Sealed
from h5daq.flow.ledger import Ledger
from h5daq.flow.planner import Planner
from h5daq.flow.records import EndRecord, FileRecord, RunRecord, encode_record
from h5daq.flow.rollover import Calendar
from h5daq.flow.schema import Column, Schema
from h5daq.jobs.schedule import Schedule

SCHEMA = Schema((Column("time", np.dtype("<f8")), Column("n", np.dtype("<f8"))))
HOUR = 3600.0
START = 1_000_000_000.0
LAG = {"a": 0.0, "b": 1.5 * HOUR}
"""By how much the clocks of the workers' hosts are behind the writer's."""


class World:
    """A writer's ledger and planner, workers, and one wall clock that is set at will."""

    def __init__(self, size=0):
        ids = itertools.count(1).__next__
        self.planner = Planner(Calendar({"hours": 1}), "{date_from}_{date_to}.h5", size, 60.0, ids)
        self.ledger, self.now = Ledger(), START
        self.next, self.places, self.opened, self.sealed = Counter(), [], [], []
        self.record(RunRecord("r", "", START))
        self.record(self.planner.first(START))

    def record(self, record):
        if record is not None:
            if isinstance(record, FileRecord):
                self.opened.append(record)
            self._note(self.ledger.apply(encode_record(record)))

    def _note(self, effects):
        self.places += [e for e in effects if isinstance(e, Place)]
        self.sealed += [e for e in effects if isinstance(e, Sealed)]

    def rows(self, job, steps):
        """Rows of a job, the clock going by a step before each; then the writer looks at it."""
        if not self.next[job]:
            self._note(
                self.ledger.apply(wire.encode("hello", job=job, inc=1, schema=SCHEMA.to_wire()))
            )
        times = self.now + np.cumsum(steps)
        self.now = float(times[-1])
        times -= LAG[job]
        first, self.next[job] = self.next[job], self.next[job] + len(steps)
        numbers = np.arange(first, self.next[job], dtype="<f8")
        self.record(self.planner.before_rows(self.ledger, float(times.max()), self.now))
        batch = Batch(job, 1, first, len(times), (times, numbers))
        self._note(self.ledger.apply(wire.encode_rows(batch, SCHEMA)))

    def pass_by(self, step):
        self.now += step
        self.record(self.planner.to_seal(self.ledger, self.now))

    def end(self):
        begun = max((file.start for file in self.ledger.files), default=self.ledger.last_end)
        self.record(EndRecord(max(self.now, begun)))


steps = st.one_of(
    st.floats(0.001, 2.0),
    st.sampled_from([-1.0, 0.0, 3599.0, 3600.0, -3600.0, -7200.0, 5 * HOUR, -5 * HOUR, 90 * 86400]),
)
events = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["a", "b"]), st.lists(steps, min_size=1, max_size=4)),
        st.tuples(st.just(""), st.one_of(steps, st.just(61.0))),
    ),
    max_size=30,
)


def lived(happenings, size):
    world = World(size)
    for who, what in happenings:
        world.rows(who, what) if who else world.pass_by(what)
    world.end()
    return world


@settings(max_examples=50)
@given(events, st.sampled_from([0, 64]))
def test_each_row_is_in_one_file_in_order_whatever_the_clock_does(happenings, size):
    world = lived(happenings, size)
    order = {file.file.id: k for k, file in enumerate(world.sealed)}
    seen = defaultdict(list)
    for place in world.places:
        numbers = place.batch.columns[1]
        seen[place.job] += [(order[place.file], int(n)) for n in numbers]
    for job, rows in seen.items():
        assert [n for _, n in rows] == list(range(world.next[job]))
        assert [file for file, _ in rows] == sorted(file for file, _ in rows)


@settings(max_examples=50)
@given(events, st.sampled_from([0, 64]))
def test_what_lies_in_a_file_that_began_after_it_is_counted_as_late(happenings, size):
    world = lived(happenings, size)
    starts = {file.file.id: file.file.start for file in world.sealed}
    late = Counter()
    for place in world.places:
        late[place.job] += int((place.batch.times() < starts[place.file]).sum())
    assert late == Counter({name: job.late for name, job in world.ledger.jobs.items()})


@settings(max_examples=50)
@given(events, st.sampled_from([0, 64]))
@example([("b", [1.0] * 4), ("", 820.0), ("b", [1.0]), ("a", [1.0])], 64)
@example([("a", [1.0] * 4), ("", 5 * HOUR), ("a", [-5 * HOUR, 1.0, 1.0, 1.0])], 64)
@example([("a", [5 * HOUR]), ("a", [-5 * HOUR, 1.0, 1.0, 1.0]), ("a", [1.0] * 4)], 64)
def test_files_begin_before_they_end_and_one_after_the_other(happenings, size):
    world = lived(happenings, size)
    files = [seal.file for seal in world.sealed]
    assert all(file.start < file.end for file in files)
    assert all(a.start < b.start for a, b in itertools.pairwise(files))
    assert all(seal.file.start <= seal.seal.end for seal in world.sealed)
    assert [f.previous for f in files] == [0, *(f.id for f in files)][: len(files)]


def test_other_columns_begin_a_file_that_ends_after_it_begins_whatever_the_clock_says():
    for step in (10.0, 820.0, -HOUR):
        world = World()
        world.rows("a", [1.0])
        world.now += step
        opened = world.planner.on_schema_change(world.ledger, world.now)
        assert world.opened[0].start < opened.start < opened.end


def test_a_file_that_is_full_ends_also_after_the_clock_was_set_back():
    world = World(size=64)
    world.rows("a", [5 * HOUR])
    world.rows("a", [-5 * HOUR])
    for _ in range(20):
        world.rows("a", [1.0, 1.0])
    world.end()
    assert max(seal.file.bytes for seal in world.sealed) < 200


@given(st.lists(st.tuples(st.floats(0.0, 3.0), steps), max_size=40), st.booleans())
def test_deadlines_follow_the_monotonic_clock_whatever_the_wall_clock_does(turns, align):
    now, wall = 500.0, START
    schedule = Schedule(1.0, now, align=align, wall=wall)
    last = None
    for takes, jump in turns:
        # At most one period away, and half a one by which the grid moves with the clock.
        assert schedule.due - now <= 1.5 + 1e-6
        now, wall = max(now, schedule.due), wall + max(0.0, schedule.due - now)
        schedule.begin(now)
        now, wall = now + takes, wall + takes + jump
        schedule.done(now, True, wall)
        assert last is None or schedule.due > last
        last = schedule.due


@given(st.lists(st.tuples(st.floats(0.5, 2.0), st.one_of(st.just(0.0), steps)), max_size=30))
def test_a_clock_that_was_set_is_noticed_with_the_size_of_the_jump(turns):
    watch, now, wall = ClockWatch(), 5.0, START
    watch.look(now, wall, now)
    made = []
    for takes, jump in turns:
        now, wall = now + takes, wall + takes + jump
        watch.look(now, wall, now)
        made += [(wall, jump)] if abs(jump) >= JUMP_SECONDS + 1e-6 else []
    found = [(t, s) for t, s in watch.jumps if abs(s) >= JUMP_SECONDS + 1e-6]
    assert np.allclose(found, made) if made else not found


def test_a_slow_correction_is_no_jump_and_a_look_that_took_long_tells_nothing():
    watch = ClockWatch()
    assert not any(watch.look(k, START + 1.0005 * k, k) for k in range(10_000))
    assert watch.look(10_000.0, START, 10_001.0) == 0.0
    assert not watch.jumps


def test_a_clock_that_never_stops_jumping_fills_no_memory():
    watch = ClockWatch()
    for k in range(10 * MOST_JUMPS):
        watch.look(k, START + k + 10.0 * (k % 2), k)
    assert len(watch.jumps) == MOST_JUMPS
