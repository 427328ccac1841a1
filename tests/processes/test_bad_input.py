"""Whatever is wrong with a getter, directory, port or message, it is said, and the run goes on.

None of it costs a row of another job.
"""

import contextlib
import os
import shutil
import socket
import threading
from collections import Counter
from functools import partial

import h5py
import msgpack
import numpy as np
import pytest

import h5daq
from h5daq.daemon import fleet
from h5daq.errors import ConfigError, H5daqError, StorageError
from h5daq.flow.schema import Column, Schema
from h5daq.flow.wire import encode
from h5daq.jobs.starter import WorkerStarter
from h5daq.transports.zmq import ClientLink, WorkerLink
from h5daq.worker import WorkerSpec

pytestmark = pytest.mark.processes


def counter():
    count = iter(range(10**9))
    return lambda: next(count)


@pytest.fixture
def good():
    """The job that must not lose a row."""
    return h5daq.DAQJob("good", "n", counter(), read_period=0.01)


def is_whole(daemon):
    """Whether every row of the good job is in the file, once, in order."""
    with h5py.File(daemon.file_name) as file:
        values = file["good/n"][:]
    return len(values) > 0 and np.array_equal(values, np.arange(len(values)))


def state(daemon, group):
    return daemon.status()["jobs"].get(group, {})


def goes_on(daemon, wait_until):
    """Wait until the good job has got some more rows."""
    before = rows(daemon)
    wait_until(lambda: rows(daemon) > before + 20, what="the other job's going on")


def rows(daemon):
    try:
        return daemon.job_rows("good")
    except H5daqError:
        return 0


def told(daemon):
    """How many rows the good job's worker has been told to be safe: it holds them no longer."""
    with h5daq.subscribe(daemon.endpoints["signals"], kinds=["heartbeat"]) as heartbeats:
        told = (beat.payload["positions"].get("good", (0, 0))[1] for beat in heartbeats)
        return next(position for position in told if position)


# -- getters ---------------------------------------------------------------------------------------


def test_a_getter_that_hangs_is_said_to_hang_and_ends_with_the_run(
    good, tmp_path, wait_until, monkeypatch
):
    # It is given up sooner than with users.
    monkeypatch.setattr(fleet, "WorkerSpec", partial(WorkerSpec, stop_grace=0.5))
    job = h5daq.DAQJob("hangs", "x", lambda: threading.Event().wait(), read_period=0.01)
    with h5daq.DAQDaemon([good, job], directory=tmp_path) as daemon:
        wait_until(lambda: state(daemon, "hangs").get("state") == "hanging")
        assert "under way for" in state(daemon, "hangs")["message"]
        goes_on(daemon, wait_until)
    assert is_whole(daemon)


def numpy_of_a_wrong_shape():
    return np.zeros((2, 3))


class Odd:
    """Something that no dataset can hold."""

    def __float__(self):
        raise RuntimeError("I am no number")


def exits():
    raise SystemExit(3)


BAD_READINGS = {
    "too-many": (lambda: [1.0, 2.0, 3.0], {}),
    "array": (numpy_of_a_wrong_shape, {}),
    "odd": (lambda: [[Odd()], 1], {}),
    "fraction": (lambda: [1.7, 1], {"dtype": "i4"}),
    "overflow": (lambda: [2**40, 1], {"dtype": "i4"}),
    "bytes": (lambda: [b"bytes", "text"], {"dtype": str}),
    "nul": (lambda: ["a\0b", "text"], {"dtype": str}),
    "surrogate": (lambda: ["\ud800", "text"], {"dtype": str}),
    "map": (lambda: {"a": 1}, {}),
    "bare-text": (lambda: "text", {}),
    "no-time": (lambda: [float("nan"), 1.0, 2.0], {"provide_time": True}),
    "far-time": (lambda: [1e300, 1.0, 2.0], {"provide_time": True}),
    "uneven": (lambda: [[1.0, 2.0], [1.0], [1.0, 2.0]], {"extend_mode": True}),
}


def test_what_no_row_can_hold_is_counted_and_told(good, tmp_path, wait_until):
    bad = [
        h5daq.DAQJob(name, ["x", "y"], getter, read_period=0.05, **more)
        for name, (getter, more) in BAD_READINGS.items()
    ]
    with h5daq.DAQDaemon([good, *bad], directory=tmp_path) as daemon:
        for name in BAD_READINGS:
            wait_until(lambda n=name: state(daemon, n).get("lost"), what=f"the loss of {name}")
            wait_until(lambda n=name: state(daemon, n)["message"], what=f"the word on {name}")
            assert state(daemon, name)["rows"] == 0
        goes_on(daemon, wait_until)
    assert is_whole(daemon)


def test_a_getter_that_ends_its_process_is_restarted_or_counted(good, tmp_path, wait_until):
    jobs = [
        good,
        h5daq.DAQJob("exits", "x", exits, read_period=0.02),
        h5daq.DAQJob("dies", "x", lambda: os._exit(7), read_period=0.02),
    ]
    with h5daq.DAQDaemon(jobs, directory=tmp_path) as daemon:
        wait_until(lambda: state(daemon, "dies").get("restarts", 0) > 0)
        cause = "exited with code 7 in its getter: by os._exit(), or by a library"
        assert state(daemon, "dies")["last_death"] == cause
        wait_until(
            lambda: state(daemon, "exits").get("lost") or state(daemon, "exits").get("restarts")
        )
        goes_on(daemon, wait_until)
    assert is_whole(daemon)


def test_a_getter_that_can_not_be_built_leaves_the_others_reading(good, tmp_path, wait_until):
    def build():
        raise OSError("no instrument on this port")

    bad = h5daq.DAQJob("bad", "x", build, read_period=0.02, getter_args={})
    with h5daq.DAQDaemon([good, bad], directory=tmp_path) as daemon:
        wait_until(lambda: state(daemon, "bad").get("restarts", 0) > 0)
        goes_on(daemon, wait_until)
    assert is_whole(daemon)


# -- directories -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["data", "data/.h5daq", "data/.h5daq/journal"])
def test_a_file_where_a_directory_should_be_is_named(good, tmp_path, name):
    blocked = tmp_path / name
    blocked.parent.mkdir(parents=True, exist_ok=True)
    blocked.write_text("in the way")
    daemon = h5daq.DAQDaemon(good, directory=tmp_path / "data")
    with pytest.raises(StorageError, match=str(blocked)):
        daemon.start()
    assert not daemon.is_active
    assert blocked.read_text() == "in the way"


def test_a_directory_that_is_moved_away_and_back_costs_no_row(good, tmp_path, wait_until):
    data, away = tmp_path / "data", tmp_path / "away"
    with h5daq.DAQDaemon(good, directory=data, write_period=0.2) as daemon:
        goes_on(daemon, wait_until)
        data.rename(away)
        wait_until(lambda: str(data) in daemon.status()["writer"]["trouble"])
        assert not data.exists()
        away.rename(data)
        wait_until(lambda: not daemon.status()["writer"]["trouble"])
        goes_on(daemon, wait_until)
    assert is_whole(daemon)


def remove(directory, folder):
    """At once: while it is removed file by file new ones may come."""
    gone = directory.rename(folder / "gone")
    while gone.exists():
        shutil.rmtree(gone, ignore_errors=True)


def test_a_removed_directory_is_told_and_waited_for(good, tmp_path, wait_until):
    data = tmp_path / "data"
    with h5daq.DAQDaemon(good, directory=data, write_period=0.2) as daemon:
        goes_on(daemon, wait_until)
        lost = told(daemon)
        remove(data, tmp_path)
        wait_until(lambda: "vanished" in daemon.status()["writer"].get("trouble", ""))
        assert daemon.status()["writer"]["state"] == "down"
        assert not data.exists()  # nothing is written to what may be another disk
        data.mkdir()
        # While there is no writer the status has what the last one said.
        wait_until(lambda: state(daemon, "good").get("lost", {}).get("trimmed", -1) >= lost)
        wait_until(lambda: rows(daemon) > 20)
    with h5py.File(daemon.file_name) as file:
        values = file["good/n"][:]
        assert file["good"].attrs["lost_trimmed"] == values[0]
    assert np.array_equal(values, np.arange(values[0], values[0] + len(values)))


def test_a_stop_without_the_directory_ends_and_says_so(good, tmp_path, wait_until):
    daemon = h5daq.DAQDaemon(good, directory=tmp_path / "data", drain_timeout=0.5, write_period=0.2)
    with daemon:
        goes_on(daemon, wait_until)
        remove(tmp_path / "data", tmp_path)
        wait_until(lambda: "vanished" in daemon.status()["writer"].get("trouble", ""))
        said = daemon.stop()
    assert "without the writer" in said
    assert "vanished" in said


# -- sockets ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("which", ["data", "requests", "signals"])
def test_a_port_in_use_is_named_with_its_mend(good, tmp_path, which):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        endpoint = f"tcp://127.0.0.1:{taken.getsockname()[1]}"
        daemon = h5daq.DAQDaemon(good, directory=tmp_path, insecure=True, **{which: endpoint})
        with pytest.raises(ConfigError, match=f"{endpoint}.*another program"):
            daemon.start()
    assert not daemon.is_active


def hello(job, **more):
    schema = Schema((Column("time", np.dtype("<f8")), Column("x", np.dtype("<f8"))))
    return encode("hello", **{"job": job, "inc": 7, "schema": schema.to_wire(), **more})


STRANGE = {
    "no msgpack": b"\xc1 this is no message",
    "empty": b"",
    "no map": msgpack.packb([1, 2, 3]),
    "unknown version": msgpack.packb({"v": 99, "k": "rows", "job": "good", "inc": 1}),
    "unknown kind": msgpack.packb({"v": 1, "k": "surprise", "job": "good", "inc": 1}),
    "missing field": msgpack.packb({"v": 1, "k": "rows", "job": "good"}),
    "trailing bytes": hello("stranger") + b"\0",
    "nested too deep": b"\x81\xa1v" + b"\x91" * 100_000,
    "a count that lies": b"\x81\xa1v\xdd\xff\xff\xff\xff",
    "hello with a wrong name": hello("a/../b"),
    "hello without columns": hello("stranger", schema=[]),
    "hello with an impossible shape": hello(
        "stranger",
        schema=[
            {"label": "time", "dtype": "<f8"},
            {"label": "x", "dtype": "<f8", "shape": [2**40, 2**40]},
        ],
    ),
}


@pytest.fixture
def link():
    """`link(daemon)`: a stranger's connection to the data socket."""
    made = []

    def connect(daemon, job="stranger"):
        ends = daemon.endpoints
        made.append(WorkerLink(ends["data"], ends["signals"], job))
        return made[-1]

    yield connect
    for each in made:
        each.close()


@pytest.fixture
def send(wait_until):
    """`send(link, message)`, waiting until the connection takes it."""
    return lambda link, message: wait_until(lambda: link.send(message), what="sending")


@pytest.fixture(scope="module")
def beset(tmp_path_factory):
    """A run that strangers send to, test after test: in the end it has every row of its own."""
    job = h5daq.DAQJob("good", "n", counter(), read_period=0.01)
    # Those who have said hello will never say bye.
    with h5daq.DAQDaemon(job, directory=tmp_path_factory.mktemp("beset"), drain_timeout=1) as run:
        yield run
    assert is_whole(run)


def refused(daemon):
    return Counter(daemon.status()["writer"]["refused"])


def test_messages_that_make_no_sense_are_counted_by_cause(beset, link, send, wait_until, caplog):
    stranger, before = link(beset), refused(beset)
    for number, (name, message) in enumerate(STRANGE.items(), before.total() + 1):
        send(stranger, message)
        wait_until(lambda n=number: refused(beset).total() >= n, what=name)
    assert (refused(beset) - before)["version"] == 1
    assert (refused(beset) - before)["kind"] == 1
    goes_on(beset, wait_until)
    wait_until(lambda: "refused a message (version" in caplog.text)


def test_a_message_that_is_too_large_is_counted(beset, link, send, wait_until):
    before = refused(beset)
    send(link(beset), bytes(65 << 20))
    wait_until(lambda: refused(beset) - before == {"size": 1})
    goes_on(beset, wait_until)


def test_rows_of_an_unknown_job_are_answered_with_need_hello(beset, link, wait_until):
    message = encode("rows", job="unknown", inc=7, first=0, n=1, data=bytes(16))
    stranger = link(beset, "unknown")

    def answered():
        stranger.send(message)
        return any(fields.get("need") == "hello" for _, fields in stranger.receive(0.2))

    wait_until(answered)
    assert "unknown" not in beset.status()["jobs"]
    goes_on(beset, wait_until)


def test_rows_of_a_wrong_size_are_refused_and_the_sender_is_told(beset, link, send, wait_until):
    message = encode("rows", job="sizes", inc=7, first=0, n=1, data=bytes(15))
    stranger, before = link(beset, "sizes"), refused(beset)
    send(stranger, hello("sizes"))

    def told():
        stranger.send(message)
        return any(topic.startswith(b"refused ") for topic, _ in stranger.receive(0.2))

    wait_until(told)
    assert refused(beset).total() > before.total()
    goes_on(beset, wait_until)


def test_a_worker_that_is_refused_is_told_so_and_its_status_says_why(beset, wait_until):
    other = h5daq.DAQJob("good/n", "x", lambda: 1.0, read_period=0.01)
    ends = beset.endpoints
    spec = WorkerSpec(other, ends["data"], ends["signals"], run="", drain_timeout=60)
    with WorkerStarter() as starter, contextlib.closing(starter.start(spec.to_bytes())) as worker:
        wait_until(lambda: state(beset, "good/n").get("state") == "refused")
        assert "good" in state(beset, "good/n")["message"]
        goes_on(beset, wait_until)
        worker.send("stop")
        assert worker.wait(120) is not None  # what is refused is not waited for


REQUESTS = [
    b"",
    b"\xc1",
    *(
        msgpack.packb({"v": 1, "id": 1, **request})
        for request in (
            {"verb": "format-disk"},
            {"verb": "fly"},
            {"verb": "status", "v": 99},
            {"verb": "trigger", "args": {"jobs": 7}},
            {"verb": "trigger", "args": {"jobs": [["good"]]}},
            {"verb": "pause", "args": {"jobs": ["nobody"]}},
            {"verb": "peek", "args": {}},
            {"verb": "peek", "args": {"job": ["good"]}},
            {"verb": "set_write_period", "args": {"period": "x"}},
            {"verb": "stop", "args": {"drain_timeout": float("-inf")}},
            {"verb": "stop", "args": {"drain_timeout": -1}},
            {"verb": "stop", "args": {"gone": 5}},
        )
    ),
]


def test_a_request_that_makes_no_sense_is_answered_and_harms_nothing(beset, wait_until):
    with ClientLink(beset.endpoints["requests"]) as client:
        for request in REQUESTS:
            client.send([request])
            (answer,) = wait_until(lambda: client.receive(1.0), what=f"an answer to {request}")
            assert msgpack.unpackb(answer)["ok"] is False, request
    goes_on(beset, wait_until)
    assert beset.status()["writer"]["state"] == "running"
