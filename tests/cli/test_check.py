"""``h5daq check``, and what every command has in common: exit codes and error texts."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from argparse import Namespace
from pathlib import Path
from types import SimpleNamespace

import pytest

from h5daq import cli
from h5daq.cli.parser import Subparsers, add_command, command_parser
from h5daq.errors import ConfigError, NoAnswer

JOB = """
[[jobs]]
group = "room"
getter = "h5daq.instruments.simulated:Thermometer"
read_period = 0.5
columns = [{ label = "T", unit = "K" }]
"""

Capture = pytest.CaptureFixture[str]


def config(tmp_path: Path, text: str = JOB) -> str:
    """A configuration file."""
    path = tmp_path / "lab.toml"
    path.write_text(text)
    return str(path)


def test_a_right_configuration_is_shown(tmp_path: Path, capsys: Capture) -> None:
    assert cli.main(["check", config(tmp_path)]) == cli.DONE
    told = capsys.readouterr()
    assert "lab.toml: right" in told.out
    assert "room: 1 column, every 0.5 s, 32 B/s" in told.out
    assert told.err == ""


def test_what_is_watched_is_shown_and_a_command_that_is_not_there_told(
    tmp_path: Path, capsys: Capture
) -> None:
    watched = JOB.replace('"K"', '"K", limits = { stale = 5 }')
    script = tmp_path / "alarm.sh"
    script.write_text("#!/bin/sh\n")
    script.chmod(0o755)
    right = config(tmp_path, watched + '[alarms]\ncommand = ["./alarm.sh", "-x"]\n')
    assert cli.main(["check", right]) == cli.DONE
    line = "alarms     1 column with limits, down, loss, disk; told: command"
    assert line in capsys.readouterr().out
    script.unlink()
    assert cli.main(["check", right]) == cli.WRONG
    assert "line 8, alarms.command[0]: no such program" in capsys.readouterr().err


def test_a_wrong_configuration_is_told_on_standard_error(tmp_path: Path, capsys: Capture) -> None:
    assert cli.main(["check", config(tmp_path, JOB + "perod = 1")]) == cli.WRONG
    told = capsys.readouterr()
    assert told.out == ""
    assert "jobs[0].perod" in told.err
    assert "Traceback" not in told.err


def test_the_answer_as_json(tmp_path: Path, capsys: Capture) -> None:
    assert cli.main(["check", config(tmp_path), "--json"]) == cli.DONE
    answer = json.loads(capsys.readouterr().out)
    assert answer["ok"] is True
    assert answer["jobs"][0]["bytes_per_second"] == 32


def test_mistakes_as_json(tmp_path: Path, capsys: Capture) -> None:
    assert cli.main(["check", "--json", config(tmp_path, "[run]\nnam = 1")]) == cli.WRONG
    (mistake,) = json.loads(capsys.readouterr().out)["mistakes"]
    assert (mistake["line"], mistake["key"]) == (2, "run.nam")
    assert "name" in mistake["right"]


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("h5daq.instruments", "h5daq.instrumnts", "h5daq.instrumnts"),
        (":Thermometer", ":Thermomether", "Thermomether"),
        ("h5daq.instruments.simulated:Thermometer", "broken_module:x", "ZeroDivisionError"),
        ("h5daq.instruments.simulated:Thermometer", "math:pi", "called"),
    ],
)
def test_a_getter_that_can_not_be_imported_is_told(
    tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch, old: str, new: str, told: str
) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "broken_module.py").write_text("1 / 0")
    assert cli.main(["check", config(tmp_path, JOB.replace(old, new))]) == cli.WRONG
    error = capsys.readouterr().err
    assert "line 4, jobs[0].getter (job room)" in error
    assert told in error


def test_arguments_that_the_getter_does_not_take_are_told(tmp_path: Path, capsys: Capture) -> None:
    assert cli.main(["check", config(tmp_path, JOB + "args = { strat = 4.2 }")]) == cli.WRONG
    error = capsys.readouterr().err
    assert "line 7, jobs[0].args (job room): got an unexpected keyword argument 'strat'" in error
    assert "start: " in error


def test_a_module_beside_the_configuration_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "my_own_sensors.py").write_text("def read():\n    return [1.0]\n")
    text = JOB.replace("h5daq.instruments.simulated:Thermometer", "my_own_sensors:read")
    assert cli.main(["check", config(tmp_path, text)]) == cli.DONE


def test_the_getter_of_another_host_is_not_imported(tmp_path: Path, capsys: Capture) -> None:
    text = JOB.replace("h5daq.instruments", "only_there") + (
        'host = "pi"\n[hosts.pi]\nssh = "pi"\n[security]\ninsecure = true\n'
    )
    assert cli.main(["check", config(tmp_path, text)]) == cli.DONE
    assert "room: on pi, its getter not imported" in capsys.readouterr().out


def test_a_command_is_a_job_as_well(tmp_path: Path) -> None:
    text = JOB.replace("getter", "command").replace("h5daq.instruments.simulated:Thermometer", "ls")
    assert cli.main(["check", config(tmp_path, text)]) == cli.DONE


def test_the_example_checks_itself(tmp_path: Path, capsys: Capture) -> None:
    assert cli.main(["check", "--example"]) == cli.DONE
    example = capsys.readouterr().out
    assert cli.main(["check", config(tmp_path, example)]) == cli.DONE


def test_a_mistyped_command_is_answered_with_the_nearest(capsys: Capture) -> None:
    assert cli.main(["chek"]) == cli.WRONG
    assert "did you mean check?" in capsys.readouterr().err


def test_a_mistyped_option_is_answered_with_the_nearest(capsys: Capture) -> None:
    assert cli.main(["check", "lab.toml", "--jason"]) == cli.WRONG
    assert "did you mean --json?" in capsys.readouterr().err


@pytest.mark.parametrize("words", [[], ["check"], ["check", "a", "--example"]])
def test_wrong_usage_has_code_2(words: list[str], capsys: Capture) -> None:
    assert cli.main(words) == cli.WRONG
    assert "--help" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["--help"], ["check", "--help"], ["--version"]])
def test_help_has_code_0(words: list[str], capsys: Capture) -> None:
    assert cli.main(words) == cli.DONE
    assert "h5daq" in capsys.readouterr().out


def test_every_command_has_examples(capsys: Capture) -> None:
    _, subparsers = command_parser()
    for name in cli.MODULES:
        importlib.import_module(f"h5daq.cli.{name}").add(subparsers)
    for name, parser in subparsers.choices.items():
        assert f"h5daq {name}" in str(parser.epilog)


def failing(error: BaseException) -> SimpleNamespace:
    """A module whose command `fail` raises `error`."""

    def fail(arguments: Namespace) -> int:
        raise error

    def add(subparsers: Subparsers) -> None:
        add_command(subparsers, "fail", fail, summary="Fail.", examples="h5daq fail")

    return SimpleNamespace(add=add)


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (NoAnswer("nobody at tcp://daq0:5570"), 1, "nobody at tcp://daq0:5570"),
        (ConfigError("no [run]"), 2, "no [run]"),
        (PermissionError(13, "Permission denied", "/data"), 1, "Permission denied: '/data'"),
        (ZeroDivisionError("by zero"), 1, "ZeroDivisionError: by zero"),
        (KeyboardInterrupt(), 1, "stopped"),
    ],
)
def test_an_error_is_a_sentence_and_a_code(
    monkeypatch: pytest.MonkeyPatch, capsys: Capture, error: BaseException, code: int, text: str
) -> None:
    monkeypatch.setitem(sys.modules, "h5daq.cli.failing", failing(error))
    monkeypatch.setattr(cli, "MODULES", ("failing",))
    assert cli.main(["fail"]) == code
    told = capsys.readouterr().err
    assert text in told
    assert "Traceback" not in told
    assert cli.main(["fail", "--debug"]) == code
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.processes
def test_python_dash_m_h5daq_is_the_command(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "h5daq", "check", str(tmp_path / "none.toml")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == cli.WRONG
    assert "no such file" in done.stderr


@pytest.mark.processes
def test_a_reader_that_goes_away_is_no_error(tmp_path: Path) -> None:
    command = f"{sys.executable} -m h5daq check --example | true"
    done = subprocess.run(
        command, shell=True, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stderr == ""
