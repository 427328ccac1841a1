"""Where a job's rows are: what its worker holds is its word, less what came since."""

from hypothesis import given
from hypothesis import strategies as st

from h5daq.flow.schema import Schema
from h5daq.flow.states import JobState
from h5daq.writer.accounts import Account, Stood

SCHEMA = Schema.from_wire([{"label": "time", "dtype": "<f8"}, {"label": "n", "dtype": "<i8"}])


def state(rows=0, lost=None, **positions):
    following = {int(inc[1:]): position for inc, position in positions.items()}
    return JobState("tank", SCHEMA, {}, 1.0, "schedule", 0, inc=1, rows=rows,
                    skipped=dict(lost or {}), next=following)  # fmt: skip


def account(job, then, **told):
    return Account(job, told, Stood.of(then, 1))


def test_a_job_whose_worker_has_said_nothing_produced_what_is_known_of_it():
    silent = Account(state(rows=5, lost={"shape": 2}, i1=7), {}, Stood())
    assert (silent.produced, silent.held, silent.spooled) == (7, 0, 0)


def test_rows_that_came_since_are_not_held_any_more():
    then, now = state(rows=5, i1=5), state(rows=8, i1=8)
    asked = account(now, then, end=9, held=4, spooled=4, spooled_bytes=99)
    assert (asked.produced, asked.held, asked.spooled) == (9, 1, 1)


def test_rows_of_an_earlier_worker_are_held_until_they_have_come():
    then = state(rows=5, i1=0, i2=5)
    told = {"end": 3, "held": 3, "earlier": 10, "spooled": 10}
    asked = account(then, then, **told)
    assert (asked.produced, asked.held, asked.spooled) == (18, 13, 10)
    later = account(state(rows=9, i1=0, i2=9), then, **told)
    assert (later.produced, later.held, later.spooled) == (18, 9, 9)


def test_a_worker_of_another_version_that_does_not_say_its_end_is_believed_what_it_holds():
    job = state(rows=5, i1=5)
    assert account(job, job, held=2).produced == 7


counts = st.integers(0, 1000)


@given(rows=counts, skipped=counts, held=counts, earlier=counts, before=counts)
def test_at_rest_what_was_produced_is_committed_held_or_lost(rows, skipped, held, earlier, before):
    # Positions of earlier runs outlive them: they must not count.
    job = state(rows=rows, lost={"overflow": skipped}, i1=rows + skipped, i2=before)
    job.counts = {1: {"getter": 3}, 2: {"shape": 4}}
    end = rows + skipped + held
    asked = account(job, job, end=end, held=held, earlier=earlier)
    assert asked.produced == rows + asked.held + sum(job.lost.values())
