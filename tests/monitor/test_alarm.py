"""Alarms in a picture: the same for whoever looks, since when, and in whatever order it heard."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from h5daq.monitor.alarm import Alarm, AlarmPictures
from h5daq.monitor.picture import Picture

NOW = 1_800_000_000.0


def told(number: int, level: str = "alarm", column: str = "T", **more: Any) -> dict[str, Any]:
    return {"id": number, "time": NOW + number, "job": "tank", "column": column, "kind": "high",
            "level": level, "value": 312.0, "limit": 310.0, "text": "312 K", **more}  # fmt: skip


def reply(*alarms: dict[str, Any], newest: int) -> dict[str, Any]:
    writer = {"boot": "b1", "alarm_id": newest}
    return {"run": {"id": "r1"}, "writer": writer, "jobs": {}, "alarms": list(alarms)}


def raised(picture: Picture) -> list[tuple[str, str]]:
    return sorted((alarm.where, alarm.level) for alarm in picture.alarms.values())


def test_a_signal_raises_changes_and_takes_back():
    picture = Picture()
    for number, level in enumerate(("warn", "alarm", "ok"), start=1):
        picture.take("alarm", "tank/T", told(number, level), NOW)
        assert raised(picture) == ([] if level == "ok" else [("tank/T", level)])
    assert [remark.level for remark in picture.log] == ["WARNING", "ERROR", "INFO"]


def test_who_joins_late_has_all_of_them_from_the_reply():
    picture = Picture()
    picture.take_status(reply(told(1), told(2, "warn", "p"), newest=5), NOW)
    assert raised(picture) == [("tank/T", "alarm"), ("tank/p", "warn")]
    assert picture.alarms["tank", "T", "high"].limit == 310.0
    assert picture.alarms.level == "alarm"


def test_a_reply_that_is_older_than_a_signal_takes_nothing_back_and_is_asked_for_anew():
    picture = Picture()
    picture.take("alarm", "tank/T", told(6), NOW)
    picture.take_status(reply(newest=5), NOW)
    assert raised(picture) == [("tank/T", "alarm")]
    assert picture.wants_status(NOW + 2)
    picture.take_status(reply(newest=6), NOW + 2)
    assert raised(picture) == []


def test_a_reply_that_does_not_speak_of_alarms_changes_none():
    picture = Picture()
    picture.take("alarm", "tank/T", told(6), NOW)
    picture.take_status({"run": {}, "writer": {}, "jobs": {}}, NOW)
    assert raised(picture) == [("tank/T", "alarm")]


def test_another_writer_tells_its_own():
    picture = Picture()
    picture.take_status(reply(told(6), newest=6), NOW)
    picture.take("heartbeat", "", {"boot": "b2", "run": "r1"}, NOW)
    assert raised(picture) == []


def test_the_worst_and_newest_come_first():
    alarms = AlarmPictures()
    for number, level in enumerate(("warn", "alarm", "alarm", "warn")):
        alarms.take(told(number, level, column=str(number)))
    assert [alarm.column for alarm in alarms.worst()] == ["2", "1", "3", "0"]
    assert len(alarms.of_job("tank")) == 4
    assert not alarms.of_job("pump")


CHANGES = st.lists(
    st.tuples(st.sampled_from("abc"), st.sampled_from(["ok", "warn", "alarm"])), max_size=20
)


@given(CHANGES, st.integers(0, 20), st.integers(0, 20))
def test_a_late_joiner_ends_where_an_early_one_does(changes, joined, delay):
    early, late = Picture(), Picture()
    for number, (column, level) in enumerate(changes, start=1):
        early.take("alarm", "", told(number, level, column), NOW)
        if number == joined:
            answer = reply(*(a.as_dict() for a in early.alarms.values()), newest=number)
        if number > joined:
            late.take("alarm", "", told(number, level, column), NOW)
        if number == joined + delay and joined:
            late.take_status(answer, NOW)
    whole = reply(*(a.as_dict() for a in early.alarms.values()), newest=len(changes))
    late.take_status(whole, NOW)
    assert raised(late) == raised(early)


def test_what_is_no_alarm_is_none():
    assert Alarm.of({"text": "x"}) is None
    assert Alarm.of(told(1, "worse")) is None
    assert Alarm.of(told(1, value="x", limit=float("inf"))).value is None


def test_alarms_are_plain_values_in_the_dict_of_a_picture():
    picture = Picture()
    picture.take("alarm", "tank/T", told(1), NOW)
    assert json.loads(json.dumps(picture.as_dict(NOW)))["alarms"] == [told(1)]
