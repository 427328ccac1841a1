"""The ledger: what entries add up to, and that a snapshot or a replay gives the same."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from h5daq.errors import WireError
from h5daq.flow import wire
from h5daq.flow.batch import Batch
from h5daq.flow.effects import Ended, Place, Sealed
from h5daq.flow.judging import Verdict
from h5daq.flow.ledger import Ledger
from h5daq.flow.records import (
    EndRecord,
    FileRecord,
    MarkRecord,
    RunRecord,
    SealRecord,
    encode_record,
)
from h5daq.flow.schema import Column, Schema

SCHEMA = Schema((Column("time", np.dtype("<f8")), Column("T", np.dtype("<f8"))))
OTHER = Schema((Column("time", np.dtype("<f8")), Column("T", np.dtype("<i4"))))


def hello(job="tank", inc=1, schema=SCHEMA, **more):
    """A worker's first message."""
    return wire.encode("hello", job=job, inc=inc, schema=schema.to_wire(), attrs={}, **more)


def rows(times, first=0, job="tank", inc=1):
    t = np.asarray(times, "<f8")
    return wire.encode_rows(Batch(job, inc, first, len(t), (t, t + 0.5)), SCHEMA)


def begun(*messages):
    ledger = Ledger()
    ledger.apply(encode_record(RunRecord("r", "run", 0.0)))
    ledger.apply(encode_record(FileRecord(10, 0, 11, 0.0, 100.0, "a.hdf5")))
    for message in messages:
        ledger.apply(message)
    return ledger


def judge(ledger, message):
    return ledger.judge(wire.decode_head(message))


def second_file(**more):
    return encode_record(FileRecord(11, 10, 12, 100.0, 200.0, "b.hdf5", **more))


def placed(effects):
    return [(e.file, e.batch.times().tolist()) for e in effects if isinstance(e, Place)]


def test_rows_of_an_unknown_incarnation_need_a_hello():
    ledger = begun(hello(inc=1))
    assert judge(ledger, rows([1.0], inc=2)) is Verdict.NEED_HELLO
    assert judge(ledger, rows([1.0], job="other")) is Verdict.NEED_HELLO


def test_known_early_and_new_rows_are_told_apart():
    ledger = begun(hello(), rows([1.0, 2.0]))
    assert judge(ledger, rows([1.0, 2.0])) is Verdict.KNOWN
    assert judge(ledger, rows([9.0], first=7)) is Verdict.GAP
    assert judge(ledger, rows([2.0, 3.0], first=1)) is Verdict.TAKE


def test_an_overlap_gives_its_tail():
    ledger = begun(hello(), rows([1.0, 2.0]))
    effects = ledger.apply(rows([2.0, 3.0, 4.0], first=1))
    assert placed(effects) == [(10, [3.0, 4.0])]
    assert ledger.jobs["tank"].next[1] == 4


def test_a_job_crosses_with_its_first_row_past_the_boundary_and_never_goes_back():
    ledger = begun(hello(), second_file() if False else rows([1.0]), second_file())
    effects = ledger.apply(rows([99.0, 100.0, 98.0], first=1))
    assert placed(effects) == [(10, [99.0]), (11, [100.0, 98.0])]
    assert placed(ledger.apply(rows([97.0], first=4))) == [(11, [97.0])]
    assert ledger.jobs["tank"].late == 2


def test_each_job_crosses_by_itself():
    ledger = begun(hello("a"), hello("b"), rows([1.0], job="a"), second_file())
    assert placed(ledger.apply(rows([150.0], first=1, job="a"))) == [(11, [150.0])]
    assert placed(ledger.apply(rows([50.0], job="b"))) == [(10, [50.0])]


def test_a_seal_moves_the_jobs_that_are_still_in_the_file():
    ledger = begun(hello(), rows([1.0]), second_file())
    (sealed,) = ledger.apply(encode_record(SealRecord(10, 100.0, 11)))
    assert isinstance(sealed, Sealed)
    assert sealed.file.id == 10
    assert placed(ledger.apply(rows([50.0], first=1))) == [(11, [50.0])]
    assert ledger.jobs["tank"].late == 1


def test_a_file_without_rows_is_replaced():
    ledger = begun(hello())
    ledger.apply(encode_record(FileRecord(10, 0, 12, 100.0, 200.0, "b.hdf5")))
    assert [file.name for file in ledger.files] == ["b.hdf5"]


def test_the_end_seals_every_file_and_links_them():
    ledger = begun(hello(), rows([1.0]), second_file())
    ledger.apply(rows([150.0], first=1))
    first, last = ledger.apply(encode_record(EndRecord(160.0)))
    assert (first.seal.end, first.seal.following) == (100.0, 11)
    assert (last.seal.end, last.seal.following, last.run_end) == (160.0, 0, 160.0)
    assert ledger.ended


def test_a_new_incarnation_is_a_restart_and_its_numbers_begin_at_zero():
    ledger = begun(hello(inc=1), rows([1.0, 2.0], inc=1), hello(inc=2, cause="killed", time=5.0))
    job = ledger.jobs["tank"]
    assert job.restarts == [(5.0, "killed")]
    assert (job.next, job.rows) == ({1: 2, 2: 0}, 2)


def test_positions_outlive_a_run_but_counts_do_not():
    ledger = begun(hello(), rows([1.0]), encode_record(EndRecord(2.0)))
    ledger.apply(encode_record(RunRecord("r2", "run", 10.0)))
    ledger.apply(encode_record(FileRecord(20, 0, 21, 10.0, 100.0, "c.hdf5")))
    assert judge(ledger, rows([3.0], first=1)) is Verdict.NEED_HELLO
    ledger.apply(hello())
    assert (ledger.jobs["tank"].next[1], ledger.jobs["tank"].rows) == (1, 0)


def test_skipped_numbers_and_reported_counts_are_losses():
    ledger = begun(hello())
    ledger.apply(wire.encode("skip", job="tank", inc=1, first=0, n=3, cause="trimmed"))
    ledger.apply(wire.encode("status", job="tank", inc=1, state="reading", counts={"shape": 2}))
    assert ledger.jobs["tank"].lost == {"trimmed": 3, "shape": 2}
    assert ledger.jobs["tank"].next[1] == 3


def test_the_chain_ends_with_the_last_file_that_has_rows():
    ledger = begun(hello(), rows([1.0]), second_file())
    (last,) = ledger.apply(encode_record(EndRecord(50.0)))
    assert (last.file.id, last.seal.following, last.seal.end) == (10, 0, 50.0)


def test_an_end_after_the_last_seal_takes_back_that_a_file_follows():
    ledger = begun(hello(), rows([1.0]), encode_record(SealRecord(10, 100.0, 11)))
    assert ledger.apply(encode_record(EndRecord(150.0))) == [Ended(10, 100.0, 150.0, False)]
    assert Ledger.restore(ledger.snapshot()).last_following == 0


def test_a_run_without_rows_has_no_file_to_end():
    assert begun(hello()).apply(encode_record(EndRecord(150.0))) == []


def test_a_status_without_counts_takes_none_back():
    ledger = begun(hello())
    ledger.apply(wire.encode("status", job="tank", inc=1, counts={"shape": 2}))
    assert judge(ledger, wire.encode("status", job="tank", inc=1)) is Verdict.KNOWN
    assert judge(ledger, wire.encode("status", job="tank", inc=1, counts={})) is Verdict.TAKE


def test_absurd_counts_still_fit_into_a_file():
    ledger = begun(hello())
    for first in (0, 1 << 62):
        skip = wire.encode("skip", job="tank", inc=1, first=first, n=1 << 62, cause="trimmed")
        ledger.apply(skip)
    assert np.int64(ledger.jobs["tank"].lost["trimmed"]) == 2**63 - 1


def test_a_mark_changes_nothing():
    ledger = begun(hello(), rows([1.0]))
    before = ledger.snapshot()
    assert ledger.apply(encode_record(MarkRecord(3))) == []
    assert ledger.snapshot() == before


def test_other_columns_under_the_same_name_are_a_schema_change():
    ledger = begun(hello(), rows([1.0]))
    assert ledger.schema_changes(wire.decode_head(hello(inc=2, schema=OTHER)))
    assert not ledger.schema_changes(wire.decode_head(hello(inc=2)))


@pytest.mark.parametrize("job", ["tank/T", "a//b", "/tank", ".."])
def test_a_name_that_collides_or_is_not_normal_is_refused(job):
    ledger = begun(hello("tank"))
    with pytest.raises(WireError):
        judge(ledger, hello(job))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2), st.floats(0, 300), st.integers(1, 4)), max_size=30),
       st.integers(0, 30))  # fmt: skip
def test_a_snapshot_anywhere_and_a_replay_lead_to_the_same_state(steps, cut):
    """Two ledgers, one restored from a snapshot half way, agree on state and on every place."""
    messages, nexts = [hello(f"j{j}") for j in range(3)], [0, 0, 0]
    for job, time, n in steps:
        times = time + np.arange(n)
        messages.append(rows(times, nexts[job], f"j{job}"))
        nexts[job] += n
        if time > 250:
            messages.append(encode_record(FileRecord(11, 10, 12, 100.0, 200.0, "b.hdf5")))
    whole, resumed = begun(), begun()
    effects = [placed(whole.apply(m)) for m in messages]
    for index, message in enumerate(messages):
        if index == cut:
            resumed = Ledger.restore(resumed.snapshot())
        assert placed(resumed.apply(message)) == effects[index]
    assert Ledger.restore(whole.snapshot()).snapshot() == resumed.snapshot()


def spooled(inc, **more):
    return hello(inc=inc, spooled=True, **more)


def test_a_spooled_hello_counts_no_restart_and_names_no_worker():
    ledger = begun(spooled(5, pid=50))
    assert not ledger.jobs["tank"].met
    ledger.apply(rows([1.0], inc=5))
    ledger.apply(spooled(6))
    ledger.apply(hello(inc=7, pid=70))
    job = ledger.jobs["tank"]
    assert (job.restarts, job.inc, job.pid, job.met, job.spooled) == ([], 7, 70, True, None)
    assert job.next == {5: 1, 6: 0, 7: 0}


def test_a_job_stays_its_own_workers_while_a_spool_is_sent():
    ledger = begun(hello(inc=1, pid=10), spooled(5, pid=50))
    job = ledger.jobs["tank"]
    assert (job.inc, job.pid, job.speaker) == (1, 10, 5)
    assert judge(ledger, spooled(5)) is Verdict.KNOWN
    assert judge(ledger, hello(inc=1)) is Verdict.TAKE


def test_the_spool_of_a_worker_that_died_in_this_run_is_one_restart():
    ledger = begun(hello(inc=1), rows([1.0]))
    assert judge(ledger, spooled(1)) is Verdict.KNOWN
    ledger.apply(spooled(9))
    ledger.apply(spooled(1, schema=OTHER))
    ledger.apply(hello(inc=2, cause="killed", time=3.0))
    assert ledger.jobs["tank"].restarts == [(3.0, "killed")]
    assert Ledger.restore(ledger.snapshot()).jobs == ledger.jobs


def test_jumps_of_a_clock_are_journaled_once_and_outlive_the_worker_and_a_snapshot():
    ledger = begun(hello(inc=1))
    told = wire.encode("status", job="tank", inc=1, counts={"shape": 1}, jumps=[[50.0, -3.0]])
    assert judge(ledger, told) is Verdict.TAKE
    ledger.apply(told)
    assert judge(ledger, told) is Verdict.KNOWN
    ledger.apply(hello(inc=2))
    ledger.apply(wire.encode("status", job="tank", inc=2, jumps=[(60.0, 9.0)]))
    again = Ledger.restore(ledger.snapshot())
    assert again.jobs["tank"].clock_jumps == [[50.0, -3.0], [60.0, 9.0]]
    assert again.jobs["tank"].lost == {"shape": 1}
    assert judge(again, told) is Verdict.KNOWN


@pytest.mark.parametrize(
    "jumps", [3, [[1.0]], [[1.0, "x"]], [[1.0, float("nan")]], [[0.0, 1.0]] * 257]
)
def test_what_is_no_list_of_jumps_is_refused(jumps):
    with pytest.raises(WireError, match="jumps"):
        judge(begun(hello()), wire.encode("status", job="tank", inc=1, jumps=jumps))
