"""Alarms of a real run: raised by rows, told, recorded in the file, and handed on."""

import json
import os
import signal

import h5py
import pytest

import h5daq

pytestmark = pytest.mark.processes


class Sensor:
    """A getter whose value stands in a file, so that a test can change it."""

    def __init__(self, path):
        self.path = path

    def __call__(self):
        return float(self.path.read_text())

    def set(self, value):
        fresh = self.path.with_suffix(".new")
        fresh.write_text(str(value))
        fresh.replace(self.path)


@pytest.fixture
def sensor(tmp_path):
    sensor = Sensor(tmp_path / "value")
    sensor.set(20.0)
    return sensor


TELLER = 'cat >> "$0"; echo >> "$0"'
"""Adds what it is given to a file, as a line."""

LIMITS = {"warn": {"high": 30.0}, "alarm": {"high": 40.0}, "hysteresis": 1.0}


QUIET = {"disk": {"warn": 0}, "down": False}
"""The disk that the tests run on may well be full, and a worker be slow to speak."""


def record(tmp_path, sensor, alarms=QUIET, **options):
    job = h5daq.DAQJob("tank", "T", sensor, read_period=0.02, units="K", limits={"T": LIMITS})
    return h5daq.DAQDaemon(job, directory=tmp_path / "data", alarms=alarms, **options)


def raised(daemon):
    return {(a["job"], a["column"], a["kind"]): a["level"] for a in daemon.status()["alarms"]}


def events(path):
    """Kind, level and value of each event in the file, by plain h5py."""
    with h5py.File(path) as file:
        group = file["h5daq/events"]
        names = ("kind", "level", "value")
        return [
            (kind.decode(), level.decode(), value)
            for kind, level, value in zip(*(group[name][:] for name in names), strict=True)
        ]


def test_a_value_beyond_its_limit_is_told_shown_recorded_and_handed_on(
    tmp_path, sensor, wait_until
):
    place = tmp_path / "told"
    options = {**QUIET, "command": ["/bin/sh", "-c", TELLER, str(place)], "timeout": 120}
    with record(tmp_path, sensor, name="run-1", alarms=options) as daemon:
        kinds = ["alarm", "heartbeat"]
        with h5daq.subscribe(daemon.endpoints["signals"], kinds, timeout=120) as signals:
            # What is heard of the later kind is asked for, so is the earlier one.
            assert next(signal for signal in signals if signal.kind == "heartbeat")
            alarms = (signal for signal in signals if signal.kind == "alarm")
            sensor.set(50.0)
            told = next(alarms)
            wait_until(lambda: raised(daemon) == {("tank", "T", "high"): "alarm"})
            wait_until(lambda: place.exists() and place.read_text().count("\n") == 1)
            sensor.set(20.0)
            over = next(alarms)
        wait_until(lambda: place.read_text().count("\n") == 2)
        wait_until(lambda: not raised(daemon))
    assert (told.path, told.payload["level"], told.payload["value"]) == ("tank/T", "alarm", 50.0)
    assert told.payload["text"] == "tank/T = 50 K: above 40 K"
    assert over.payload["level"] == "ok"
    assert over.payload["id"] > told.payload["id"]
    assert events(daemon.file_name) == [("high", "alarm", 50.0), ("high", "ok", 20.0)]
    alarm, over = map(json.loads, place.read_text().splitlines())
    assert (alarm["run"]["name"], alarm["text"]) == ("run-1", told.payload["text"])
    assert (over["level"], over["missed"]) == ("ok", 0)


def told(place):
    """The last level of each kind that a command was given."""
    alarms = [json.loads(line) for line in place.read_text().splitlines()]
    return {alarm["kind"]: alarm["level"] for alarm in alarms}


def kill_writer(daemon, wait_until):
    """As by `kill -9`; returns when the next one answers."""
    before = daemon.status()["writer"]
    os.kill(before["pid"], signal.SIGKILL)
    wait_until(lambda: daemon.status()["writer"].get("boot", before["boot"]) != before["boot"])


def test_what_a_killed_writer_had_raised_is_ended_by_the_next_one_and_the_kill_is_an_alarm(
    tmp_path, sensor, wait_until
):
    place, high = tmp_path / "told", ("tank", "T", "high")
    options = {**QUIET, "command": ["/bin/sh", "-c", TELLER, str(place)], "timeout": 120}
    with record(tmp_path, sensor, alarms=options, write_period=3600.0) as daemon:
        sensor.set(35.0)
        wait_until(lambda: raised(daemon) == {high: "warn"})
        sensor.set(50.0)
        wait_until(lambda: raised(daemon) == {high: "alarm"})
        daemon.flush()
        kill_writer(daemon, wait_until)
        # It goes on with what the last one knew, whatever rows come.
        assert raised(daemon) == {high: "alarm"}
        sensor.set(20.0)
        wait_until(lambda: raised(daemon) == {})
        wait_until(lambda: told(place) == {"high": "ok", "writer": "ok"})
    found = [event[:2] for event in events(daemon.file_name)]
    assert [level for kind, level in found if kind == "high"] == ["warn", "alarm", "ok"]
    assert [level for kind, level in found if kind == "writer"] == ["alarm", "ok"]
    with h5py.File(daemon.file_name) as file:
        texts = file["h5daq/events/text"].asstr()[:]
    assert "writer: killed by signal 9 (SIGKILL)" in texts


def test_a_column_without_numbers_and_lost_readings_are_alarms(tmp_path, sensor, wait_until):
    bad = h5daq.DAQJob("bad", "x", lambda: "no number", read_period=0.02)
    tank = h5daq.DAQJob("tank", "T", sensor, read_period=0.02, limits={"T": {"stale": 0.5}})
    with h5daq.DAQDaemon([tank, bad], directory=tmp_path, alarms=QUIET) as daemon:
        sensor.set("nan")
        stale, loss = ("tank", "T", "stale"), ("bad", "", "loss")
        wait_until(lambda: raised(daemon) == {stale: "alarm", loss: "alarm"})
        sensor.set(5.0)
        wait_until(lambda: raised(daemon) == {loss: "alarm"})
