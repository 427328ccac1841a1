"""What the fuzzer has found, each as a small case: none of it may end, stall or fill a writer."""

import struct
import time

import numpy as np
import pytest

from benchmarks.fuzz_mutate import pack
from benchmarks.fuzz_twin import Twin
from h5daq.errors import FileDamaged, JobValueError, RequestError, WireError
from h5daq.flow import judging
from h5daq.flow.batch import Batch
from h5daq.flow.chunks import MAX_BUFFERED_BYTES, chunk_rows, expected_rows
from h5daq.flow.ledger import Ledger
from h5daq.flow.packing import MAX_LENGTH
from h5daq.flow.records import decode_record
from h5daq.flow.schema import MAX_TEXT_BYTES, Column, Schema, check_group
from h5daq.flow.states import JobState
from h5daq.flow.topics import topic
from h5daq.flow.wire import decode_head, decode_signal, encode
from h5daq.logs.remote import log_remote
from h5daq.writer.desk import Desk

TIME = {"label": "time", "dtype": "<f8"}
MEBIBYTE = 1 << 20


def hello(job="j", inc=1, columns=None, **more):
    schema = [TIME, *(columns or [{"label": "x", "dtype": "<f8"}])]
    return pack({"v": 1, "k": "hello", "job": job, "inc": inc, "schema": schema, **more})


def skip(first, cause="c", inc=1):
    return encode("skip", job="j", inc=inc, first=first, n=1, cause=cause)


@pytest.fixture
def twin():
    return Twin()


def test_a_label_of_megabytes_is_told_in_a_short_error(twin):
    long = {"label": "\x01" * (8 * MEBIBYTE), "dtype": "<f8", "shape": [0]}
    twin.take(hello(columns=[long]))
    assert twin.refused == {"schema": 1}
    assert len(twin.intake.unwelcome["j"]) < 300


def test_a_group_of_a_million_parts_is_refused_by_its_length(twin):
    twin.take(hello(job="a/" * MEBIBYTE + "a"))
    assert twin.refused == {"field": 1}
    with pytest.raises(JobValueError, match="longer than 1024 bytes"):
        check_group("a/" * MEBIBYTE)


def test_thousands_of_labels_twice_are_found_in_one_pass(twin):
    began = time.process_time()
    twin.take(hello(columns=[{"label": f"c{n % 8000}", "dtype": "<f8"} for n in range(16000)]))
    assert twin.refused == {"schema": 1}
    # Counted anew for each label it took a minute of the processor.
    assert time.process_time() - began < 20


def test_a_period_of_almost_nothing_is_no_infinite_rate():
    assert expected_rows(1, 0.0, 1e-310, "schedule", 60.0) > 1
    assert chunk_rows(8, expected_rows(1, 0.0, 5e-324, "constant", 1e9)) * 8 == MEBIBYTE


def test_a_chunk_length_of_any_size_leaves_room_in_memory():
    rows = chunk_rows(8, 1, user=2**62, whole_row_bytes=8 * 16_000)
    assert rows * 8 * 16_000 <= MAX_BUFFERED_BYTES
    assert chunk_rows(8, 1, user=5000, whole_row_bytes=16) == 5000


def test_causes_of_losses_are_bounded_and_their_rows_are_not_lost(twin):
    twin.take(hello())
    for first in range(1000):
        twin.take(skip(first, cause=f"cause {first}"))
    lost = twin.intake.ledger.jobs["j"].lost
    assert len(lost) <= 101
    assert sum(lost.values()) == 1000
    assert lost["other"] == 900


def test_causes_in_statuses_are_bounded_over_all_workers(twin):
    for inc in range(20):
        twin.take(hello(inc=inc))
        counts = {f"{inc}/{n}": 1 for n in range(20)}
        twin.take(encode("status", job="j", inc=inc, counts=counts))
    lost = twin.intake.ledger.jobs["j"].lost
    assert len(lost) <= 101
    assert sum(lost.values()) == 400


def test_restarts_are_counted_and_the_newest_kept(twin):
    for inc in range(1500):
        twin.take(hello(inc=inc, cause=f"{inc}"))
    job = Ledger.restore(twin.intake.ledger.snapshot()).jobs["j"]
    assert job.restarted == 1499
    assert [cause for _, cause in job.restarts] == [f"{inc}" for inc in range(1400, 1500)]


def test_restarts_of_an_older_snapshot_are_counted_on(twin):
    schema = Schema.from_wire([TIME])
    job = JobState("j", schema, {}, 0.0, "", 0, 1, restarts=[(1.0, "a"), (2.0, "b")])
    job.restart(3.0, "c")
    assert job.restarted == 3


def test_more_jobs_than_a_heartbeat_can_name_are_refused(twin, monkeypatch):
    assert 2 * judging.MAX_JOBS < MAX_LENGTH
    monkeypatch.setattr(judging, "MAX_JOBS", 50)
    for number in range(51):
        twin.take(hello(job=f"j{number}"))
    assert len(twin.intake.ledger.jobs) == 50
    assert twin.refused == {"limit": 1}
    assert "takes no more" in twin.intake.unwelcome["j50"]
    twin.take(hello(job="j1", inc=2))  # a known one may always come again
    assert twin.refused == {"limit": 1}


def test_a_row_with_more_text_than_a_message_can_tell_is_refused(twin):
    twin.take(hello(columns=[{"label": "s", "dtype": "text"}]))
    for text, refused in (("x" * (MAX_TEXT_BYTES + 1), 1), ("ä" * (MAX_TEXT_BYTES // 2), 0)):
        before = twin.refused["size"]
        data = struct.pack("<d", time.time())
        twin.take(encode("rows", job="j", inc=1, first=0, n=1, text=[[text]], data=data))
        assert twin.refused["size"] - before == refused


def test_a_long_text_is_left_out_of_what_is_told_of_a_row():
    schema = Schema.of([Column("s", str), Column("n", "<i4")])
    row = Batch("j", 1, 0, 1, (np.zeros(1), ["x" * MEBIBYTE], np.zeros(1, "<i4")))
    assert row.last_row(schema) == {"time": 0.0, "n": 0}


def test_an_order_that_nobody_could_follow_is_not_claimed_to_be_done(twin):
    twin.take(hello())
    twin.take(encode("status", job="j", inc=1, cmd=2**53))
    twin.take(encode("status", job="j", inc=1, cmd=2**53 + 1))
    assert twin.refused == {"field": 1}
    assert twin.intake.statuses["j"]["cmd"] == 2**53


class Deaf:
    """Whatever a desk is made with, as far as orders need it."""

    def __init__(self):
        self.said, self.statuses, self.ledger, self.ended = [], {}, None, set()

    def send(self, _kind, job, /, **order):
        self.said.append((job, order["seq"], order["verb"]))


@pytest.fixture
def desk():
    deaf = Deaf()
    made = Desk(None, {}, deaf, None, None, deaf, None, None)
    made.deaf = deaf
    return made


def test_orders_of_a_job_that_does_none_are_bounded(desk):
    for _ in range(1000):
        desk.order("j", "pause", 1)
    for verb in ["resume", "pause"] * 49:
        desk.order("j", verb, 1)
    with pytest.raises(RequestError, match="100 orders to do"):
        desk.order("j", "resume", 1)
    desk.order("j", "stop", 1)  # a run can always be ended


def test_the_orders_of_one_job_are_not_numbered_by_the_claims_of_another(desk):
    desk.deaf.statuses["liar"] = {"cmd": 2**53}
    desk.order("liar", "pause", 1)
    desk.order("honest", "pause", 1)
    (_, high, _), (_, low, _) = desk.deaf.said
    assert high == 2**53 + 1
    assert low < 2**50


def test_a_message_under_the_topic_of_another_kind_is_none():
    refused = encode("refused", cause="x")
    assert decode_signal(topic("refused", "j"), refused)["cause"] == "x"
    with pytest.raises(WireError, match="under the topic of a command"):
        decode_signal(topic("command", "j"), refused)


def test_a_remote_text_of_many_lines_is_logged_in_one_pass(caplog):
    text = "a\n\x1b[31mb\n" * 10_000
    with caplog.at_level("INFO", "h5daq.remote"):
        log_remote({"job": "j\nx", "level": "ERROR", "text": text})
    (record,) = caplog.records
    assert record.getMessage().startswith("a\n    �[31mb\n    a")
    assert record.job == "j�x"


@pytest.mark.parametrize(
    "record",
    [b"", b"\x81\xa1j", b"\xc1", pack({"j": "mark", "lsn": "x"}), pack({"j": ["file"]}), pack([1])],
)
def test_a_record_that_is_none_is_damage(record):
    with pytest.raises(FileDamaged, match="record that can't be read"):
        decode_record(record)


@pytest.mark.parametrize("snapshot", [b"", b"\x80", b"\xc1", pack({"run": {"x": 1}}), b"\x00\x00"])
def test_a_snapshot_that_is_none_is_damage(snapshot):
    with pytest.raises(FileDamaged, match="snapshot can't be read"):
        Ledger.restore(snapshot)


def test_a_hello_of_a_million_columns_is_refused_before_they_are_made():
    columns = b"\xdd" + (1_000_000).to_bytes(4, "big") + b"\x80" * 1_000_000
    with pytest.raises(WireError):
        decode_head(b"\x82\xa1v\x01\xa6schema" + columns)
