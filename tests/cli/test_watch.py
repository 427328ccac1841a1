"""``h5daq watch``: signals, a line each, for people and for programs."""

import json

import pytest

from h5daq import cli
from h5daq.cli.watch import Ears, _line
from h5daq.client import Signal
from h5daq.errors import NoAnswer
from h5daq.flow.vigil import Vigil

pytestmark = pytest.mark.processes


def test_each_signal_is_a_line_of_json(lasting, command):
    watch = command("watch", "--directory", lasting, "--json", "--count", "3", "--path", "lab/room")
    assert watch.code == cli.DONE, watch.err
    lines = [json.loads(line) for line in watch.out.splitlines()]
    assert len(lines) == 3
    assert {line["kind"] for line in lines} == {"data-available"}
    totals = [line["total"] for line in lines]
    assert totals == sorted(set(totals))
    assert lines[-1]["last"]["T"] > 0


def test_a_line_for_people_has_kind_and_path(lasting, command):
    watch = command("watch", "--directory", lasting, "--count", "1")
    assert "data-available" in watch.out
    assert "lab/room" in watch.out


def test_other_kinds_are_shown_when_asked_for(lasting, command):
    watch = command(
        "watch", "--directory", lasting, "--kind", "heartbeat", "--json", "--count", "1"
    )
    assert json.loads(watch.out)["kind"] == "heartbeat"


def test_it_ends_after_so_many_seconds_without_a_signal(lasting, command):
    watch = command("watch", "--directory", lasting, "--path", "lab/nothing", "--seconds", "0.2")
    assert watch.code == cli.DONE
    assert watch.out == ""


def test_an_alarm_is_a_line_that_says_what_is_wrong():
    told = {"v": 1, "k": "alarm", "level": "warn", "text": "tank/T = 31 K: above 30 K"}
    line = _line(Signal("alarm", "tank/T", told), False)
    assert line.endswith("tank/T  warn  tank/T = 31 K: above 30 K")


class Beats:
    """A subscription that has what a test puts into it."""

    def __init__(self):
        self.came = []

    def receive(self, seconds):
        came, self.came = self.came, []
        if not came:
            raise NoAnswer("nothing")
        return came


def test_a_writer_that_is_not_heard_is_an_alarm_unless_its_run_has_ended():
    beats = Beats()
    ears = Ears(beats, Vigil(0.0, patience=3.0))

    def listen(now, **beat):
        beats.came = [Signal("heartbeat", "", beat)] if beat else []
        return [signal.payload["level"] for signal in ears.listen(float(now))]

    assert [level for now in range(9) for level in listen(now)] == ["alarm"]
    assert listen(9, run="r") == ["ok"]
    assert listen(10, run="r", ended=True) == []
    assert [level for now in range(11, 30) for level in listen(now)] == []
