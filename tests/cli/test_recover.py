"""``h5daq recover``: what a writer that died has left is made whole without a new run."""

import json
import os
import signal

import h5py
import pytest

import h5daq
from h5daq import cli

pytestmark = pytest.mark.processes


def kill_all(running, data, wait_until):
    """Kill run, writer and workers in mid-run; how many rows of `room` were committed."""
    with h5daq.connect(directory=data) as client:
        status = wait_until(lambda: enough(client.status()))
    pids = [job["pid"] for job in status["jobs"].values()]
    for pid in (running.process.pid, status["writer"]["pid"], *pids):
        os.kill(pid, signal.SIGKILL)
    running.process.wait()
    return status["jobs"]["room"]["rows"]


def enough(status):
    return status if status["jobs"]["room"]["rows"] > 20 else None


def recover(command, data, wait_until, *words):
    """The command's end, once the kernel has taken the lock from the killed writer."""

    def freed():
        done = command("recover", data, *words)
        assert done.code == cli.DONE or "has a writer already" in done.err, done.err
        return done if done.code == cli.DONE else None

    return wait_until(freed)


def test_an_interrupted_run_is_sealed_with_every_committed_row(running, command, data, wait_until):
    committed = kill_all(running, data, wait_until)
    answer = json.loads(recover(command, data, wait_until, "--json").out)
    (path,) = data.glob("*.hdf5")
    assert answer["sealed"] == [str(path)]
    assert answer["run"] == "lab"
    with h5py.File(path) as file:
        assert len(file["room/T"]) >= committed
        assert file.attrs["interrupted"] == 1
    assert "nothing was left open" in recover(command, data, wait_until).out


def test_what_was_sealed_is_told(running, command, data, wait_until):
    kill_all(running, data, wait_until)
    told = recover(command, data, wait_until).out
    (path,) = data.glob("*.hdf5")
    assert f"sealed: {path}" in told


def test_a_directory_with_a_writer_is_left_alone(running, command, data):
    busy = command("recover", data)
    assert busy.code == cli.FAILED
    assert "has a writer already" in busy.err
    assert running.process.poll() is None


def test_a_directory_that_is_none_is_named_and_not_made(command, tmp_path):
    missing = command("recover", tmp_path / "nowhere")
    assert missing.code == cli.FAILED
    assert str(tmp_path / "nowhere") in missing.err
    assert not (tmp_path / "nowhere").exists()


def test_a_directory_without_a_run_has_nothing_to_finish(command, tmp_path):
    (tmp_path / "empty").mkdir()
    assert "nothing was left open" in command("recover", tmp_path / "empty").out
