"""Events of a run: alarms, restarts and clocks in one table, over all its files."""

from __future__ import annotations

from typing import Any

import h5py
import numpy as np

from h5daq.files.events import still_raised
from h5daq.files.recording import open_recording

START = 1_800_000_000.0


def tank(first: int, n: int, **attrs: Any) -> Any:
    def fill(file: h5py.File) -> None:
        group = file.require_group("tank/T")
        group.create_dataset("time", data=START + np.arange(first, first + n))
        group.create_dataset("T", data=np.arange(first, first + n) * 1.0)
        group.attrs.update(attrs)

    return fill


def with_events(fill: Any, *events: tuple[float, str, str, float]) -> Any:
    def filled(file: h5py.File) -> None:
        fill(file)
        group = file.require_group("h5daq/events")
        times, levels, kinds, values = zip(*events, strict=True)
        texts = {"level": levels, "kind": kinds, "job": ["tank/T"] * len(events),
                 "column": ["T"] * len(events), "text": ["it is warm"] * len(events)}  # fmt: skip
        group.create_dataset("time", data=times)
        for name, entries in texts.items():
            group.create_dataset(name, data=list(entries), dtype=h5py.string_dtype())
        for name in ("value", "limit"):
            group.create_dataset(name, data=values)

    return filled


def test_alarms_of_all_files_stand_in_order_of_time(make_file, tmp_path):
    make_file(2, with_events(tank(4, 4), (START + 5, "ok", "high", 20.0)))
    make_file(1, with_events(tank(0, 4), (START + 1, "warn", "high", 31.0)))
    events = open_recording(tmp_path).events
    assert events["time"].tolist() == [START + 1, START + 5]
    assert events["level"].tolist() == ["warn", "ok"]
    assert events[0]["text"] == "it is warm"
    assert (events["value"][0], events["job"][0], events["column"][0]) == (31.0, "tank/T", "T")


def test_an_alarm_without_an_end_is_still_raised_and_a_restart_is_none(make_file, tmp_path):
    told = {"restart_times": [START + 2.0], "restart_causes": ["killed by signal 9"]}
    changes = [(START + 1, "warn", "high", 31.0), (START + 3, "alarm", "high", 41.0)]
    make_file(1, with_events(tank(0, 4, **told), (START, "warn", "low", 1.0), *changes))
    make_file(2, with_events(tank(4, 4, **told), (START + 5, "ok", "low", 9.0)))
    recording = open_recording(tmp_path)
    assert recording.alarms["kind"].tolist() == ["low", "high", "high", "low"]
    assert still_raised(recording.events)[["kind", "level"]].tolist() == [("high", "alarm")]


def test_restarts_and_clocks_are_events_once_though_each_file_repeats_them(make_file, tmp_path):
    told = {"restart_times": [START + 2.0], "restart_causes": ["killed by signal 9"],
            "clock_jumps": [[START + 3.0, -60.0]]}  # fmt: skip
    make_file(1, tank(0, 4, **told))
    make_file(2, tank(4, 4, **told))
    events = open_recording(tmp_path).events
    assert events["kind"].tolist() == ["restart", "clock"]
    assert "signal 9" in events["text"][0]
    assert events["value"][1] == -60.0
    assert np.isnan(events["value"][0])


def test_a_run_that_nobody_ended_says_so(make_file, tmp_path):
    make_file(1, tank(0, 4), interrupted=1, run_end=START + 3.0)
    (event,) = open_recording(tmp_path).events
    assert (event["kind"], event["level"], event["time"]) == ("interrupted", "alarm", START + 3.0)


def test_a_run_in_which_nothing_happened_has_an_empty_table(make_file, tmp_path):
    make_file(1, tank(0, 4))
    events = open_recording(tmp_path).events
    assert len(events) == 0
    assert events.dtype.names[:3] == ("time", "level", "job")


def test_the_table_is_a_frame_of_pandas(make_file, tmp_path):
    import pandas

    make_file(1, with_events(tank(0, 4), (START + 1, "warn", "high", 31.0)))
    frame = pandas.DataFrame(open_recording(tmp_path).events)
    assert frame.loc[0, "kind"] == "high"


def test_the_writers_own_groups_are_no_jobs_and_can_be_read_like_them(make_file, tmp_path):
    make_file(1, with_events(tank(0, 4), (START + 1, "warn", "high", 31.0)))
    recording = open_recording(tmp_path)
    assert recording.groups == ("tank/T",)
    assert recording.own_groups == ("h5daq/events",)
    assert "h5daq/events" in recording
    assert recording["h5daq/events"]["value"].tolist() == [31.0]
