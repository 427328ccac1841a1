"""The watch: what is committed is looked at, told and recorded, and nobody waits for it."""

import threading

import numpy as np
import pytest

from h5daq.flow.alarm_options import AlarmOptions
from h5daq.flow.batch import Batch
from h5daq.flow.schema import Column, Schema
from h5daq.flow.watched import Seen
from h5daq.writer import alarms as module
from h5daq.writer.alarms import AlarmWatch
from h5daq.writer.alerting import Alerting
from h5daq.writer.committer import Committer
from h5daq.writer.desk import Desk
from h5daq.writer.events import EventLog
from h5daq.writer.notes import Notes
from h5daq.writer.ownrows import OwnRows
from h5daq.writer.settings import WriterSettings

LIMITS = {"T": {"warn": {"high": 30}}, "w": {"alarm": {"low": -5, "high": 5}}}
SCHEMA = Schema.of([
    Column("T", np.dtype("f8"), unit="K"), Column("s", np.dtype(object)),
    Column("w", np.dtype("i2"), (2, 2)),
])  # fmt: skip


def batch(*temperatures, wave=0, schema=SCHEMA):
    n = len(temperatures)
    waves = np.full((n, 2, 2), wave, "i2")
    columns = (np.arange(n) + 11.0, np.array(temperatures, "f8"), ["x"] * n, waves)
    return Batch("tank", 1, 0, n, columns), schema


@pytest.fixture
def make_watch(front, publisher, tmp_path):
    """A watch, begun, and ended with the test."""
    made = []

    def make(start=True, **options):
        found = AlarmOptions.of({"limits": {"tank": LIMITS}, "disk": {"warn": 0}, **options})
        own = OwnRows(front.intake, lambda: front.now)
        watch = AlarmWatch(found, str(tmp_path), publisher.send, EventLog(own), {})
        watch.own = own
        made.append(watch)
        if start:
            watch.start()
        return watch

    yield make
    for watch in made:
        watch.close(60.0)


def levels(watch):
    return {(told["column"], told["kind"]): told["level"] for told in watch.raised()[1]}


def test_scalars_and_arrays_are_held_against_their_limits(make_watch, wait_until):
    watch = make_watch()
    watch.look([batch(20.0, 31.0, 20.0, wave=6)])
    wait_until(lambda: levels(watch) == {("T", "high"): "warn", ("w", "high"): "alarm"})
    watch.look([batch(20.0)])
    wait_until(lambda: not levels(watch))


def test_a_change_is_published_and_recorded_with_the_same_words(
    make_watch, front, hear, wait_until
):
    told, watch = hear("alarm "), make_watch()
    watch.look([batch(31.0)])
    wait_until(lambda: levels(watch))
    watch.close()
    watch.own.flush()
    ((topic, fields),) = told()
    assert topic == "alarm tank/T/"
    assert fields["text"] == "tank/T = 31 K: above 30 K"
    assert fields["id"] == watch.raised()[0]
    (recorded,) = [c.batch.last_row(c.schema) for c in front.intake.collect().changes.values()]
    assert {k: recorded[k] for k in ("id", "level", "value", "limit", "text")} == {
        k: fields[k] for k in ("id", "level", "value", "limit", "text")
    }


def test_limits_of_a_column_that_is_not_there_stop_nothing(make_watch, wait_until):
    watch = make_watch(limits={"tank": {"T": LIMITS["T"], "s": {"stale": 5}, "x": {"stale": 5}}})
    watch.look([batch(31.0)])
    wait_until(lambda: levels(watch))


def test_columns_may_change_while_it_watches(make_watch, wait_until):
    watch = make_watch()
    watch.look([batch(31.0)])
    other = Schema.of([Column("p", np.dtype("f8")), *SCHEMA.columns[1:]])
    found, _ = batch(20.0)
    watch.look([(Batch("tank", 2, 0, 1, (*found.columns[:1], [1.0], *found.columns[1:])), other)])
    wait_until(lambda: watch.raised()[0] and not levels(watch))


def test_what_is_too_much_to_look_at_is_passed_over_and_counted(make_watch, monkeypatch):
    monkeypatch.setattr(module, "MOST_WAITING_BYTES", 10 * SCHEMA.row_bytes)
    watch = make_watch(start=False)
    for _ in range(20):
        watch.look([batch(20.0)])
    assert watch.skipped == 10


def test_a_run_goes_on_when_the_watch_fails(make_watch, monkeypatch):
    failed = threading.Event()
    monkeypatch.setattr(threading, "excepthook", lambda _: failed.set())
    watch = make_watch(start=False)
    monkeypatch.setattr(watch, "_look_at", lambda *_: 1 / 0)
    watch.start()
    watch.look([batch(20.0)])
    assert failed.wait(60.0)
    assert "not watched any more" in watch.trouble
    watch.look([batch(20.0)])
    assert not watch._waiting


@pytest.fixture
def alerting(front, publisher, tmp_path):
    """The alarms of a writer by its settings."""

    def make(alarms, run="r"):
        settings = WriterSettings(str(tmp_path), run, "", "", "", alarms=alarms)
        own = OwnRows(front.intake, lambda: front.now)
        return Alerting(settings, front.intake, publisher, own, lambda: front.now)

    return make


def test_only_watched_jobs_hand_over_their_batches_and_only_after_the_commit(
    front, worker, publisher, alerting
):
    alerting({"limits": {"tank": {"T": {"stale": 5}}}})
    tank, other, looked = worker(), worker("other"), []
    committer = Committer(
        Notes(), front.journal, publisher, lambda *_: looked.append("committed"), print,
        lambda watched: looked.append([batch.n for batch, _ in watched]),
    )  # fmt: skip
    messages = [tank.hello(), other.hello(), tank.rows(11.0), other.rows(11.0), tank.rows(12, 13)]
    committer._notes.deliver(front.take(*messages))
    committer._step()
    assert looked == ["committed", [1, 2]]


def test_without_alarms_nothing_is_watched(front, worker, alerting):
    tank = worker()
    nothing = alerting(None)
    nothing.start(), nothing.tick(dict, ""), nothing.close(), nothing.end()
    assert not front.take(tank.hello(), tank.rows(11.0)).watched
    assert nothing.status() == ({}, [])


@pytest.mark.parametrize(("run", "told"), [("r", []), ("another run", ["loss"])])
def test_losses_that_an_earlier_writer_of_the_run_has_told_are_no_news(
    front, worker, alerting, wait_until, run, told
):
    tank = worker()
    front.take(tank.hello(), tank.say("status", counts={"shape": 3}))
    found = alerting({"jobs": ["tank", "pump"], "disk": {"warn": 0}}, run)
    found.start()
    found.tick(lambda: {"tank": Seen("reading", 3), "pump": Seen("given up")}, "")
    wait_until(lambda: len(found.status()[1]) == 1 + len(told))
    assert [alarm["kind"] for alarm in found.status()[1]] == [*told, "down"]
    found.close()


def test_a_stranger_who_is_refused_is_no_alarm(alerting, wait_until):
    found = alerting({"jobs": ["tank"], "disk": {"warn": 0}})
    found.start()
    found.tick(lambda: {"tank": Seen("refused"), "stranger": Seen("refused")}, "")
    wait_until(lambda: [told["job"] for told in found.status()[1]] == ["tank"])
    found.close()


def test_the_desk_says_of_each_job_whether_it_is_up_and_what_it_lost(
    front, worker, publisher, tmp_path
):
    tank = worker()
    front.take(tank.hello(), tank.say("status", state="reading", counts={"shape": 3}))
    settings = WriterSettings(str(tmp_path), "r", "", "", "")
    desk = Desk(settings, {"boot": ""}, front.intake, front.journal, None, publisher, None, None)
    assert desk.seen() == {"tank": Seen("reading", 3)}
    desk.fates = lambda: {"tank": {"state": "given up"}}
    assert desk.seen()["tank"].state == "given up"
    front.intake.unwelcome["pump"] = "key"
    assert desk.seen()["pump"].state == "refused"
