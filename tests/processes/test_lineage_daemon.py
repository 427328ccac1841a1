"""What users of the public H5DAQ lineage know of its daemon, case by case, with real processes.

A script as they write it is run once, in Tokyo and over several rollovers; the tests look at
what it leaves. Cases that other tests prove:

- D3 tests/processes/test_daemon.py: test_wrong_arguments_are_refused_before_anything_starts
- D4 tests/flow/test_rollover.py: test_the_first_file_ends_at_the_next_whole_unit…,
  test_months_counted_one_by_one…, test_a_wrong_interval_is_a_key_error
- D5 tests/flow/test_rollover.py: test_names_carry_milliseconds…, test_a_file_ends_one_millisecond…;
  test_daemon: test_a_run_without_rows_leaves_no_file
- D8 test_daemon: test_a_rollover_by_the_calendar_splits_by_time_and_links_the_files;
  tests/flow/test_ledger.py for late rows
- D10 tests/test_logs.py
- D11 tests/flow/test_hold.py, test_worker: test_what_does_not_fit_is_given_up_oldest_first…
"""

import inspect
import json
import os
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import h5py
import numpy as np
import pytest

import h5daq
from h5daq.errors import ConfigError, JobTypeError

pytestmark = pytest.mark.processes

LINEAGE = (
    "job_list name write_period write_period_jitter directory file_format_str "
    "rollover_interval_dict compression_dict attrs"
)

SCRIPT = """
import threading
import time

import h5daq as sdaq

sdaq.setup_logging("INFO", False, "daq.log", "counts.json", "%(levelname)s %(message)s", None)
count = iter(range(10**9))


def read_pair():
    n = next(count)
    return [n, [[n, n], [n, n]]]


def read_many():
    now = time.time()
    return [[now, now + 1e-6], [1, 2]]


jobs = [
    sdaq.DAQJob("pair", ["n", "square"], read_pair, 0.02, "port", [(0,), (0, 2, 2)],
                ["int64", "f4"], 64, "schedule", 1, 2, None, False, 100, False, False,
                {"device": "X1"}),
    sdaq.DAQJob("door", "open", lambda: 1, 0.02, "port", (0,), "u1", 64, "schedule", 1, 2, None,
                True),
    sdaq.DAQJob("note", "text", lambda: "grüß", 0.5, None, (0,), str),
    sdaq.DAQJob("many", ["x"], read_many, 0.1, extend_mode=True),
    sdaq.DAQJob("shot", "n", lambda: 7, read_mode="trigger"),
]
daq = sdaq.DAQDaemon(jobs, "lineage", 1, 0.5, "data", "DAQ_{date_from}_{date_to}.hdf5",
                     {"seconds": 2}, {"compression": "gzip", "compression_opts": 6,
                                      "shuffle": True}, {"site": "lab"})
print(daq.start({"run": 12}))
print(daq.start())
print(daq.is_active, daq.status()["run"]["name"], daq.file_name is not None)
jobs[4].trigger_read()
pause, deadline = threading.Event(), time.monotonic() + 120
names = {daq.file_name}
while daq.job_rows("shot") < 1 or len(names) < 3:
    names.add(daq.file_name)
    assert time.monotonic() < deadline
    pause.wait(0.05)
print(jobs[0].peek()["n"] >= 0, jobs[0].is_active)
daq.set_write_period(2, 1)
daq.flush()
print(daq.stop())
daq.flush()
print(daq.is_active)
"""


def environment(**more):
    return {**os.environ, "PYTHONPATH": str(Path(h5daq.__file__).parents[1]), **more}


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """The folder in which the script was run, and what it printed."""
    folder = tmp_path_factory.mktemp("lineage")
    (folder / "script.py").write_text(SCRIPT, encoding="utf-8")
    done = subprocess.run([sys.executable, "script.py"], cwd=folder, capture_output=True, text=True,
                          env=environment(TZ="Asia/Tokyo"), timeout=280)  # fmt: skip
    assert done.returncode == 0, done.stderr
    return folder, done.stdout.splitlines()


def files_of(ran):
    return sorted((ran[0] / "data").glob("*.hdf5"))


def column(paths, name):
    parts = []
    for path in paths:
        with h5py.File(path) as file:
            parts += [file[name][:]] if name in file else []
    return np.concatenate(parts)


def stamp(path, k):
    text = path.stem.split("_")[k].replace("Z", "+0000")
    return datetime.strptime(text, "%Y%m%dT%H%M%S.%f%z").timestamp()


def test_d1_the_arguments_have_the_names_and_the_order_of_the_lineage():
    parameters = inspect.signature(h5daq.DAQDaemon).parameters.values()
    positional = [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
    assert positional == LINEAGE.split()


def test_d2_start_and_stop_tell_what_they_did(ran):
    start, again, state, reading, stop, end = ran[1]
    assert start.startswith("recording 5 jobs into ")
    assert again.startswith("already running")
    assert (state, reading, end) == ("True lineage True", "True True", "False")
    assert stop.startswith("stopped: ")
    assert all(str(path) in stop for path in files_of(ran))


def test_d2_attributes_of_the_run_are_added_to_those_of_the_daemon(ran):
    for path in files_of(ran):
        with h5py.File(path) as file:
            assert (file.attrs["site"], file.attrs["run"]) == ("lab", 12)


def test_d4_d5_names_are_utc_whatever_the_zone(ran):
    paths = files_of(ran)
    assert len(paths) >= 3
    assert abs(stamp(paths[-1], 2) - time.time()) < 600
    for path, after in pairwise(paths):
        assert stamp(path, 2) == pytest.approx(stamp(after, 1) - 0.001)
        assert stamp(after, 1) % 1 == 0


def test_d6_all_datasets_are_compressed_and_checked(ran):
    with h5py.File(files_of(ran)[0]) as file:
        for name in ("pair/time", "pair/n", "pair/square", "door/open"):
            data = file[name]
            assert (data.compression, data.compression_opts) == ("gzip", 6)
            assert data.shuffle
            assert data.fletcher32
            assert data.chunks[0] == 64


def test_d7_the_root_attributes_are_complete(ran):
    with h5py.File(files_of(ran)[-1]) as file:
        attrs = dict(file.attrs)
    assert (attrs["name"], attrs["write_period"], attrs["write_period_jitter"]) == (
        "lineage", 1, 0.5,
    )  # fmt: skip
    assert attrs["rollover_interval"] == "2 seconds"
    assert attrs["run_start"] < attrs["file_start"] < attrs["file_end"] <= attrs["run_end"]
    assert attrs["file_id"] != attrs["previous_file_id"] != 0
    assert attrs["following_file_id"] == 0


def test_d8_each_row_is_in_the_file_of_its_time_also_in_tokyo(ran):
    for path in files_of(ran):
        with h5py.File(path) as file:
            for group in [item for item in file.values() if isinstance(item, h5py.Group)]:
                times = group["time"][:]
                assert (times >= file.attrs["file_start"]).all()
                assert (times < file.attrs["file_end"]).all()
    numbers = column(files_of(ran), "pair/n")
    assert np.array_equal(numbers, np.arange(len(numbers)))


def taken(daemon, group):
    """Rows that the job's worker has, committed or held back or on their way."""
    job = daemon.status()["jobs"][group]
    return job["rows"] + job["held"]


def test_j10_a_rollover_brings_the_row_held_back_into_the_file_of_its_time(tmp_path, wait_until):
    values = iter([1, 1, 2])
    held = h5daq.DAQJob("held", "x", lambda: next(values), read_mode="trigger", compress=True)
    with h5daq.DAQDaemon(held, directory=tmp_path, rollover_interval_dict={"seconds": 5}) as daemon:
        wait_until(lambda: time.time() % 5 < 2)  # both readings before the end of a file
        end = stamp(Path(daemon.file_name), 2)
        held.trigger_read()
        held.trigger_read()
        # Nothing else is read: the second row comes since the first file comes to its end.
        wait_until(lambda: daemon.job_rows("held") == 2)
        wait_until(lambda: time.time() > end + 0.001)
        held.trigger_read()
        wait_until(lambda: taken(daemon, "held") == 3)
    paths = sorted(tmp_path.glob("*.hdf5"))
    assert [column([path], "held/x").tolist() for path in paths] == [[1, 1], [2]]
    assert (column(paths[:1], "held/time") <= end).all()


def test_j10_a_stop_brings_the_row_held_back(tmp_path, wait_until):
    calls = tmp_path / "calls"
    calls.touch()

    def read():
        with open(calls, "a") as file:
            file.write(f"{time.time()}\n")
        return 1

    held = h5daq.DAQJob("held", "x", read, 0.02, compress=True)
    with h5daq.DAQDaemon(held, directory=tmp_path) as daemon:
        wait_until(lambda: len(calls.read_text().splitlines()) > 20)
    times = column([daemon.file_name], "held/time")
    called = [float(line) for line in calls.read_text().splitlines()]
    assert len(times) < len(called)
    assert called[-2] < times[-1] <= called[-1]  # that of the last reading


def test_j2_j11_j12_shapes_extended_rows_and_texts_are_in_the_file(ran):
    paths = files_of(ran)
    numbers, squares = column(paths, "pair/n"), column(paths, "pair/square")
    assert np.array_equal(squares, np.broadcast_to(numbers[:, None, None], (len(numbers), 2, 2)))
    assert column(paths, "many/x")[:4].tolist() == [1, 2, 1, 2]
    assert column(paths, "shot/n").tolist() == [7]
    assert set(column(paths, "note/text")) == {"grüß".encode()}
    with h5py.File(paths[0]) as file:
        assert file["pair"].attrs["device"] == "X1"
        assert h5py.check_string_dtype(file["note/text"].dtype).length is None


def test_j8_jobs_of_one_thread_id_never_read_at_the_same_time(tmp_path, wait_until):
    def read():
        begun = time.monotonic()
        threading.Event().wait(0.01)  # an exchange with the instrument takes its time
        return begun, time.monotonic()

    jobs = [
        h5daq.DAQJob(name, ["begin", "end"], read, 0.01, "port", lock_timeout=20) for name in "abc"
    ]
    with h5daq.DAQDaemon(jobs, directory=tmp_path) as daemon:
        wait_until(lambda: min(daemon.job_rows(name) for name in "abc") >= 10)
    spans = sorted(span for name in "abc" for span in spans_of(daemon.file_name, name))
    assert all(one[1] <= other[0] for one, other in pairwise(spans))


def spans_of(path, job):
    return list(zip(column([path], f"{job}/begin"), column([path], f"{job}/end"), strict=True))


def test_d9_a_flush_without_a_run_has_nothing_to_write(tmp_path):
    daemon = h5daq.DAQDaemon(h5daq.DAQJob("a", "b", lambda: 1), directory=tmp_path / "new")
    daemon.flush()
    assert not daemon.is_active
    assert daemon.file_name is None
    assert daemon.write_period == 60


def test_d10_messages_are_in_the_file_and_counted(ran):
    text = (ran[0] / "daq.log").read_text()
    assert "INFO recording 5 jobs into" in text
    assert json.loads((ran[0] / "counts.json").read_text())


@pytest.mark.parametrize(
    ("wrong", "error", "said"),
    [
        ({"compression_dict": {"compression": "gzp"}}, ConfigError, "gzp"),
        ({"compression_dict": {"compresion": "gzip"}}, KeyError, "compression_opts"),
        ({"compression_dict": "gzip"}, ConfigError, "dict"),
        ({"durability": "sync"}, ConfigError, "fsync"),
        ({"rollover_interval_dict": {}}, KeyError, "exactly one"),
        ({"rollover_interval_dict": 3}, KeyError, "exactly one"),
        ({"write_period": "1 s"}, ConfigError, "write_period"),
        ({"name": 3}, ConfigError, "name"),
        ({"name": "a//b"}, ConfigError, "name"),
        ({"attrs": {"x": {}}}, JobTypeError, "'x' is dict"),
        ({"rollover_size": "16 GiB"}, ConfigError, "bytes"),
        ({"drain_timeout": -1}, ConfigError, "at least 0"),
        ({"log_level": "LOUD"}, ConfigError, "LOUD"),
        ({"job_list": len}, JobTypeError, "DAQJob"),
    ],
    ids=str,
)
def test_d1_a_wrong_argument_is_named_before_anything_starts(tmp_path, wrong, error, said):
    job = h5daq.DAQJob("a", "b", lambda: 1)
    with pytest.raises(error, match=said):
        h5daq.DAQDaemon(**{"job_list": job, "directory": tmp_path, **wrong})
    assert list(tmp_path.iterdir()) == []


def test_d2_attributes_may_be_numpys(tmp_path, wait_until):
    job = h5daq.DAQJob("a", "b", lambda: 1, 0.02)
    with h5daq.DAQDaemon(job, directory=tmp_path, attrs={"gain": np.float32(2)}) as daemon:
        wait_until(lambda: daemon.job_rows("a"))
    with h5py.File(daemon.file_name) as file:
        assert file.attrs["gain"] == 2.0
        assert file.attrs["run_start"] < datetime.now(UTC).timestamp()
