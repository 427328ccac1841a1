"""The picture is the same whoever looks, since when, and whatever got lost on the way."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from h5daq.monitor.picture import KINDS, Picture

NOW = 1_800_000_000.0


def reply(**jobs: Any) -> dict[str, Any]:
    return {
        "run": {"id": "r1", "name": "tank-a", "start": NOW - 100, "file": "data/DAQ_1.hdf5",
                "directory": "data", "durability": "fsync"},
        "writer": {"pid": 7, "boot": "b1", "rows": 10, "bytes": 1000, "journal_bytes": 5000,
                   "last_checkpoint": NOW - 12, "disk_free": 10**9, "refused": {"version": 2},
                   "messages": {"ERROR": 1}},
        "jobs": jobs,
    }  # fmt: skip


def part(**more: Any) -> dict[str, Any]:
    return {"state": "running", "rows": 10, "lost": {"shape": 1}, "inc": 5, "host": "daq0",
            "pid": 8, "restarts": 0, "held": 3, "last_time": NOW, "overruns": 2,
            "lateness_ms": 1.5, "read_period": 0.5, "read_mode": "schedule", **more}  # fmt: skip


def available(path: str = "tank-a/T", total: int = 12, **last: Any) -> dict[str, Any]:
    return {"path": path, "rows": 2, "total": total, "last_time": NOW, "last": last}


def test_the_reply_alone_makes_a_whole_picture():
    picture = Picture()
    picture.take_status(reply(T=part()), NOW)
    job = picture.jobs["T"]
    assert (job.state, job.rows, job.lost, job.held) == ("running", 10, {"shape": 1}, 3)
    assert (job.overruns, job.lateness_ms, job.host, job.read_period) == (2, 1.5, "daq0", 0.5)
    assert picture.writer.file == "data/DAQ_1.hdf5"
    assert picture.checkpoint_age(NOW) == 12
    assert (picture.writer.journal_bytes, picture.writer.disk_free) == (5000, 10**9)


def test_a_late_joiner_asks_once_and_is_whole_with_the_reply():
    picture = Picture()
    assert picture.wants_status(NOW)
    assert not picture.wants_status(NOW + 0.5)
    assert picture.wants_status(NOW + 1.5)
    picture.take_status(reply(T=part()), NOW + 2)
    assert not picture.wants_status(NOW + 3)
    assert picture.wants_status(NOW + 7.5)


def test_rows_told_before_the_reply_are_placed_by_it():
    picture = Picture()
    picture.take("data-available", "tank-a/T", available(T_top=4.5), NOW)
    assert picture.jobs == {}
    picture.take_status(reply(T=part()), NOW + 1)
    assert picture.jobs["T"].rows == 12
    assert picture.jobs["T"].last == {"T_top": 4.5}


def test_paths_of_other_datasets_of_the_vault_are_no_jobs():
    picture = Picture()
    picture.take_status(reply(T=part()), NOW)
    picture.take("data-available", "other/T", available("other/T", 99), NOW)
    assert picture.jobs["T"].rows == 10


def test_totals_make_up_for_signals_that_were_lost():
    picture = Picture()
    picture.take_status(reply(T=part()), NOW)
    picture.take("data-available", "tank-a/T", available(total=500), NOW + 1)
    picture.take("data-available", "tank-a/T", available(total=480), NOW + 1)
    assert picture.jobs["T"].rows == 500


def test_a_workers_status_tells_its_state_and_seconds_become_milliseconds():
    picture = Picture()
    picture.take_status(reply(T=part()), NOW)
    told = {"job": "T", "inc": 5, "state": "paused", "counts": {"getter": 4}, "held": 9,
            "overruns": 1, "late": 0.002, "message": "no answer"}  # fmt: skip
    picture.take("status", "T", told, NOW)
    job = picture.jobs["T"]
    assert (job.state, job.held, job.message, job.lateness_ms) == ("paused", 9, "no answer", 2.0)
    assert job.lost == {"shape": 1, "getter": 4}
    assert not picture.wants_status(NOW)


def test_a_restarted_worker_keeps_the_losses_and_calls_for_a_reply():
    picture = Picture()
    picture.take_status(reply(T=part(lost={"getter": 7})), NOW)
    picture.take("status", "T", {"inc": 6, "state": "running", "counts": {"getter": 1}}, NOW)
    assert picture.jobs["T"].lost == {"getter": 7}
    assert picture.wants_status(NOW)


def test_a_status_in_the_words_of_the_reply_is_taken_as_one():
    picture = Picture()
    picture.take_status(reply(T=part()), NOW)
    picture.take("status", "T", part(late=3, rows=11, lateness_ms=4.0), NOW)
    assert (picture.jobs["T"].late, picture.jobs["T"].lateness_ms) == (3, 4.0)


def test_a_heartbeat_of_another_boot_or_an_unknown_job_calls_for_a_reply():
    picture = Picture()
    beat = {"boot": "b1", "run": "r1", "time": NOW, "positions": {"T": [5, 10]}}
    picture.take_status(reply(T=part()), NOW)
    picture.take("heartbeat", "", beat, NOW)
    assert not picture.wants_status(NOW)
    picture.take("heartbeat", "", {**beat, "positions": {"T": [5, 10], "new": [1, 0]}}, NOW)
    assert picture.wants_status(NOW + 1)
    assert "new" in picture.jobs
    picture.take_status(reply(T=part()), NOW + 1)
    picture.take("heartbeat", "", {**beat, "boot": "b2"}, NOW + 2)
    assert picture.wants_status(NOW + 3)
    assert picture.jobs["T"].rows == 10


def test_another_run_begins_with_an_empty_picture():
    picture = Picture()
    picture.take_status(reply(T=part()), NOW)
    picture.take("heartbeat", "", {"boot": "b2", "run": "r2", "positions": {}}, NOW)
    assert picture.jobs == {}
    assert picture.wants_status(NOW + 1)


def test_jobs_that_the_reply_does_not_know_are_gone():
    picture = Picture()
    picture.take_status(reply(T=part(), U=part()), NOW)
    picture.take_status(reply(U=part()), NOW + 1)
    assert list(picture.jobs) == ["U"]


def test_the_writers_trouble_comes_with_each_heartbeat():
    picture = Picture()
    picture.take_status(reply(), NOW)
    beat = {"boot": "b1", "run": "r1", "stalled": "No space left on device"}
    picture.take("heartbeat", "", beat, NOW)
    assert picture.writer.trouble == "No space left on device"
    picture.take("heartbeat", "", {"boot": "b1", "run": "r1"}, NOW)
    assert picture.writer.trouble == ""


def test_logs_and_alarms_stand_in_one_short_tail():
    picture = Picture(log_lines=2)
    for number in range(3):
        told = {"job": "T", "level": "warning", "time": NOW, "text": f"n{number}"}
        picture.take("log", "T", told, NOW)
    picture.take("alarm", "", {"text": "disk nearly full"}, NOW + 1)
    assert [(r.level, r.source, r.text) for r in picture.log] == [
        ("WARNING", "T", "n2"),
        ("ERROR", "writer", "disk nearly full"),
    ]


def test_silence_is_noticed_of_the_writer_and_of_each_job():
    picture = Picture()
    picture.take_status(reply(T=part(), done=part(state="ended")), NOW)
    for name in ("T", "done"):
        picture.take("data-available", f"tank-a/{name}", available(f"tank-a/{name}"), NOW)
    assert picture.silence(NOW + 2) is None
    assert picture.silence(NOW + 9) == 9
    assert not picture.jobs["T"].silent(NOW + 4)
    assert picture.jobs["T"].silent(NOW + 9)
    assert not picture.jobs["done"].silent(NOW + 9)


def test_a_silent_writer_is_an_alarm_until_it_is_heard_and_none_if_its_run_has_ended():
    picture, beat = Picture(), {"run": "r1", "boot": "b1", "positions": {}}
    picture.take_status(reply(T=part()), NOW)
    assert picture.raised(NOW + 2) == []
    (alarm,) = picture.raised(NOW + 9)
    assert (alarm.kind, alarm.level, alarm.text) == ("writer", "alarm", "writer: not heard for 9 s")
    picture.take("alarm", "", {"kind": "disk", "level": "warn", "text": "1 GB"}, NOW + 9)
    picture.take("heartbeat", "", beat, NOW + 20)
    assert [alarm.kind for alarm in picture.raised(NOW + 21)] == ["disk"]
    assert [alarm.kind for alarm in picture.raised(NOW + 30)] == ["writer", "disk"]
    picture.take("heartbeat", "", {**beat, "ended": True}, NOW + 31)
    assert picture.silence(NOW + 90) is None
    # An answer that was under way when it was said changes nothing.
    picture.take_status(reply(T=part()), NOW + 32)
    assert picture.ended
    assert picture.silence(NOW + 90) is None
    picture.take("heartbeat", "", {**beat, "run": "r2", "boot": "b2"}, NOW + 99)
    assert not picture.ended


def test_the_dict_of_a_picture_holds_only_plain_values():
    import json

    picture = Picture()
    picture.take_status(reply(T=part()), NOW)
    picture.take("data-available", "tank-a/T", available(x=1.5, s="on", w=[1, 2]), NOW)
    picture.take("log", "T", {"text": "hello"}, NOW)
    told = json.loads(json.dumps(picture.as_dict(NOW)))
    assert told["jobs"]["T"]["trends"] == {"x": [1.5]}
    assert told["writer"]["checkpoint_age"] == 12


_odd = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)  # fmt: skip
_names = st.sampled_from(
    ["run", "writer", "jobs", "id", "boot", "rows", "total", "last", "positions", "counts", "late",
     "lost", "text", "time", "path", "inc", "held", "T", "refused", "bytes", "lateness_ms",
     "alarms", "alarm_id", "level", "kind", "value"]
)  # fmt: skip
_maps = st.dictionaries(_names, _odd | st.dictionaries(_names, _odd, max_size=4), max_size=6)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.sampled_from([*KINDS, "reply", "else"]), _maps), max_size=8))
def test_whatever_peers_send_the_picture_stands(messages):
    picture = Picture()
    for second, (kind, told) in enumerate(messages):
        if kind == "reply":
            picture.take_status(told, NOW + second)
        else:
            picture.take(kind, "T", told, NOW + second)
    picture.as_dict(NOW + 10)
    picture.wants_status(NOW + 10)


def test_rows_of_the_writers_own_make_no_job_and_no_question():
    picture = Picture()
    picture.take_status(reply(T=part()), NOW)
    picture.take("data-available", "", available("tank-a/h5daq/events"), NOW)
    assert list(picture.jobs) == ["T"]
    assert not picture.wants_status(NOW + 2)
