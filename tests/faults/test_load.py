"""Small versions of `python -m benchmarks.load`: load costs what is said, and nobody else."""

import itertools

import h5py
import numpy as np
import psutil
import pytest
import zmq

import h5daq
from benchmarks.load_disk import account, slow_disk

pytestmark = pytest.mark.processes

MIB = 1 << 20


def counter(start=0):
    numbers = itertools.count(start)
    return lambda: next(numbers)


def counter_beside(wave):
    count = counter()
    return lambda: (count(), wave)


def is_whole(path, group, label="n"):
    with h5py.File(path) as file:
        values = file[group][label][:]
    return len(values) > 0 and np.array_equal(values, np.arange(len(values)))


def rows_of(daemon, group):
    return daemon.status()["jobs"].get(group, {}).get("rows", 0)


def test_thirty_jobs_are_each_complete(tmp_path, wait_until):
    jobs = [h5daq.DAQJob(f"rack/job{i:02d}", "n", counter(), read_period=0.1) for i in range(30)]
    with h5daq.DAQDaemon(jobs, directory=tmp_path) as daemon:
        for job in jobs:
            wait_until(lambda g=job.group: rows_of(daemon, g) > 5, what=job.group)
    assert all(is_whole(daemon.file_name, job.group) for job in jobs)


@pytest.fixture(scope="module")
def wide(tmp_path_factory, wait_until):
    """The file of a job with 2,000 labels."""
    row = tuple(map(float, range(2000)))
    labels = [f"c{i:04d}" for i in range(2000)]
    job = h5daq.DAQJob("wide", labels, lambda: row, read_period=0.05)
    with h5daq.DAQDaemon(job, directory=tmp_path_factory.mktemp("wide")) as daemon:
        wait_until(lambda: daemon.job_rows("wide") >= 5)
    with h5py.File(daemon.file_name) as file:
        yield file["wide"]


def test_each_of_two_thousand_labels_is_read_back(wide):
    rows = len(wide["time"])
    assert rows >= 5
    for i in range(2000):
        assert np.array_equal(wide[f"c{i:04d}"][:], np.full(rows, float(i)))


def test_above_a_thousand_labels_scales_are_left_out_and_the_plot_stays(wide):
    assert not any(wide[f"c{i:04d}"].dims[0] for i in (0, 999, 1999))
    assert (wide.attrs["NX_class"], list(wide.attrs["axes"])) == ("NXdata", ["time"])


def deaf_subscribers(endpoint, n):
    context = zmq.Context.instance()
    for _ in range(n):
        socket = context.socket(zmq.SUB)
        socket.rcvhwm = 1
        socket.linger = 0
        socket.connect(endpoint)
        socket.subscribe(b"")
        yield socket


def test_subscribers_that_never_read_cost_the_writer_a_bounded_queue(tmp_path, wait_until):
    wave = np.zeros(64)
    job = h5daq.DAQJob("j", ["n", "wave"], lambda: (0, wave), 0.001, shape=[(0,), (0, 64)])
    daemon = h5daq.DAQDaemon(job, directory=tmp_path, signal_rate=1e6, durability="os")
    with daemon:
        sockets = list(deaf_subscribers(daemon.endpoints["signals"], 8))
        wait_until(lambda: daemon.job_rows("j") > 500)
        writer = psutil.Process(daemon.status()["writer"]["pid"])
        before = writer.memory_info().rss
        wait_until(lambda: daemon.job_rows("j") > 2500)
        # Beyond their queues of a thousand signals, which they share, nothing is kept for them.
        assert writer.memory_info().rss - before < 32 * MIB
        for socket in sockets:
            socket.close()
    assert daemon.status()["jobs"] == {}


@pytest.fixture(scope="module")
def overrun(tmp_path_factory, wait_until):
    """A run of jobs that give more than the disk takes: the file, and the status near its end."""
    wave, big = np.zeros(8192), {"shape": [(0,), (0, 8192)], "dtype": ["i8", "f8"]}
    policies = ("drop-oldest", "drop-newest", "block", "spool")
    jobs = [
        h5daq.DAQJob(policy, ["n", "wave"], counter_beside(wave), 0.005,
                     overflow=policy, buffer_bytes=MIB, **big)
        for policy in policies
    ]  # fmt: skip
    small = h5daq.DAQJob("small", "n", counter(), read_period=0.02)
    folder = tmp_path_factory.mktemp("slow")
    daemon = h5daq.DAQDaemon([small, *jobs], directory=folder, drain_timeout=120)
    with slow_disk(10.0):
        daemon.start()
    with daemon:
        wait_until(lambda: all(lost_of(daemon, policy) for policy in policies[:2]))
        states = daemon.status()["jobs"]
    return daemon.file_name, states


def lost_of(daemon, group):
    return sum(daemon.status()["jobs"][group]["lost"].values())


@pytest.mark.parametrize("policy", ["drop-oldest", "drop-newest", "block", "spool"])
def test_what_a_slow_disk_costs_is_what_the_policy_says(overrun, policy):
    path, _ = overrun
    kept, lost, unsaid = account(path, policy)
    assert kept > 20
    assert unsaid == 0
    assert (lost > 0) == policy.startswith("drop")


def test_beside_jobs_that_overrun_the_disk_a_small_one_is_complete(overrun):
    path, states = overrun
    assert is_whole(path, "small")
    assert not states["small"]["lost"]


def test_a_worker_that_the_disk_holds_up_does_not_grow(overrun):
    _, states = overrun
    assert all(job["rss"] < 200 * MIB for job in states.values())
