"""A whole run with real processes: rows from getters in a file that plain h5py reads."""

import itertools
import os
import signal
import threading
import time
from pathlib import Path

import h5py
import numpy as np
import pytest

import h5daq
from h5daq.errors import ConfigError, FileBusy, JobTypeError

pytestmark = pytest.mark.processes


def wait_until(holds, seconds=120.0, what="it"):
    """Look until `holds()` is true; fail after a deadline."""
    deadline = time.monotonic() + seconds
    pause = threading.Event()
    while not holds():
        assert time.monotonic() < deadline, f"{what} did not happen within {seconds} s"
        pause.wait(0.02)


def counter(label="n"):
    """A getter that counts, so that a lost or doubled row shows."""
    count = iter(range(10**9))
    return lambda: next(count)


def counts(path, group, label="n"):
    with h5py.File(path) as file:
        return file[group][label][:].astype(int)


def whole(values):
    """Every number from 0 on, once, in order."""
    return len(values) > 0 and np.array_equal(values, np.arange(len(values)))


def test_two_jobs_are_recorded_and_the_file_gets_its_last_name(tmp_path):
    jobs = [
        h5daq.DAQJob("tank", ["T", "p"], lambda: (20.5, 1.0), read_period=0.02, units=["K", "bar"]),
        h5daq.DAQJob("count/fast", "n", counter(), read_period=0.01),
    ]
    with h5daq.DAQDaemon(jobs, name="run-1", directory=tmp_path, attrs={"who": "me"}) as daemon:
        wait_until(lambda: daemon.job_rows("count/fast") > 50)
    (path,) = tmp_path.glob("*.hdf5")
    assert str(path) == daemon.file_name
    assert whole(counts(path, "count/fast"))
    with h5py.File(path) as file:
        assert file.attrs["who"] == "me"
        assert np.isfinite(file.attrs["run_end"])
        assert file["tank/T"].attrs["units"] == "K"
        assert len(file["tank/T"]) == len(file["tank/time"]) == len(file["tank/p"])
        assert abs(file["tank/time"][0] - time.time()) < 120


def test_a_flush_brings_committed_rows_into_the_file_while_the_run_goes_on(tmp_path):
    job = h5daq.DAQJob("a", "n", counter(), read_period=0.01)
    with h5daq.DAQDaemon(job, directory=tmp_path) as daemon:
        wait_until(lambda: daemon.job_rows("a") >= 20)
        daemon.flush()
        assert len(counts(daemon.file_name, "a")) >= 20


@pytest.mark.parametrize("victim", ["writer", "worker"])
def test_kill_9_loses_no_committed_row_and_the_run_goes_on(tmp_path, victim):
    job = h5daq.DAQJob("a", "n", counter(), read_period=0.005)
    with h5daq.DAQDaemon(job, directory=tmp_path, write_period=0.2) as daemon:
        wait_until(lambda: daemon.job_rows("a") > 100)
        status = daemon.status()
        committed = status["jobs"]["a"]["rows"]
        pid = status["writer"]["pid"] if victim == "writer" else status["jobs"]["a"]["pid"]
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: rows_of(daemon, "a") > committed + 100)
    numbers = counts(daemon.file_name, "a")
    if victim == "writer":
        assert whole(numbers)
    else:
        (again,) = np.flatnonzero(np.diff(numbers) < 0)
        assert whole(numbers[: again + 1])
        assert whole(numbers[again + 1 :])
        assert again + 1 >= committed


def rows_of(daemon, group):
    try:
        return daemon.job_rows(group)
    except h5daq.H5daqError:
        return 0


def test_a_daemon_that_is_killed_leaves_every_committed_row(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "import h5daq, itertools, time\n"
        "count = itertools.count()\n"
        "job = h5daq.DAQJob('a', 'n', lambda: next(count), read_period=0.005)\n"
        f"daemon = h5daq.DAQDaemon(job, directory={str(tmp_path / 'data')!r}, drain_timeout=5)\n"
        "daemon.start()\n"
        "print('started', flush=True)\n"
        "while True:\n"
        "    print(daemon.job_rows('a'), flush=True)\n"
        "    time.sleep(0.05)\n"
    )
    process = start_script(script)
    committed = 0
    for line in process.stdout:
        committed = int(line) if line.strip().isdigit() else 0
        if committed > 100:
            break
    process.kill()
    process.wait()
    process.stdout.close()
    lock = tmp_path / "data" / ".h5daq" / "endpoints.json"
    wait_until(lambda: not lock.exists(), what="the writer's end after its daemon's death")
    (path,) = (tmp_path / "data").glob("*.hdf5")
    numbers = counts(path, "a")
    assert whole(numbers)
    assert len(numbers) >= committed


def start_script(script):
    import subprocess
    import sys

    root = str(Path(h5daq.__file__).parents[1])
    return subprocess.Popen(
        [sys.executable, str(script)], stdout=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": root},
    )  # fmt: skip


def test_a_second_daemon_on_the_directory_is_refused_with_the_holder_named(tmp_path):
    first = h5daq.DAQDaemon(h5daq.DAQJob("a", "n", counter()), directory=tmp_path)
    second = h5daq.DAQDaemon(h5daq.DAQJob("b", "n", counter()), directory=tmp_path)
    with first:
        with pytest.raises(FileBusy, match=str(first.status()["writer"]["pid"])):
            second.start()
        assert first.is_active
    second.start()
    second.stop()


def test_a_second_start_is_a_no_op_with_a_message(tmp_path):
    with h5daq.DAQDaemon(h5daq.DAQJob("a", "n", counter()), directory=tmp_path) as daemon:
        assert "already running" in daemon.start()
    assert daemon.stop() == "not running"


def test_bad_getters_cost_no_row_of_another_job(tmp_path):
    def raises():
        raise OSError("the instrument is off")

    jobs = [
        h5daq.DAQJob("good", "n", counter(), read_period=0.01),
        h5daq.DAQJob("raises", "x", raises, read_period=0.01),
        h5daq.DAQJob("short", ["x", "y"], lambda: [1.0], read_period=0.01),
        h5daq.DAQJob("shape", "x", lambda: [np.zeros(3)], read_period=0.01, shape=(0, 2)),
        h5daq.DAQJob("text", "x", lambda: ["abc"], read_period=0.01),
        h5daq.DAQJob("none", "x", lambda: None, read_period=0.01),
        h5daq.DAQJob("nan", "x", lambda: float("nan"), read_period=0.01),
    ]
    with h5daq.DAQDaemon(jobs, directory=tmp_path) as daemon:
        wait_until(lambda: daemon.job_rows("good") > 150)
        wait_until(lambda: all(lost(daemon, name) for name in ("raises", "short", "shape", "text")))
        assert not lost(daemon, "none")
    assert whole(counts(daemon.file_name, "good"))
    with h5py.File(daemon.file_name) as file:
        assert np.isnan(file["nan/x"][:]).all()
        assert len(file["nan/x"]) > 0


def lost(daemon, group):
    return sum(daemon.status()["jobs"].get(group, {}).get("lost", {}).values())


def test_an_error_handler_is_called_in_the_scripts_own_process(tmp_path):
    called = threading.Event()

    def fails():
        raise ValueError("no")

    job = h5daq.DAQJob("bad", "x", fails, read_period=0.01, error_count_limit=2,
                       handle_error_function=called.set)  # fmt: skip
    with h5daq.DAQDaemon(job, directory=tmp_path):
        assert called.wait(120)


def test_a_trigger_takes_as_many_readings_as_asked(tmp_path):
    job = h5daq.DAQJob("cam", "n", counter(), read_mode="trigger")
    with h5daq.DAQDaemon(job, directory=tmp_path) as daemon:
        for _ in range(5):
            job.trigger_read()
        wait_until(lambda: daemon.job_rows("cam") == 5)
        wait_until(lambda: job.peek() is not None)
    assert whole(counts(daemon.file_name, "cam"))


def test_pause_and_resume_keep_the_numbering_whole(tmp_path):
    job = h5daq.DAQJob("a", "n", counter(), read_period=0.01)
    with h5daq.DAQDaemon(job, directory=tmp_path) as daemon:
        wait_until(lambda: daemon.job_rows("a") > 10)
        job.stop()
        wait_until(lambda: daemon.status()["jobs"]["a"]["state"] == "paused")
        wait_until(lambda: daemon.status()["jobs"]["a"]["held"] == 0)
        paused = daemon.job_rows("a")
        job.start()
        wait_until(lambda: daemon.job_rows("a") > paused + 10)
    assert whole(counts(daemon.file_name, "a"))


def test_a_rollover_by_the_calendar_splits_by_time_and_links_the_files(tmp_path):
    job = h5daq.DAQJob("a", "n", counter(), read_period=0.01)
    with h5daq.DAQDaemon(job, directory=tmp_path, rollover_interval_dict={"seconds": 1}):
        wait_until(lambda: len(list(tmp_path.glob("*.hdf5"))) >= 3)
    numbers, ids = [], []
    for path in sorted(tmp_path.glob("*.hdf5")):
        with h5py.File(path) as file:
            numbers += list(file["a/n"][:].astype(int))
            ids.append(
                [int(file.attrs[k]) for k in ("previous_file_id", "file_id", "following_file_id")]
            )
            times = file["a/time"][:]
            assert (times >= file.attrs["file_start"]).all()
            assert (times < file.attrs["file_end"]).all()
    assert whole(np.array(numbers))
    assert ids[0][0] == 0
    assert ids[-1][2] == 0
    assert all(a[2] == b[1] and b[0] == a[1] for a, b in itertools.pairwise(ids))


def test_a_rollover_by_size_keeps_every_row(tmp_path):
    block, count = np.zeros(4096), counter()

    def numbered():
        return count(), block

    job = h5daq.DAQJob("a", ["n", "wave"], numbered, read_period=0.005,
                       shape=[(0,), (0, 4096)])  # fmt: skip
    with h5daq.DAQDaemon(job, directory=tmp_path, rollover_size=1 << 20) as daemon:
        wait_until(lambda: daemon.job_rows("a") > 120)
    paths = sorted(tmp_path.glob("*.hdf5"))
    assert len(paths) >= 3
    assert whole(np.concatenate([counts(path, "a") for path in paths]))


def test_a_run_without_rows_leaves_no_file(tmp_path):
    job = h5daq.DAQJob("a", "n", lambda: None, read_period=0.01)
    with h5daq.DAQDaemon(job, directory=tmp_path):
        pass
    assert list(tmp_path.glob("*.hdf5")) == []


def test_signals_come_after_the_commit_and_the_last_is_never_left_out(tmp_path):
    job = h5daq.DAQJob("deep/er", "n", counter(), read_mode="trigger")
    kinds = ["heartbeat", "new-dir", "new-dataset", "data-available"]
    told, totals = [], []
    with (
        h5daq.DAQDaemon(job, name="r", directory=tmp_path, signal_rate=1.0) as daemon,
        h5daq.subscribe(daemon.endpoints["signals"], kinds, timeout=120) as signals,
    ):
        next(s for s in signals if s.kind == "heartbeat")  # the subscription has arrived
        job.trigger_read()
        for signal in signals:
            told.append((signal.kind, signal.path, signal.payload.get("name")))
            if signal.kind == "data-available":
                break
        for _ in range(30):
            job.trigger_read()
        for signal in (s for s in signals if s.kind == "data-available"):
            totals.append(signal.payload["total"])
            if totals[-1] == 31:
                break
    assert [t for t in told if t[0] != "heartbeat"] == [
        ("new-dir", "", "r"),
        ("new-dir", "r", "deep"),
        ("new-dataset", "r/deep", "er"),
        ("data-available", "r/deep/er", None),
    ]
    assert len(totals) < 30


@pytest.mark.parametrize("durability", ["fsync", "os", "none"])
def test_every_durability_records_all_rows(tmp_path, durability):
    job = h5daq.DAQJob("a", "n", counter(), read_mode="constant")
    with h5daq.DAQDaemon(job, directory=tmp_path, durability=durability) as daemon:
        wait_until(lambda: daemon.job_rows("a") > 50_000)
    assert whole(counts(daemon.file_name, "a"))


def test_wrong_arguments_are_refused_before_anything_starts(tmp_path):
    job = h5daq.DAQJob("a", "n", counter())
    for wrong, error in (
        ({"job_list": []}, ConfigError),
        ({"job_list": [1]}, JobTypeError),
        ({"job_list": [job, h5daq.DAQJob("a", "m", counter())]}, ConfigError),
        ({"write_period": 5, "write_period_jitter": 5}, ConfigError),
        ({"file_format_str": "same.hdf5"}, KeyError),
        ({"rollover_interval_dict": {"fortnights": 1}}, KeyError),
        ({"data": "tcp://127.0.0.1:0"}, ConfigError),
    ):
        arguments = {"job_list": [job], "directory": tmp_path, **wrong}
        with pytest.raises(error):
            h5daq.DAQDaemon(**arguments)
    assert list(tmp_path.iterdir()) == []
