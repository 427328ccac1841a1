"""``h5daq run``: a run in the foreground, ended by a signal, by the time, or from elsewhere."""

import json
import signal

import h5py
import numpy as np
import pytest

import h5daq
from h5daq import cli

pytestmark = pytest.mark.processes


def sealed(directory):
    """The one file of a run that ended well; the number of its rows."""
    (path,) = directory.glob("*.hdf5")
    with h5py.File(path) as file:
        assert np.isfinite(file.attrs["run_end"])
        assert "interrupted" not in file.attrs or not file.attrs["interrupted"]
        return path, len(file["room/T"])


def rows(directory, group="room"):
    with h5daq.connect(directory=directory) as client:
        return client.status()["jobs"][group]["rows"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_seals_the_file_and_ends_with_code_0(running, data, number, wait_until):
    wait_until(lambda: rows(data) > 5)
    assert running.end(number) == cli.DONE, running.err
    path, count = sealed(data)
    assert count > 5
    assert f"stopped: {path}" in running.out
    assert not (data / ".h5daq" / "endpoints.json").exists()


def test_a_signal_during_the_start_stops_in_order_too(start, lab, data, wait_until):
    run = start("run", lab)
    wait_until(lambda: (data / ".h5daq" / "endpoints.json").exists(), what="the writer's start")
    assert run.end(signal.SIGTERM) == cli.DONE, run.err
    assert "stopped: " in run.out
    assert not (data / ".h5daq" / "endpoints.json").exists()


def test_seconds_end_the_run(command, lab, data):
    run = command("run", lab, "--seconds", "1")
    assert run.code == cli.DONE, run.err
    assert sealed(data)[1] > 0


def test_a_stop_from_outside_ends_it_cleanly(running, command, data, wait_until):
    wait_until(lambda: rows(data) > 5)
    stop = command("stop", "--directory", data, "--json")
    assert stop.code == cli.DONE, stop.err
    answer = json.loads(stop.out)
    assert running.end() == cli.DONE, running.err
    path, count = sealed(data)
    assert answer == {**answer, "files": [str(path)], "held": {}}
    assert count > 5
    assert f"stopped: {path}" in running.out


def test_the_status_line_says_that_it_runs(start, lab):
    run = start("run", lab, "--seconds", "60")
    run.until_said("● running")
    assert run.end(signal.SIGINT) == cli.DONE


def test_quiet_shows_no_status_line(command, lab):
    run = command("run", lab, "--seconds", "1", "--quiet")
    assert "● running" not in run.out + run.err


def test_a_second_run_in_the_directory_names_the_first_and_how_to_stop_it(lasting, command):
    second = command("run", lasting.parent / "lab.toml")
    assert second.code == cli.FAILED
    assert "has a writer already" in second.err
    assert "h5daq stop --directory" in second.err
    assert "Traceback" not in second.err
    assert rows(lasting) > 0


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ("[run]\nperiod = 1", "run.period"),
        ("[writer]\nrequests = 'tcp://127.0.0.1:0'", "insecure"),
        ("[[jobs]]\ngroup = 'a'\ngetter = 'nowhere:f'\ncolumns = [{ label = 'x' }]", "nowhere"),
        ("", "nothing to record"),
    ],
)
def test_a_wrong_configuration_ends_with_code_2(command, tmp_path, wrong, told):
    path = tmp_path / "wrong.toml"
    path.write_text(wrong)
    run = command("run", path)
    assert run.code == cli.WRONG
    assert told in run.err
    assert "Traceback" not in run.err
    assert [found.name for found in tmp_path.glob("*.hdf5")] == []


def test_seconds_that_make_no_sense_end_with_code_2(command, lab, data):
    run = command("run", lab, "--seconds", "-3")
    assert run.code == cli.WRONG
    assert "--seconds" in run.err
    assert not data.exists()


def test_a_directory_that_is_a_file_is_named(command, lab, data):
    data.write_text("in the way")
    run = command("run", lab)
    assert run.code == cli.FAILED
    assert str(data) in run.err
    assert "Traceback" not in run.err
