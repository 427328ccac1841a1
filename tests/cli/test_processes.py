"""``h5daq writer`` and ``h5daq worker``: the processes of a run, started one by one."""

import json
import os
import signal
import socket

import h5py
import numpy as np
import pytest

import h5daq
from benchmarks.fault_proxy import free_port
from h5daq import cli

pytestmark = pytest.mark.processes

HAND = """
[run]
directory = "data"
write_period = 0.5
drain_timeout = 20

[writer]
data = "tcp://127.0.0.1:{0}"
requests = "tcp://127.0.0.1:{1}"
signals = "tcp://127.0.0.1:{2}"

[security]
insecure = true

[[jobs]]
group = "a"
getter = "counting:Counter"
args = {{}}
read_period = 0.01
columns = [{{ label = "n", dtype = "i8" }}]

[[jobs]]
group = "b/deep"
getter = "counting:Counter"
args = {{}}
read_mode = "constant"
columns = [{{ label = "n", dtype = "i8" }}]

[[jobs]]
group = "broken"
getter = "nowhere:read"
columns = [{{ label = "x" }}]
"""

COUNTER = """
import itertools, time

class Counter:
    def __init__(self):
        self.count = itertools.count()

    def __call__(self):
        time.sleep(0.002)
        return next(self.count)
"""


@pytest.fixture
def hand(tmp_path):
    """A configuration whose processes meet on tcp."""
    (tmp_path / "counting.py").write_text(COUNTER)
    path = tmp_path / "hand.toml"
    path.write_text(HAND.format(*(free_port() for _ in range(3))))
    return path


@pytest.fixture
def rows(data):
    """`rows(group)`: how many rows of this run are committed; 0 while nobody answers."""

    def count(group):
        try:
            with h5daq.connect(directory=data) as client:
                status = client.request("status", timeout=1.0)
            return status["jobs"].get(group, {}).get("rows", 0)
        except h5daq.H5daqError:
            return 0

    return count


def numbers(paths, group):
    """The numbers of a job over all files of a run, or of several."""
    found = []
    for path in paths:
        with h5py.File(path) as file:
            if group in file:
                found.append(file[group]["n"][:])
    return np.concatenate(found)


def whole(values):
    return len(values) > 0 and np.array_equal(values, np.arange(len(values)))


def test_a_writer_and_two_workers_started_by_hand_record_every_row(
    start, hand, data, rows, wait_until
):
    first = start("worker", hand, "--job", "a")  # the order does not matter
    writer = start("writer", hand)
    second = start("worker", hand, "--job", "/b/deep")
    wait_until(lambda: rows("a") > 30 and rows("b/deep") > 30)
    with h5daq.connect(directory=data) as client:  # each compares its clock with the writer's
        wait_until(lambda: list(client.status()["clocks"]) == [socket.gethostname()])
    assert first.end(signal.SIGTERM) == cli.DONE, first.err
    wait_until(lambda: rows("b/deep") > 60)
    assert writer.end(signal.SIGINT) == cli.DONE, writer.err
    assert second.end() == cli.DONE, second.err  # the writer has told it to stop
    (path,) = data.glob("*.hdf5")
    assert f"stopped: {path}" in writer.out
    assert whole(numbers([path], "a"))
    assert whole(numbers([path], "b/deep"))


def test_a_killed_writer_started_again_seals_the_run_and_the_workers_go_on(
    start, hand, data, rows, wait_until
):
    workers = [start("worker", hand, "--job", group) for group in ("a", "b/deep")]
    writer = start("writer", hand)
    wait_until(lambda: rows("a") > 30 and rows("b/deep") > 30)
    writer.end(signal.SIGKILL)
    again = start("writer", hand)
    again.until_said("recording into")
    (interrupted,) = [path for path in data.glob("*.hdf5") if str(path) in again.out]
    wait_until(lambda: rows("a") > 30 and rows("b/deep") > 30, what="the workers' going on")
    assert again.end(signal.SIGTERM) == cli.DONE, again.err
    assert [worker.end() for worker in workers] == [cli.DONE, cli.DONE]
    paths = sorted(data.glob("*.hdf5"))
    assert len(paths) == 2
    with h5py.File(interrupted) as file:
        assert file.attrs["interrupted"] == 1
    assert whole(numbers(paths, "a"))
    assert whole(numbers(paths, "b/deep"))


def test_a_worker_drains_before_it_ends(start, hand, data, rows, wait_until):
    writer = start("writer", hand)
    worker = start("worker", hand, "--job", "a")
    wait_until(lambda: rows("a") > 10)
    os.kill(writer.process.pid, signal.SIGSTOP)
    worker.process.send_signal(signal.SIGTERM)
    os.kill(writer.process.pid, signal.SIGCONT)
    assert worker.end() == cli.DONE, worker.err
    assert writer.end(signal.SIGTERM) == cli.DONE, writer.err
    assert whole(numbers(data.glob("*.hdf5"), "a"))


def test_the_log_goes_where_the_configuration_says(start, hand, tmp_path, wait_until):
    hand.write_text(hand.read_text() + '\n[logging]\nfile = "h5daq.log"\nconsole = false\n')
    writer = start("writer", hand)
    worker = start("worker", hand, "--job", "a")
    wait_until(lambda: list((tmp_path / "data").glob("*.hdf5")))
    writer.end(signal.SIGTERM)
    worker.end()
    assert "sealed" in (tmp_path / "h5daq.log").read_text()
    assert "sealed" not in writer.err


def test_a_second_writer_is_refused_with_the_first_one_named(start, command, hand):
    writer = start("writer", hand)
    writer.until_said("recording into")
    second = command("writer", hand)
    assert second.code == cli.FAILED
    assert f"process {writer.process.pid}" in second.err
    assert writer.process.poll() is None


def test_a_port_in_use_is_named_with_its_mend(command, hand):
    port = int(hand.read_text().split("127.0.0.1:")[1].split('"')[0])
    with socket.create_server(("127.0.0.1", port)):
        refused = command("writer", hand)
    assert refused.code == cli.WRONG
    assert f"tcp://127.0.0.1:{port}" in refused.err
    assert "another program" in refused.err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--job", "c"], "there are: a, b/deep, broken"),
        (["--job", "a", "--host", "pi1"], "not on pi1"),
        (["--job", "broken"], "nowhere"),
        ([], "--job"),
    ],
)
def test_a_worker_that_can_not_be_is_wrong_usage(command, hand, words, told):
    wrong = command("worker", hand, *words)
    assert wrong.code == cli.WRONG
    assert told in wrong.err
    assert "Traceback" not in wrong.err


@pytest.mark.parametrize("words", [["writer"], ["worker", "--job", "room"]])
def test_without_endpoints_the_keys_are_named(command, lab, words):
    name, *options = words
    wrong = command(name, lab, *options)
    assert wrong.code == cli.WRONG
    assert "[writer] has no data, requests, signals" in wrong.err


def test_tcp_without_keys_must_be_wanted(command, hand, data):
    hand.write_text(hand.read_text().replace("insecure = true", ""))
    wrong = command("writer", hand)
    assert wrong.code == cli.WRONG
    assert "insecure" in wrong.err
    assert not data.exists()


@pytest.mark.parametrize(
    ("bound", "host", "reached"),
    [
        ("tcp://*:5572", "daq0", "tcp://daq0:5572"),
        ("tcp://*:5572", None, "tcp://127.0.0.1:5572"),
        ("tcp://10.0.0.7:5572", "daq0", "tcp://10.0.0.7:5572"),
        ("ipc:///run/h5daq/data", "daq0", "ipc:///run/h5daq/data"),
    ],
)
def test_a_worker_connects_to_where_the_writer_is(bound, host, reached):
    from h5daq.daemon.described import reachable

    assert reachable(bound, host) == reached


def test_status_finds_a_writer_by_its_directory_and_by_its_address(start, command, hand, data):
    start("writer", hand).until_said("recording into")
    requests = json.loads((data / ".h5daq" / "endpoints.json").read_text())["requests"]
    for words in (["--directory", data], ["--connect", requests]):
        assert command("status", *words).code == cli.DONE
