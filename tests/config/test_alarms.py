"""Limits and alarms in a configuration: what is wrong is told with its line and what is right."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from h5daq.config import examine, load
from h5daq.daemon.described import make_daemon

JOB = '[[jobs]]\ngroup = "tank"\ngetter = "time:time"\ncolumns = [{ label = "T", LIMITS }]\n'
Write = Callable[[str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(text: str) -> Path:
        path = tmp_path / "lab.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


@pytest.mark.parametrize(
    ("limits", "key", "problem", "right"),
    [
        ("limits = { }", "", "no limit", "stale"),
        ("limits = { warn = { }, hysteresis = 1 }", "", "no limit", "stale"),
        ("limits = 5", "", "not a table", "warn"),
        ("limits = { warm = { high = 5 } }", ".warm", "unknown", "warn"),
        ("limits = { warn = { hi = 5 } }", ".warn.hi", "unknown", "high"),
        ("limits = { warn = { high = '5' } }", ".warn.high", "not a number", "unit"),
        ("limits = { warn = { high = nan } }", ".warn.high", "finite", "unit"),
        ("limits = { warn = { low = 5, high = 4 } }", ".warn.low", "not below", "low below high"),
        ("limits = { warn = { high = 5 }, alarm = { high = 4 } }", ".alarm.high", "before", "5"),
        ("limits = { warn = { high = 5 }, hysteresis = -1 }", ".hysteresis", "below 0", "unit"),
        ("limits = { warn = { low = 1, high = 5 }, hysteresis = 9 }", ".hysteresis", "inside",
         "less than 4"),
        ("limits = { stale = 0 }", ".stale", "not above", "seconds"),
        ("dtype = 'text', limits = { stale = 5 }", "", "real numbers", "leave limits out"),
        ("dtype = 'S8', limits = { stale = 5 }", "", "real numbers", "leave limits out"),
        ("limits = { stale = 5 } }]\ncompress = true\nunits = [{ a = 1", ".stale", "folds", "out"),
    ],
)  # fmt: skip
def test_limits_that_make_no_sense_are_told(
    write: Write, limits: str, key: str, problem: str, right: str
) -> None:
    _, mistakes = examine(write(JOB.replace("LIMITS", limits)))
    (mistake,) = [found for found in mistakes if "units" not in found.key]
    told = mistake.as_dict()
    assert (told["key"], told["line"]) == (f"jobs[0].columns[0].limits{key}", 4)
    assert problem in told["problem"]
    assert right in told["right"]


@pytest.mark.parametrize(
    ("line", "key", "problem"),
    [
        ("commnd = ['a']", "commnd", "unknown"),
        ("command = './a.sh'", "command", "not a list"),
        ("command = []", "command", "empty"),
        ("webhook = 'ftp://a'", "webhook", "address"),
        ("webhook = 'http://a b'", "webhook", "address"),
        ("disk = { warn = '2 GB', alarm = '3 GB' }", "disk.alarm", "before"),
        ("disk = { warn = '2 GX' }", "disk.warn", "unit"),
        ("per_minute = 0", "per_minute", "not above"),
        ("down = 1", "down", "neither"),
    ],
)
def test_a_wrong_table_of_alarms_is_told(write: Write, line: str, key: str, problem: str) -> None:
    _, (mistake,) = examine(write(f"[alarms]\n{line}\n"))
    assert mistake.as_dict()["key"] == f"alarms.{key}"
    assert problem in mistake.problem


def test_the_writer_gets_the_limits_of_all_hosts(write: Write) -> None:
    limits = "limits = { warn = { high = 5 }, stale = 60 }"
    far = JOB.replace("tank", "far").replace("LIMITS", limits) + 'host = "pi"\n'
    near = JOB.replace("LIMITS", limits.replace("5", "6"))
    rest = '[hosts.pi]\nssh = "pi"\n[security]\ninsecure = true\n[alarms]\ncommand = ["./a"]\n'
    config = load(write(near + far + rest))
    options = config.alarm_options()
    assert {job: told["T"]["warn"] for job, told in options["limits"].items()} == {
        "tank": {"high": 6.0}, "far": {"high": 5.0},
    }  # fmt: skip
    assert options["jobs"] == ["tank", "far"]
    assert options["command"] == [str(config.path.parent / "a")]
    assert make_daemon(config)._options["alarms"] == options


def test_without_limits_and_without_the_table_nothing_is_watched(write: Write) -> None:
    text = JOB.replace(", LIMITS", "")
    assert load(write(text)).alarm_options() is None
    assert load(write(text + "[alarms]\n")).alarm_options()["down"] is True
