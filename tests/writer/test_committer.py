"""The committer: nothing is told before it is synced, and everything is told after."""

import errno
import threading

import pytest

from h5daq.errors import StorageError
from h5daq.writer import committer as module
from h5daq.writer.committer import Committer
from h5daq.writer.notes import Note, Notes

SECONDS = 60.0


class Journal:
    """A journal whose sync waits to be let through, and can fail."""

    def __init__(self):
        self.lsn, self.failed = 0, False
        self.errors = []
        self.begun, self.may_end = threading.Event(), threading.Event()

    def sync(self):
        self.begun.set()
        assert self.may_end.wait(SECONDS)
        if self.errors:
            raise self.errors.pop(0)
        self.lsn += 1
        return self.lsn


class Bench:
    """A committer that runs, with all that it is told and tells."""

    def __init__(self, publisher):
        self.notes, self.journal, self.publisher = Notes(), Journal(), publisher
        self.commits, self.failures = [], []
        self.committer = Committer(
            self.notes, self.journal, publisher, self.committed, self.failures.append
        )

    def committed(self, lsn, nbytes, urgent):
        self.commits.append((lsn, nbytes))

    def end(self):
        self.journal.may_end.set()
        self.notes.close()
        self.committer.join(SECONDS)
        assert not self.committer.is_alive()


@pytest.fixture
def bench(publisher, monkeypatch):
    monkeypatch.setattr(module, "_RETRY_SECONDS", 0.001)
    bench = Bench(publisher)
    bench.committer.start()
    yield bench
    bench.end()


def test_nothing_is_told_before_the_sync_has_returned(bench, hear, front, worker):
    told, tank = hear(), worker()
    bench.notes.deliver(front.take(tank.hello(), tank.rows(11.0)))
    assert bench.journal.begun.wait(SECONDS)
    assert told() == []
    assert bench.publisher.positions == {}
    assert bench.publisher.totals == {}
    bench.end()
    assert [fields["k"] for _, fields in told()] == [
        "position", "new-dir", "new-dataset", "data-available",
    ]  # fmt: skip
    assert bench.publisher.positions == {"tank": (1, 1)}
    assert bench.publisher.totals == {"tank": 1}


def test_what_comes_while_it_syncs_is_one_commit(bench, front, worker):
    tank = worker()
    bench.notes.deliver(front.take(tank.hello()))
    assert bench.journal.begun.wait(SECONDS)
    for i in range(10):
        bench.notes.deliver(front.take(tank.rows(11.0 + i)))
    bench.end()
    assert [lsn for lsn, _ in bench.commits] == [1, 2]


def test_a_full_disk_is_said_and_tried_again(bench, hear, front, worker):
    told, tank = hear("position"), worker()
    bench.journal.errors = [StorageError(errno.ENOSPC, "no space")] * 3
    bench.notes.deliver(front.take(tank.hello(), tank.rows(11.0)))
    bench.end()
    assert bench.failures == []
    assert bench.committer.trouble == ""
    assert told()[0][1]["next"] == 1


def test_a_failed_sync_ends_the_writer_and_nothing_is_told(bench, hear, front, worker):
    told, tank = hear(), worker()
    error = StorageError(errno.EIO, "the disk is gone")
    bench.journal.errors, bench.journal.failed = [error], True
    bench.notes.deliver(front.take(tank.hello(), tank.rows(11.0)))
    bench.end()
    assert bench.failures == [error]
    assert told() == []


def test_a_bye_is_answered_after_the_commit(publisher, hear, front, worker):
    told, tank = hear("position"), worker()
    publisher.tell(front.take(tank.hello(), tank.say("bye", end=0)), 0.0)
    ((topic, position),) = told()
    assert topic == "position tank/"
    assert (position["next"], position["bye"]) == (0, True)


def test_a_position_waits_as_long_as_its_worker_allows(publisher, hear, front, worker):
    told, tank = hear("position"), worker()
    publisher.tell(front.take(tank.hello(rest=0.6)), 0.0)
    for i in range(3):
        publisher.tell(front.take(tank.rows(11.0 + i)), 0.1 * i)
    publisher.tell_due(0.5)
    assert [position["next"] for _, position in told()] == [0]
    assert publisher.positions == {"tank": (1, 3)}
    assert publisher.next_deadline() == 0.6
    publisher.tell_due(0.6)
    assert [position["next"] for _, position in told()] == [3]


def test_a_heartbeat_tells_the_positions_that_wait(publisher, hear, front, worker):
    told, tank = hear("position", "heartbeat"), worker()
    publisher.tell(front.take(tank.hello(rest=0.6), tank.rows(11.0)), 0.0)
    publisher.tell(front.take(tank.rows(12.0)), 0.1)
    publisher.heartbeat(20.0, "")
    publisher.tell_due(9.0)
    position, beat = (fields for _, fields in told())
    assert (position["next"], beat["positions"]) == (1, {"tank": [1, 2]})


def test_a_gap_and_a_bye_are_answered_at_once_whatever_may_wait(publisher, hear, front, worker):
    told, tank = hear("position"), worker()
    publisher.tell(front.take(tank.hello(rest=0.6)), 0.0)
    publisher.tell(front.take(tank.rows(11.0)), 0.0)
    publisher.tell(front.take(tank.rows(13.0, first=5)), 0.1)
    publisher.tell(front.take(tank.say("bye", end=1)), 0.1)
    assert [(p["next"], p.get("bye")) for _, p in told()] == [(0, None), (1, None), (1, True)]


def test_signals_that_nobody_hears_are_not_made(publisher, hear, front, worker, monkeypatch):
    made, tank = [], worker()
    note = front.take(tank.hello(), tank.rows(11.0))
    monkeypatch.setattr(module.wire, "encode", lambda kind, **_: made.append(kind) or b"")
    publisher.tell(note, 0.0)
    assert made == []
    assert publisher.totals == {"tank": 1}


def test_a_stranger_is_asked_for_hello_and_a_refused_worker_is_told_why(publisher, hear):
    told = hear()
    publisher.tell(Note(strangers={("a", 7)}, refused={"b": "its name is taken"}), 0.0)
    (_, position), (topic, refused) = told()
    assert (position["inc"], position["next"], position["need"]) == (7, 0, "hello")
    assert (topic, refused["cause"]) == ("refused b/", "its name is taken")


def test_under_load_signals_are_few_and_the_last_is_never_left_out(publisher, hear, front, worker):
    told, tank = hear("data-available"), worker()
    front.take(tank.hello())
    for i in range(100):
        publisher.tell(front.take(tank.rows(11.0 + i)), i * 0.001)
        publisher.tell_due(i * 0.001)
    assert [fields["total"] for _, fields in told()] == [1, 51]
    publisher.tell_due(0.1)
    publisher.tell_rest(0.1)
    ((_, last),) = told()
    assert (last["total"], last["rows"], last["last"]["T"]) == (100, 49, 110.0)


def test_rows_that_an_earlier_writer_committed_are_known(publisher, front, worker):
    tank = worker()
    front.take(tank.hello(), tank.rows(11.0, 12.0))
    publisher.know(front.intake.ledger.jobs.values())
    assert publisher.positions == {"tank": (1, 2)}
    assert publisher.totals == {"tank": 2}


def test_a_committer_that_is_abandoned_ends_and_tells_nothing(bench, hear, front, worker):
    told, tank = hear(), worker()
    bench.journal.errors = [StorageError(errno.ENOSPC, "no space")] * 1_000_000
    bench.notes.deliver(front.take(tank.hello(), tank.rows(11.0)))
    bench.journal.may_end.set()
    bench.committer.abandon()
    bench.committer.join(SECONDS)
    assert not bench.committer.is_alive()
    assert told() == []
    assert bench.failures == []
