"""The options of alarms: what is wrong in them is said where they are given."""

import pytest

from h5daq.errors import ConfigError
from h5daq.flow.alarm_options import AlarmOptions
from h5daq.flow.limits import Limits


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ([], "mapping"),
        ({"comand": []}, "comand"),
        ({"down": 1}, "down"),
        ({"command": "./a.sh"}, "list"),
        ({"command": [""]}, "program"),
        ({"command": ["a\0b"]}, "texts"),
        ({"webhook": "example.org"}, "http"),
        ({"webhook": 5}, "http"),
        ({"timeout": 0}, "timeout"),
        ({"per_minute": float("inf")}, "per_minute"),
        ({"disk": {"full": 1}}, "full"),
        ({"disk": {"warn": -1}}, "bytes"),
        ({"disk": {"warn": 1, "alarm": 2}}, "before the warning"),
        ({"limits": {"tank": {"T": {"warn": 5}}}}, "'T'"),
        ({"limits": {"tank": 5}}, "tank"),
        ({"jobs": "tank"}, "jobs"),
    ],
)
def test_what_is_wrong_is_named(told, words):
    with pytest.raises(ConfigError, match=words):
        AlarmOptions.of(told)


def test_they_survive_the_way_to_the_writer():
    limits = {"tank": {"T": Limits.of({"warn": {"high": 5}, "stale": 3})}}
    told = {"down": False, "disk": {"warn": 100}, "command": ["a", "b"], "jobs": ["tank"]}
    options = AlarmOptions.of({**told, "webhook": "http://a", "per_minute": 5}, limits)
    assert AlarmOptions.of(options.to_map()) == options
    assert options.rules.disk == (100.0, 100.0)


@pytest.mark.parametrize(
    ("disk", "bounds"),
    [
        ({"warn": 0}, (0, 0)),
        ({"alarm": 0}, (0, 0)),
        ({"alarm": 8 << 30}, (8 << 30, 8 << 30)),
        ({"warn": 9, "alarm": 0}, (9, 0)),
        ({"warn": 0, "alarm": 9}, (0, 9)),
        ({}, (4 << 30, 1 << 30)),
    ],
)
def test_a_bound_of_the_disk_that_is_left_out_suits_the_other(disk, bounds):
    assert AlarmOptions.of({"disk": disk}).rules.disk == bounds
