"""The account of a run's rows: each that was read is committed, held or lost, and none twice."""

import os
import shutil
import signal
import tempfile
import threading
from pathlib import Path

import h5py
import pytest

import h5daq
from h5daq.jobs.starter import WorkerStarter
from h5daq.testing.writer import PlayedWriter
from h5daq.worker import WorkerSpec

pytestmark = pytest.mark.processes


class Troubled:
    """Counts its calls; some raise, some give a row of another shape."""

    def __init__(self, directory):
        self._count = Path(directory, "count")

    def __call__(self):
        number = int(self._count.read_text()) if self._count.exists() else 0
        self._count.with_suffix(".new").write_text(str(number + 1))
        self._count.with_suffix(".new").replace(self._count)
        if number % 10 == 3:
            raise OSError("the instrument does not answer")
        return ([0.0] * 7 if number % 10 == 6 else [float(number)] * 500,)


def troubled_job(directory, **more):
    return h5daq.DAQJob("tank", "wave", Troubled, getter_args={"directory": str(directory)},
                        shape=(0, 500), **{"read_period": 0.002, **more})  # fmt: skip


def called(directory):
    count = directory / "count"
    return int(count.read_text()) if count.exists() else 0


def tank(daemon):
    job = daemon.status()["jobs"]["tank"]
    assert job["in_file"] <= job["rows"] <= job["produced"]
    return job


def rest(daemon, directory, wait_until):
    """The job's state when all that it has read has arrived."""
    daemon.job_command("tank", "pause")
    wait_until(lambda: tank(daemon)["state"] == "paused")
    wait_until(lambda: tank(daemon)["held"] == 0 and balanced(tank(daemon), directory))
    daemon.flush()
    return tank(daemon)


def balanced(job, directory):
    return job["produced"] == called(directory) == job["rows"] + sum(job["lost"].values())


def hold_up(daemon, directory, wait_until):
    """Stop the writer for 200 readings."""
    pid, before = daemon.status()["writer"]["pid"], called(directory)
    os.kill(pid, signal.SIGSTOP)
    try:
        wait_until(lambda: called(directory) > before + 200)
    finally:
        os.kill(pid, signal.SIGCONT)


@pytest.mark.parametrize("overflow", ["spool", "drop-oldest"])
def test_each_reading_is_committed_or_lost_by_a_cause_that_is_told(tmp_path, overflow, wait_until):
    job = troubled_job(tmp_path, buffer_bytes=100_000, overflow=overflow)
    with h5daq.DAQDaemon(job, directory=tmp_path / "data", window_bytes=1 << 18) as daemon:
        wait_until(lambda: tank(daemon)["rows"] > 30)
        hold_up(daemon, tmp_path, wait_until)
        asked = rest(daemon, tmp_path, wait_until)
        assert asked["in_file"] == asked["rows"]
        assert asked["refused"] == asked["spooled"] == 0
        assert {"getter", "shape"} <= set(asked["lost"])
        assert ("overflow" in asked["lost"]) is (overflow != "spool")


def test_a_restart_keeps_the_account_of_the_worker_before(tmp_path, wait_until):
    with h5daq.DAQDaemon(troubled_job(tmp_path), directory=tmp_path / "data") as daemon:
        wait_until(lambda: tank(daemon)["rows"] > 30)
        first = rest(daemon, tmp_path, wait_until)
        os.kill(first["pid"], signal.SIGKILL)
        wait_until(lambda: tank(daemon)["restarts"] == 1 and tank(daemon)["pid"] != first["pid"])
        wait_until(lambda: tank(daemon)["rows"] > first["rows"] + 30)
        second = rest(daemon, tmp_path, wait_until)
    assert second["produced"] > first["produced"]
    assert second["lost"]["getter"] > first["lost"]["getter"]


def test_a_worker_says_what_it_has_spooled_and_what_those_before_it_left(
    tmp_path, monkeypatch, wait_until
):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    place = Path(tempfile.mkdtemp())
    writer, job = PlayedWriter(place), troubled_job(tmp_path, buffer_bytes=100_000)
    writer.full = True
    spec = WorkerSpec(job, writer.data, writer.signals, "run", home="data", drain_timeout=0.2)

    def told(**least):
        newest = writer.statuses[-1] if writer.statuses else {}
        return all(newest.get(name, 0) >= n for name, n in least.items()) and newest

    try:
        with WorkerStarter() as starter:
            first = starter.start(spec.to_bytes())
            assert writer.serve(lambda: told(held=100, spooled=50, spooled_bytes=200_000))
            assert told()["end"] == told()["held"] >= told()["spooled"]
            first.send("stop")
            assert writer.serve(lambda: first.poll() is not None)
            left = told()["end"]
            writer.statuses.clear()
            second = starter.start(spec.to_bytes())
            assert writer.serve(lambda: told(earlier=left, spooled=left, end=1))
            writer.full = False
            assert writer.serve(lambda: told() and told()["earlier"] == 0 == told()["spooled"])
            second.kill()
            second.wait(60.0)
            first.close()
            second.close()
    finally:
        writer.close()
        shutil.rmtree(place)


class Doomed:
    """Counts its calls, and is killed in the one with number `last`; then has nothing to say."""

    def __init__(self, directory, last):
        self._mark, self._last, self._n = Path(directory, "died"), last, 0
        self._dead, self._pause = self._mark.exists(), threading.Event()

    def __call__(self):
        if self._dead:
            return None
        self._n += 1
        self._pause.wait(0.001)
        if self._n == self._last:
            self._mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return self._n


def doomed_job(directory, mode):
    (directory / mode).mkdir()
    # Nothing leaves the buffer before the end: what was in it is known to the row.
    return h5daq.DAQJob(mode, "n", Doomed, dtype="int64", read_mode=mode, read_period=0.001,
                        getter_args={"directory": str(directory / mode), "last": 40},
                        spool="never", batch_interval=3600.0)  # fmt: skip


def test_each_row_in_the_memory_of_a_killed_worker_is_counted(tmp_path, wait_until):
    jobs = [doomed_job(tmp_path, mode) for mode in ("schedule", "constant")]

    def lost(daemon):
        return [job.get("lost") for job in daemon.status()["jobs"].values()]

    with h5daq.DAQDaemon(jobs, directory=tmp_path / "data") as daemon:
        wait_until(lambda: lost(daemon) == [{"killed": 39}] * 2)
    for path in (tmp_path / "data").glob("*.hdf5"):
        with h5py.File(path) as file:
            assert [file[mode].attrs["lost_killed"] for mode in ("schedule", "constant")] == [
                39
            ] * 2
