"""Peers that stand still (SIGSTOP) in the midst of what they do hold up nobody else."""

import os
import signal
import subprocess
import sys

import h5py
import psutil
import pytest

import h5daq

pytestmark = pytest.mark.processes


def counting():
    state = {"n": -1}

    def count():
        state["n"] += 1
        return state["n"]

    return count


@pytest.fixture
def daemon(tmp_path, wait_until):
    ports = dict.fromkeys(("data", "requests", "signals"), "tcp://127.0.0.1:*")
    job = h5daq.DAQJob("j", "n", counting(), read_period=0.005, dtype="i8")
    with h5daq.DAQDaemon(job, directory=tmp_path, insecure=True, **ports) as running:
        wait_until(lambda: running.job_rows("j") > 10)
        yield running
    with h5py.File(running.file_name) as file:
        numbers = file["j/n"][:].tolist()
        assert numbers == list(range(len(numbers))) or "restart_times" in file["j"].attrs


def guest(kind, endpoint):
    words = [sys.executable, "-m", "benchmarks.fault_guest", kind, endpoint]
    return subprocess.Popen(words, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": ROOT})


ROOT = os.path.dirname(os.path.dirname(h5daq.__file__))


@pytest.mark.parametrize(("kind", "socket"), [("subscriber", "signals"), ("client", "requests")])
def test_a_guest_that_stands_still_holds_up_neither_writer_nor_workers(
    daemon, kind, socket, wait_until
):
    with guest(kind, daemon.endpoints[socket]) as process:
        assert process.stdout.readline()
        process.send_signal(signal.SIGSTOP)
        rows = daemon.job_rows("j")
        wait_until(lambda: daemon.job_rows("j") > rows + 200)
        daemon.flush()
        process.kill()


def test_while_the_nursery_stands_still_its_workers_read_on_and_the_dead_come_back_after_it(
    daemon, wait_until
):
    worker = psutil.Process(daemon.status()["jobs"]["j"]["pid"])
    nursery = worker.parent()
    nursery.suspend()
    try:
        rows = daemon.job_rows("j")
        wait_until(lambda: daemon.job_rows("j") > rows + 50)
        worker.kill()
    finally:
        nursery.resume()
    wait_until(lambda: daemon.status()["jobs"]["j"].get("restarts"))
    rows = daemon.job_rows("j")
    wait_until(lambda: daemon.job_rows("j") > rows + 20)
