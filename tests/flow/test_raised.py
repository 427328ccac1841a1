"""What a next writer knows of alarms: what the events leave raised, also by way of a snapshot."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from h5daq.flow import wire
from h5daq.flow.batch import Batch
from h5daq.flow.ledger import Ledger
from h5daq.flow.raised import EVENTS
from h5daq.flow.records import FileRecord, RunRecord, encode_record
from h5daq.flow.schema import Column, Schema

TEXT, NUMBER = np.dtype(object), np.dtype("<f8")
NAMES = ("level", "job", "column", "kind")
SCHEMA = Schema.of(
    [
        *(Column(name, TEXT) for name in NAMES),
        Column("value", NUMBER), Column("limit", NUMBER), Column("text", TEXT),
        Column("id", np.dtype("<i8")),
    ]
)  # fmt: skip
CHANGES = st.tuples(st.sampled_from(["ok", "warn", "alarm"]), st.sampled_from("ab"))


def told(changes, first):
    """Rows of events: levels of jobs."""
    n = len(changes)
    texts = [[change[0] for change in changes], [change[1] for change in changes]]
    numbers = (np.full(n, 1.5), np.full(n, np.nan))
    columns = (np.arange(n) + 1.0, *texts, [""] * n, ["down"] * n, *numbers, ["x"] * n)
    return wire.encode_rows(Batch(EVENTS, 0, first, n, (*columns, np.arange(n) + first)), SCHEMA)


def begun():
    ledger = Ledger()
    ledger.apply(encode_record(RunRecord("r", "run", 0.0)))
    ledger.apply(encode_record(FileRecord(10, 0, 11, 0.0, 100.0, "a.hdf5")))
    ledger.apply(wire.encode("hello", job=EVENTS, inc=0, schema=SCHEMA.to_wire(), attrs={}))
    return ledger


@given(st.lists(st.lists(CHANGES, min_size=1, max_size=5), max_size=5))
def test_the_ledger_knows_the_last_level_of_each_alarm_with_and_without_snapshots(batches):
    ledger, first, expected = begun(), 0, {}
    for changes in batches:
        ledger.apply(told(changes, first))
        ledger, first = Ledger.restore(ledger.snapshot()), first + len(changes)
        expected |= {job: level for level, job in changes}
    raised = {event["job"]: event["level"] for event in ledger.raised.events()}
    assert raised == {job: level for job, level in expected.items() if level != "ok"}
    assert all(event["value"] == 1.5 and event["text"] == "x" for event in ledger.raised.events())


def test_another_run_begins_without_the_alarms_of_the_last():
    ledger = begun()
    ledger.apply(told([("alarm", "a")], 0))
    ledger.apply(encode_record(RunRecord("s", "next", 5.0)))
    assert ledger.raised.events() == []


def test_events_of_another_version_say_nothing():
    ledger, other = begun(), Schema.of([Column("level", TEXT)])
    ledger.apply(wire.encode("hello", job=EVENTS, inc=0, schema=other.to_wire(), attrs={}))
    ledger.apply(wire.encode_rows(Batch(EVENTS, 0, 0, 1, (np.ones(1), ["alarm"])), other))
    assert ledger.raised.events() == []
