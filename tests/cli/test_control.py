"""Commands to a running system, found by its directory or by its address."""

import json
import os
import signal

import pytest

import h5daq
from h5daq import cli
from h5daq.client import Client
from h5daq.errors import NoAnswer
from h5daq.storage.lock import is_alive

pytestmark = pytest.mark.processes


def ask(command, *words):
    """The answer of a command as JSON."""
    done = command(*words, "--json")
    assert done.code == cli.DONE, done.err
    return json.loads(done.out)


def status_of(directory):
    with h5daq.connect(directory=directory) as client:
        return client.status()


def jobs(directory):
    return status_of(directory)["jobs"]


def test_status_shows_run_writer_and_jobs(lasting, command):
    data = lasting
    status = ask(command, "status", "--directory", data)
    assert status["run"]["name"] == "lab"
    assert status["writer"]["state"] == "running"
    assert set(status["jobs"]) == {"room", "cam"}
    shown = command("status", "--directory", data)
    assert shown.code == cli.DONE
    assert "running" in shown.out
    assert "room" in shown.out


def test_connect_takes_the_address_in_place_of_the_directory(lasting, command):
    data = lasting
    requests = json.loads((data / ".h5daq" / "endpoints.json").read_text())["requests"]
    status = ask(command, "status", "--connect", requests)
    assert status["run"]["directory"] == str(data)


def test_after_a_flush_the_rows_are_in_the_file(lasting, command, wait_until):
    data = lasting
    wait_until(lambda: jobs(data)["room"]["rows"] > 5)
    path = ask(command, "flush", "--directory", data)["file"]
    assert len(h5daq.open(path)["room"]["T"]) > 5
    assert path in command("flush", "--directory", data).out


def test_pause_and_resume_reach_the_worker(lasting, command, wait_until):
    data = lasting
    assert ask(command, "pause", "room", "--directory", data) == {"jobs": ["room"]}
    wait_until(lambda: jobs(data)["room"]["state"] == "paused")
    wait_until(lambda: jobs(data)["cam"]["state"] == "reading")
    assert "room" in command("resume", "room", "--directory", data).out
    wait_until(lambda: jobs(data)["room"]["state"] == "reading")


def test_orders_without_a_job_go_to_all(lasting, command, wait_until):
    data = lasting
    assert ask(command, "pause", "--directory", data) == {"jobs": ["cam", "room"]}
    wait_until(lambda: {job["state"] for job in jobs(data).values()} == {"paused"})
    ask(command, "resume", "--directory", data)
    wait_until(lambda: {job["state"] for job in jobs(data).values()} == {"reading"})


def test_trigger_takes_as_many_readings_as_asked(lasting, command, wait_until):
    data = lasting
    before = jobs(data)["cam"]["rows"]
    assert ask(command, "trigger", "cam", "--n", "3", "--directory", data) == {"jobs": ["cam"]}
    wait_until(lambda: jobs(data)["cam"]["rows"] == before + 3)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["pause", "nobody"], "there are: cam, room"),
        (["trigger", "cam", "--n", "0"], "n must be between 1"),
        (["stop", "--drain-timeout", "nan"], "drain_timeout"),
    ],
)
def test_what_makes_no_sense_is_refused_and_the_run_goes_on(
    lasting, command, words, told, wait_until
):
    data = lasting
    refused = command(*words, "--directory", data)
    assert refused.code == cli.FAILED
    assert told in refused.err
    assert "Traceback" not in refused.err
    wait_until(lambda: jobs(data)["room"]["state"] == "reading")


@pytest.mark.parametrize("verb", ["status", "flush", "stop", "pause", "resume", "trigger", "watch"])
def test_without_a_writer_the_mend_is_told(capsys, tmp_path, verb):
    assert cli.main([verb, "--directory", str(tmp_path / "nowhere")]) == cli.FAILED
    said = capsys.readouterr().err
    assert "no writer is running" in said
    assert "--connect" in said
    assert "Traceback" not in said


def test_an_address_where_nobody_answers_is_named(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(Client.request.__kwdefaults__, "timeout", 0.5)
    assert cli.main(["status", "--connect", f"ipc://{tmp_path}/nobody"]) == cli.FAILED
    assert f"ipc://{tmp_path}/nobody" in capsys.readouterr().err


def test_an_address_that_is_none_is_wrong_usage(capsys):
    assert cli.main(["status", "--connect", "daq0:5570"]) == cli.WRONG
    said = capsys.readouterr().err
    assert "tcp://" in said
    assert "Traceback" not in said
    assert "unforeseen" not in said


def test_a_spoilt_endpoints_file_is_named(capsys, tmp_path):
    (tmp_path / ".h5daq").mkdir()
    (tmp_path / ".h5daq" / "endpoints.json").write_text("{")
    assert cli.main(["status", "--directory", str(tmp_path)]) == cli.FAILED
    said = capsys.readouterr().err
    assert "endpoints.json" in said
    assert "unforeseen" not in said


def test_what_a_killed_run_left_is_told_at_once(running, command, data, wait_until, monkeypatch):
    # In the file: before there is one, only the journal knows of the run.
    writer = wait_until(lambda: jobs(data)["room"]["in_file"] and status_of(data)["writer"]["pid"])
    pids = [writer, *(job["pid"] for job in jobs(data).values())]
    for pid in (running.process.pid, *pids):
        os.kill(pid, signal.SIGKILL)
    running.process.wait()
    wait_until(lambda: not is_alive(writer))
    # Nothing is asked, which nobody would answer for a while.
    monkeypatch.delattr(Client, "request")
    with pytest.raises(NoAnswer, match="recover"):
        h5daq.connect(directory=data)
    asked = command("status", "--directory", data, "--json")
    assert asked.code == cli.FAILED
    assert json.loads(asked.out)["last"]["ended"] is None


def test_after_a_run_a_status_says_when_it_ended(running, command, data, wait_until):
    wait_until(lambda: jobs(data)["room"]["rows"] > 5)
    assert running.end(signal.SIGTERM) == cli.DONE
    asked = command("status", "--directory", data)
    assert asked.code == cli.FAILED
    assert "the last one (lab) ended at 20" in asked.err
    assert "no writer is running" in asked.err
