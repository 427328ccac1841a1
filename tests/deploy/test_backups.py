"""What deploy/README.md says of back-ups, done: copies taken while a run goes on are whole."""

import os
import shutil
import signal
import subprocess

import h5py
import numpy as np
import pytest

import h5daq
from h5daq.files.recover import recover
from h5daq.files.verify import verify
from h5daq.storage.opening import open_for_reading

pytestmark = [
    pytest.mark.processes,
    pytest.mark.skipif(shutil.which("flock") is None, reason="needs flock(1)"),
]


class Counter:
    def __init__(self):
        self.count = -1

    def __call__(self):
        self.count += 1
        return self.count


@pytest.fixture
def daemon(tmp_path, wait_until):
    """A run that goes on, with rows in its file."""
    job = h5daq.DAQJob("tank", "n", Counter, 0.002, getter_args={}, dtype="i8")
    with h5daq.DAQDaemon(job, "lab", directory=tmp_path / "data", write_period=0.05) as running:
        wait_until(lambda: running.job_rows("tank") > 50)
        running.flush()
        yield running


def numbers(path):
    with h5py.File(path) as file:
        return file["tank/n"][:]


def test_a_file_that_is_copied_under_its_lock_is_whole(daemon, tmp_path):
    for turn in range(5):
        copy = tmp_path / f"copy-{turn}.hdf5"
        words = ["flock", "--shared", daemon.file_name, "cp", daemon.file_name, copy]
        subprocess.run(words, check=True)
        found = numbers(copy)
        assert np.array_equal(found, np.arange(len(found)))
        assert verify(copy).ok
        daemon.flush()


def test_a_directory_that_is_copied_as_it_stands_recovers_every_committed_row(daemon, tmp_path):
    # A writer that stands still leaves what one that was killed leaves; and a reader has kept
    # its last checkpoint out of the file, so that the log beside it matters.
    with open_for_reading(daemon.file_name, 60.0):
        daemon.flush()
        status = daemon.status()
        os.kill(status["writer"]["pid"], signal.SIGSTOP)
        try:
            shutil.copytree(tmp_path / "data", tmp_path / "copy")
        finally:
            os.kill(status["writer"]["pid"], signal.SIGCONT)
    (path,) = recover(tmp_path / "copy").sealed
    found = numbers(path)
    assert len(found) >= status["jobs"]["tank"]["rows"]
    assert np.array_equal(found, np.arange(len(found)))
