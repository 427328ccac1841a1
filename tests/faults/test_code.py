"""Whatever a getter does to its process: the cause is said, its rows are kept, the others go on."""

import ctypes
import itertools
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from functools import partial
from pathlib import Path

import h5py
import numpy as np
import pytest

import h5daq
from h5daq.daemon import fleet
from h5daq.worker import WorkerSpec

pytestmark = pytest.mark.processes

ROWS = 12
PERIOD = 0.03
IN_VAIN = 4
"""Readings without a row: a late row goes into a batch with the reading after the next."""


def then(fault):
    """A getter that gives some rows, and once they have left it does what it must not."""
    calls = itertools.count()

    def read():
        n = next(calls)
        if ROWS <= n < ROWS + IN_VAIN:
            return None
        if n >= ROWS:
            fault()
        return n if n < ROWS else n - IN_VAIN

    return read


def job(name, fault, **more):
    return h5daq.DAQJob(name, "n", then(fault), PERIOD, **more)


@pytest.fixture
def good():
    """The job that must not lose a row."""
    numbers = itertools.count()
    return h5daq.DAQJob("good", "n", lambda: next(numbers), read_period=0.01)


def state(daemon, group):
    return daemon.status()["jobs"].get(group, {})


def rows_of(daemon, group):
    return state(daemon, group).get("rows", 0)


def rows(daemon, group):
    with h5py.File(daemon.file_name) as file:
        return file[group]["n"][:]


def is_whole(daemon):
    values = rows(daemon, "good")
    return len(values) > 0 and np.array_equal(values, np.arange(len(values)))


def lives(values):
    """The rows of each worker of a job: each of them counts from 0."""
    return np.split(values, np.flatnonzero(values == 0)[1:])


# -- what ends the process ----------------------------------------------------------------------


ENDS = {
    "segv": (lambda: ctypes.string_at(0), r"SIGSEGV\) in its getter, in string_at .*called by"),
    "abort": (os.abort, r"SIGABRT\) in its getter, in read \(.*test_code.py:\d+\)"),
    "three": (lambda: os._exit(3), r"exited with code 3 in its getter: by os._exit"),
    "zero": (lambda: os._exit(0), r"exited with code 0 in its getter: by os._exit"),
    "closes": (lambda: os.closerange(3, 256), r"closed file descriptors that are not its own"),
    "alarm": (lambda: os.kill(os.getpid(), signal.SIGALRM), r"signal 14 \(SIGALRM\)"),
}


def test_a_getter_that_ends_its_process_is_named_and_no_row_before_it_is_lost(
    good, tmp_path, wait_until
):
    jobs = [job(name, fault, spool="always") for name, (fault, _) in ENDS.items()]
    with h5daq.DAQDaemon([good, *jobs], directory=tmp_path) as daemon:
        for name, (_, cause) in ENDS.items():
            wait_until(lambda n=name: state(daemon, n).get("restarts", 0) > 1, what=name)
            assert re_found(cause, state(daemon, name)["last_death"]), name
            # What a dead worker has left comes with one that lives long enough, before its own.
            wait_until(lambda n=name: rows_of(daemon, n) > ROWS, what=name)
    assert is_whole(daemon)
    for name, (_, cause) in ENDS.items():
        *dead, _ = lives(rows(daemon, name))
        assert dead
        assert all(np.array_equal(life, np.arange(ROWS)) for life in dead), name
        with h5py.File(daemon.file_name) as file:
            assert re_found(cause, file[name].attrs["restart_causes"][0])


def re_found(pattern, text):
    assert re.search(pattern, text), text
    return True


def test_one_that_dies_again_and_again_is_given_up_and_status_says_why(good, tmp_path, wait_until):
    bad = job("dies", lambda: os._exit(4))
    with h5daq.DAQDaemon([good, bad], directory=tmp_path) as daemon:
        child = daemon._fleet.workers[1]
        child._backoff._limit = 1
        wait_until(lambda: state(daemon, "dies").get("state") == "given up")
        with h5daq.connect(directory=tmp_path) as client:
            # The writer, which others ask, learns it from the daemon.
            told = wait_until(lambda: _told(client, "dies", "given up"))
        assert "code 4" in told["message"]
    assert is_whole(daemon)


def _told(client, group, wanted):
    told = client.request("status")["jobs"][group]
    return told if told["state"] == wanted else None


# -- what it raises -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def raised(tmp_path_factory, wait_until):
    """The file of a run whose getters raise what is no error."""

    def thrower(kind):
        def throw():
            raise kind

        return throw

    jobs = [job(kind.__name__, thrower(kind)) for kind in RAISED]
    with h5daq.DAQDaemon(jobs, directory=tmp_path_factory.mktemp("raised")) as daemon:
        wait_until(lambda: all(state(daemon, j.group).get("lost") for j in jobs))
        states = daemon.status()["jobs"]
    return daemon, states


RAISED = [KeyboardInterrupt, SystemExit, MemoryError, GeneratorExit, RecursionError]


@pytest.mark.parametrize("kind", RAISED)
def test_what_is_raised_costs_a_reading_and_no_worker(raised, kind):
    daemon, states = raised
    told = states[kind.__name__]
    assert told["lost"]["getter"] >= 1
    assert kind.__name__ in told["message"]
    assert told["restarts"] == 0
    assert np.array_equal(rows(daemon, kind.__name__), np.arange(ROWS))


# -- hanging ------------------------------------------------------------------------------------


class Stuck:
    """A getter that hangs until it is interrupted."""

    def __init__(self):
        self._numbers = itertools.count()
        self._over = threading.Event()

    def __call__(self):
        if (n := next(self._numbers)) >= ROWS:
            self._wait_for_the_device()
        return n

    def _wait_for_the_device(self):
        self._over.wait()

    def interrupt(self):
        self._over.set()


def fills():
    """A getter that is read without pause, and hangs before its rows have left."""
    numbers = itertools.count()
    return lambda: n if (n := next(numbers)) < ROWS else sleeps()


def holds_the_lock():
    ctypes.PyDLL(None).sleep(1000)


def stops_itself():
    os.kill(os.getpid(), signal.SIGSTOP)


def sleeps():
    time.sleep(1000)


def test_a_hang_is_said_with_its_call_and_ends_with_a_timeout(
    good, tmp_path, wait_until, monkeypatch
):
    # What hangs at the stop is given up sooner than with users.
    monkeypatch.setattr(fleet, "WorkerSpec", partial(WorkerSpec, stop_grace=0.5))
    jobs = [
        h5daq.DAQJob("stuck", "n", Stuck, PERIOD),
        job("sleeps", sleeps, hang_timeout=1.0, spool="always"),
        job("locked", holds_the_lock, hang_timeout=6.0, spool="always"),
        job("stopped", stops_itself, hang_timeout=6.0, spool="always"),
        h5daq.DAQJob("fills", "n", fills(), read_mode="constant", batch_interval=3600.0,
                     hang_timeout=1.0),
    ]  # fmt: skip
    with h5daq.DAQDaemon([good, *jobs], directory=tmp_path) as daemon:
        # All are looked at together: on a slow machine none waits while another passes by.
        missing = {
            "stuck": ("hanging", r"\d s, in wait .*called by .*__call__"),
            "locked": ("silent", "holds_the_lock"),
            "stopped": ("silent", "stopped by a signal"),
        }

        def all_were_said():
            for name, told in daemon.status()["jobs"].items():
                word, text = missing.get(name, ("", ""))
                if told.get("state") == word and re_found(text, told["message"]):
                    del missing[name]
            return not missing

        wait_until(all_were_said, what=missing)
        for name in ("sleeps", "locked", "stopped"):
            wait_until(lambda n=name: rows_of(daemon, n) > ROWS, what=name)
        lost = wait_until(lambda: state(daemon, "fills").get("lost"), what="a loss")
        # It is killed where it gets no share of a processor for long.
        assert set(lost) <= {"hung", "killed"}
        assert sum(lost.values()) % ROWS == 0
    assert is_whole(daemon)
    for name, words in {"sleeps": "in sleeps", "locked": "holds_the_lock", "stopped": "s"}.items():
        assert np.array_equal(lives(rows(daemon, name))[0], np.arange(ROWS)), name
        with h5py.File(daemon.file_name) as file:
            assert re_found(rf"hung for \d+ s: .*{words}", file[name].attrs["restart_causes"][0])


# -- what it does to its surroundings -------------------------------------------------------------


def leaves_a_thread():
    threading.Thread(target=threading.Event().wait).start()


def takes_all_descriptors():
    resource.setrlimit(resource.RLIMIT_NOFILE, (700, 700))
    hold = [open(os.devnull) for _ in range(800)]  # noqa: SIM115
    assert hold


def moves_away():
    place = tempfile.mkdtemp()
    os.chdir(place)
    shutil.rmtree(place)
    os.environ.clear()


def takes_the_signals():
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD, signal.SIGALRM):
        signal.signal(number, signal.SIG_IGN)


def leaves_a_child():
    if os.fork() == 0:
        os.execvp("sleep", ["sleep", "3"])


def test_what_a_getter_does_to_its_process_costs_no_row_of_anybody(good, tmp_path, wait_until):
    faults = {
        "threads": leaves_a_thread, "files": takes_all_descriptors, "away": moves_away,
        "signals": takes_the_signals, "children": leaves_a_child, "copies": os.fork,
    }  # fmt: skip
    jobs = [job(name, once(fault), spool="always") for name, fault in faults.items()]
    fast = h5daq.DAQJob("fast", "n", forks_now_and_then(), read_mode="constant")
    began = time.monotonic()
    with h5daq.DAQDaemon([good, *jobs, fast], directory=tmp_path) as daemon:
        for name in faults:
            wait_until(lambda n=name: state(daemon, n).get("rows", 0) > 3 * ROWS, what=name)
        assert not any(job["restarts"] for job in daemon.status()["jobs"].values())
        wait_until(lambda: rows_of(daemon, "fast") > 1000)
        stopping = time.monotonic()
    # Nobody waits for threads that never end.
    assert time.monotonic() - stopping < 30 + (stopping - began)
    assert is_whole(daemon)
    for name in faults:
        values = rows(daemon, name)
        missing = np.setdiff1d(np.arange(len(values)), values)
        assert len(missing) <= (1 if name == "files" else 0), name
        assert len(np.unique(values)) == len(values), name
    assert (np.diff(rows(daemon, "fast")) > 0).all()


def once(fault):
    done = []

    def do():
        if not done:
            done.append(True)
            fault()

    return do


def forks_now_and_then():
    numbers = itertools.count()

    def read():
        n = next(numbers)
        if n % 200 == 199:
            os.fork()
        return n

    return read


def test_copies_that_come_back_are_ended_and_told_of(tmp_path, wait_until, caplog):
    with h5daq.DAQDaemon(job("forks", os.fork), directory=tmp_path) as daemon:
        wait_until(lambda: rows_of(daemon, "forks") > 3 * ROWS)
        wait_until(lambda: "copies of the worker were ended" in caplog.text)
        pid = state(daemon, "forks")["pid"]
        wait_until(lambda: not _children(pid))
    values = rows(daemon, "forks")
    assert np.array_equal(values, np.arange(len(values)))


def _children(pid):
    import psutil

    return [c for c in psutil.Process(pid).children() if c.status() != psutil.STATUS_ZOMBIE]


def test_memory_that_a_getter_leaks_is_seen_in_the_status(tmp_path, wait_until):
    held = []

    def leak():
        held.append(np.ones(1 << 16))
        return 0

    job = h5daq.DAQJob("leaks", "n", leak, read_period=0.01)
    with h5daq.DAQDaemon(job, directory=tmp_path) as daemon:
        first = wait_until(lambda: state(daemon, "leaks").get("rss"))
        wait_until(lambda: state(daemon, "leaks")["rss"] > first + (32 << 20))


# -- what it prints -------------------------------------------------------------------------------


FLOOD = """
import os, sys, time, h5daq
def flood():
    block = b"x" * (1 << 20)
    for _ in range(64):
        print("y" * (1 << 20))
        os.write(1, block)
        os.write(2, block)
    return 0
jobs = [h5daq.DAQJob("good", "n", lambda: 0, 0.01), h5daq.DAQJob("flood", "n", flood, 0.01)]
with h5daq.DAQDaemon(jobs, directory=sys.argv[1]) as daemon:
    while not daemon.status()["jobs"]["flood"].get(sys.argv[2]): time.sleep(0.05)
    while daemon.job_rows("good") < 20: time.sleep(0.05)
    with open(sys.argv[3], "w") as out:
        out.write(str(daemon.status()["jobs"]["flood"]))
with open(sys.argv[3], "a") as out:
    out.write("stopped")
"""


@pytest.mark.parametrize("read", [True, False], ids=["read", "not read"])
def test_a_flood_of_output_stops_its_job_at_most(tmp_path, wait_until, read):
    (tmp_path / "flood.py").write_text(FLOOD)
    out, where = tmp_path / "out", tempfile.mkdtemp(prefix="h5")
    sink = subprocess.DEVNULL if read else subprocess.PIPE
    process = subprocess.Popen(
        [sys.executable, "flood.py", where, "rows" if read else "message", out],
        stdout=sink, stderr=sink, cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(h5daq.__file__).parents[1])},
    )  # fmt: skip
    with process:
        wait_until(lambda: out.exists() and "stopped" in out.read_text())
        process.kill()
    assert read or "called by flood" in out.read_text()
    (file,) = Path(where).glob("*.hdf5")
    with h5py.File(file) as found:
        assert len(found["good/n"]) > 10
    shutil.rmtree(where)
