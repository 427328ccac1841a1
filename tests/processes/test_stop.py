"""Stopping, and starting again, when processes have died or files have been moved meanwhile."""

import itertools
import os
import signal
import threading
import time

import h5py
import numpy as np
import pytest

import h5daq

pytestmark = pytest.mark.processes


def counting_job(group="a"):
    count = itertools.count()
    return h5daq.DAQJob(group, "n", lambda: next(count), read_period=0.01)


def wait_until(holds, seconds=120.0):
    deadline, pause = time.monotonic() + seconds, threading.Event()
    while not holds():
        assert time.monotonic() < deadline
        pause.wait(0.02)


def rows(daemon, group="a"):
    try:
        return daemon.job_rows(group)
    except h5daq.H5daqError:
        return 0


def numbers(path, group="a"):
    with h5py.File(path) as file:
        return file[group]["n"][:].astype(int)


def test_a_worker_that_has_died_is_not_waited_for(tmp_path):
    jobs = [counting_job("a"), counting_job("b")]
    daemon = h5daq.DAQDaemon(jobs, directory=tmp_path, drain_timeout=600.0)
    daemon.start()
    wait_until(lambda: rows(daemon, "a") > 10 and rows(daemon, "b") > 10)
    os.kill(daemon.status()["jobs"]["b"]["pid"], signal.SIGKILL)
    daemon.stop()
    assert np.array_equal(numbers(daemon.file_name), np.arange(len(numbers(daemon.file_name))))
    assert len(numbers(daemon.file_name, "b")) >= 10


def test_a_writer_that_dies_before_the_stop_is_started_again_and_ends_the_run(tmp_path):
    daemon = h5daq.DAQDaemon(counting_job(), directory=tmp_path, drain_timeout=60.0)
    daemon.start()
    wait_until(lambda: rows(daemon) > 50)
    committed = daemon.job_rows("a")
    os.kill(daemon.status()["writer"]["pid"], signal.SIGKILL)
    daemon.stop()
    with h5py.File(daemon.file_name) as file:
        assert np.isfinite(file.attrs["run_end"])
        assert "interrupted" not in file.attrs
    found = numbers(daemon.file_name)
    assert np.array_equal(found, np.arange(len(found)))
    assert len(found) >= committed


def test_a_finished_file_that_was_moved_away_does_not_come_back(tmp_path):
    for _ in range(2):
        with h5daq.DAQDaemon(counting_job(), directory=tmp_path) as daemon:
            wait_until(lambda daemon=daemon: rows(daemon) > 10)
        (path,) = tmp_path.glob("*.hdf5")
        path.unlink()


def test_a_run_that_was_interrupted_is_ended_once_and_its_file_may_go_then(tmp_path):
    daemon = h5daq.DAQDaemon(counting_job(), directory=tmp_path, drain_timeout=0.1)
    daemon.start()
    wait_until(lambda: rows(daemon) > 10)
    daemon.flush()
    fleet, daemon._fleet = daemon._fleet, None
    fleet.abandon()
    with h5daq.DAQDaemon(counting_job("b"), directory=tmp_path) as second:
        wait_until(lambda: rows(second, "b") > 10)
        (first,) = [path for path in tmp_path.glob("*.hdf5") if str(path) != second.file_name]
    with h5py.File(first) as file:
        assert file.attrs["interrupted"] == 1
    first.unlink()
    with h5daq.DAQDaemon(counting_job("c"), directory=tmp_path) as third:
        wait_until(lambda: rows(third, "c") > 10)
    assert len(list(tmp_path.glob("*.hdf5"))) == 2
