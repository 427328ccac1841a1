"""What a picture asks for beyond signals, and what it adds up from them."""

from __future__ import annotations

from typing import Any

import numpy as np

from h5daq.monitor.picture import Picture

NOW = 1_800_000_000.0


def reply(**jobs: Any) -> dict[str, Any]:
    return {"run": {"id": "r1", "name": "tank-a"}, "writer": {"boot": "b1"}, "jobs": jobs}


def part(**more: Any) -> dict[str, Any]:
    return {"state": "running", "rows": 10, "inc": 5, "host": "daq0", "held": 3, **more}


def available(path: str, total: int = 12, **last: Any) -> dict[str, Any]:
    return {"path": path, "rows": 2, "total": total, "last_time": NOW, "last": last}


def test_values_that_no_signal_tells_are_asked_for_once_and_of_the_watched_job_again():
    picture = Picture()
    picture.take_status(reply(T=part(), cam=part(), new=part(rows=0)), NOW)
    assert picture.wants_values(NOW) == ["T", "cam"]
    picture.take_values("T", {"time": NOW, "x": 1.0}, NOW)
    picture.take_values("cam", {"time": NOW, "im": [[1] * 40] * 2, "gain": 3}, NOW)
    assert picture.wants_values(NOW + 1) == []
    picture.watch("cam")
    assert picture.wants_values(NOW + 1) == ["cam"]
    assert picture.wants_values(NOW + 1.1) == []
    picture.take_values("cam", {"time": NOW, "im": [[1] * 40] * 2, "gain": 3}, NOW + 2)
    assert picture.wants_values(NOW + 3) == []
    picture.take("data-available", "tank-a/cam", available("tank-a/cam", 13, gain=4), NOW + 4)
    assert picture.wants_values(NOW + 4) == ["cam"]


def test_large_arrays_are_kept_of_the_watched_job_alone_and_their_shapes_of_all():
    picture = Picture()
    picture.take_status(reply(a=part(), b=part()), NOW)
    picture.watch("a")
    for name in ("a", "b"):
        picture.take_values(name, {"time": NOW, "im": [[1] * 40] * 2}, NOW)
    a, b = picture.jobs["a"], picture.jobs["b"]
    assert (a.array("im"), b.array("im")) == ([[1] * 40] * 2, None)
    assert a.labels == b.labels == ["im"]
    picture.watch("b")
    assert (a.array("im"), a.text("im")) == (None, "[2×40]")


def test_a_peek_that_signals_have_overtaken_changes_no_value():
    picture = Picture()
    picture.take_status(reply(T=part()), NOW)
    picture.take("data-available", "tank-a/T", available("tank-a/T", x=2.0), NOW)
    picture.take_values("T", {"time": NOW - 1, "x": 1.0, "im": [1] * 100}, NOW)
    assert picture.jobs["T"].last == {"x": 2.0}
    assert picture.jobs["T"].labels == ["x", "im"]


def test_hosts_are_the_sum_of_their_jobs_and_silent_when_all_of_these_are():
    picture = Picture()
    jobs = {"a": part(host="pi1", rss=10), "b": part(host="pi1", rss=5), "c": part(host="")}
    picture.take_status(reply(**jobs), NOW)
    picture.take("status", "a", {"inc": 5, "state": "reading"}, NOW)
    picture.take("status", "b", {"inc": 5, "state": "reading"}, NOW + 60)
    (host,) = picture.hosts(NOW + 60)
    assert (host.name, host.jobs, host.memory, host.held, host.silent) == ("pi1", 2, 15, 6, ["a"])
    assert host.state == "running"
    assert picture.hosts(NOW + 300)[0].state == "silent"


def test_a_changed_state_stands_in_the_log_and_the_first_one_does_not():
    picture = Picture()
    picture.take_status(reply(T=part(state="reading")), NOW)
    picture.take("status", "T", {"inc": 5, "state": "paused"}, NOW + 1)
    picture.take("status", "T", {"inc": 5, "state": "paused"}, NOW + 2)
    picture.take_status(reply(T=part(state="given up", message="died 3 times")), NOW + 3)
    told = [(r.level, r.source, r.text) for r in picture.log]
    assert told == [
        ("INFO", "T", "reading → paused"),
        ("WARNING", "T", "paused → given up: died 3 times"),
    ]


def test_only_the_watched_job_is_described_and_once():
    picture = Picture()
    picture.take_status(reply(T=part(), new=part(rows=0)), NOW)
    assert picture.wants_units() is None
    picture.watch("new")
    assert picture.wants_units() is None, "it has no columns yet"
    picture.watch("T")
    assert picture.wants_units() == "T"
    picture.jobs["T"].units = {"x": "K"}
    assert picture.wants_units() is None
    assert picture.jobs["T"].heading("x") == "T/x [K]"


def test_arrays_that_no_peek_tells_are_glimpsed_of_the_watched_job_when_it_has_news():
    picture = Picture()
    picture.take_status(reply(cam=part(), other=part()), NOW)
    for name in ("cam", "other"):
        picture.take_values(name, {"time": NOW, "gain": 3}, NOW)
        columns = [("gain", (1,), ""), ("im", (512, 512), "counts"), ("w", (2, 100), "")]
        picture.jobs[name].take_columns(columns)
    assert picture.wants_glimpses(NOW) == []
    picture.watch("cam")
    cam, image = picture.jobs["cam"], np.zeros((512, 512))
    assert picture.wants_glimpses(NOW) == [("cam", "im")]
    assert picture.wants_glimpses(NOW + 0.1) == []
    cam.take_glimpse("im", image)
    picture.take_values("cam", {"time": NOW, "gain": 3, "w": [[1] * 100] * 2}, NOW)
    assert cam.array("im") is image
    assert picture.wants_values(NOW + 1) == picture.wants_glimpses(NOW + 1) == []
    picture.take("data-available", "tank-a/cam", available("tank-a/cam", 13, gain=4), NOW + 4)
    assert picture.wants_glimpses(NOW + 4) == [("cam", "im")]
    assert (cam.heading("im"), cam.text("im")) == ("cam/im [counts]", "[512×512]")
    picture.watch("other")
    assert cam.array("im") is None
