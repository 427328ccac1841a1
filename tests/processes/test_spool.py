"""Rows that the writer does not take outlive the worker's memory, and the worker itself."""

import os
import shutil
import signal
import tempfile
from pathlib import Path

import h5py
import numpy as np
import pytest

import h5daq
from h5daq.flow.spooling import Piece
from h5daq.flow.wire import encode
from h5daq.jobs.spool import About, Spool
from h5daq.jobs.spool_places import place_of
from h5daq.jobs.starter import WorkerStarter
from h5daq.testing.writer import PlayedWriter
from h5daq.worker import WorkerSpec
from h5daq.worker.relic import find_relics

pytestmark = pytest.mark.processes

DONE, HELD = 0, 3


class Numbers:
    """Counts on where the reading before it ended, and stops while a file says so."""

    def __init__(self, directory, width=0):
        self.directory, self.block = directory, np.zeros(width)

    def __call__(self):
        count, halt = Path(self.directory, "count"), Path(self.directory, "halt")
        if halt.exists():
            Path(self.directory, "halted").touch()
            return None
        number = int(count.read_text()) if count.exists() else 0
        count.with_suffix(".new").write_text(str(number + 1))
        count.with_suffix(".new").replace(count)
        return (number, self.block) if len(self.block) else number


def numbers_job(directory, width=0, **more):
    labels, shape = (["n", "block"], [(0,), (0, width)]) if width else ("n", (0,))
    return h5daq.DAQJob("tank/n", labels, Numbers, getter_args={"directory": str(directory),
                        "width": width}, shape=shape, **{"read_period": 0.002, **more})  # fmt: skip


def counted(directory):
    count = directory / "count"
    return int(count.read_text()) if count.exists() else 0


@pytest.fixture
def state(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state"


@pytest.fixture
def writer():
    directory = Path(tempfile.mkdtemp())
    played = PlayedWriter(directory)
    yield played
    played.close()
    shutil.rmtree(directory)


@pytest.fixture(scope="module")
def starter():
    with WorkerStarter() as starter:
        yield starter


@pytest.fixture
def start(state, writer, starter):
    processes = []

    def start(job, run="run", **more):
        spec = WorkerSpec(job, writer.data, writer.signals, run, home="data", **more)
        processes.append(starter.start(spec.to_bytes()))
        return processes[-1]

    yield start
    for process in processes:
        process.kill()
        process.close()
        process.wait(60.0)


def spooled(state):
    return sorted(state.glob("h5daq/spool/*/*/*/*.rows"))


def halt(directory, writer):
    """No row is under way any more: the getter has been asked in vain, and all are on disk."""
    (directory / "halt").touch()
    assert writer.serve((directory / "halted").exists)
    assert writer.serve(lambda: full(writer).get("spooled") == counted(directory))


def test_a_writer_away_for_longer_than_memory_lasts_misses_no_row(tmp_path, state, writer, start):
    writer.full = True
    worker = start(numbers_job(tmp_path, width=500, buffer_bytes=100_000))
    assert writer.serve(lambda: counted(tmp_path) > 400)
    assert writer.serve(lambda: sum(p.stat().st_size for p in spooled(state)) > 300 * 4000)
    writer.full = False
    assert writer.serve(lambda: writer.rows("tank/n") > 400)
    worker.send("stop")
    assert writer.serve(lambda: worker.poll() is not None)
    assert worker.poll() == DONE
    assert writer.column("tank/n", 1) == list(range(counted(tmp_path)))
    assert not writer.skips
    assert not list(state.glob("h5daq/spool/*"))


def test_a_killed_worker_leaves_its_rows_to_the_next(tmp_path, state, writer, start):
    writer.full = True
    worker = start(numbers_job(tmp_path, spool="always"))
    assert writer.serve(lambda: counted(tmp_path) > 100)
    halt(tmp_path, writer)
    left = counted(tmp_path)
    os.kill(worker.pid, signal.SIGKILL)
    assert writer.serve(lambda: worker.poll() is not None)
    writer.full = False
    (tmp_path / "halt").unlink()
    again = start(numbers_job(tmp_path, spool="always"), run="another")
    assert writer.serve(lambda: writer.rows("tank/n") > left + 100)
    again.send("stop")
    assert writer.serve(lambda: again.poll() is not None)
    assert writer.column("tank/n", 1) == list(range(counted(tmp_path)))
    spoken = [(hello.inc, hello.fields.get("spooled", False)) for hello in writer.hellos]
    assert (writer.hellos[0].inc, True) in spoken
    assert spoken[-1][1] is False
    assert not list(state.glob("h5daq/spool/*"))


def test_rows_that_nobody_took_at_the_end_come_with_the_next_run(tmp_path, state, writer, start):
    writer.full = True
    worker = start(numbers_job(tmp_path), drain_timeout=0.5)
    assert writer.serve(lambda: counted(tmp_path) > 50)
    worker.send("stop")
    assert writer.serve(lambda: worker.poll() is not None)
    assert worker.poll() == HELD
    assert spooled(state)
    writer.full = False
    again = start(numbers_job(tmp_path), run="another")
    assert writer.serve(lambda: writer.rows("tank/n") > 100)
    again.send("stop")
    assert writer.serve(lambda: again.poll() is not None)
    assert again.poll() == DONE
    assert writer.column("tank/n", 1) == list(range(counted(tmp_path)))
    assert not spooled(state)


def test_reading_goes_on_while_an_earlier_workers_rows_wait(tmp_path, state, writer, start):
    writer.full = True
    first = start(numbers_job(tmp_path), drain_timeout=0.2)
    assert writer.serve(lambda: counted(tmp_path) > 20)
    first.send("stop")
    assert writer.serve(lambda: first.poll() is not None)
    before = counted(tmp_path)
    second = start(numbers_job(tmp_path), drain_timeout=0.2)
    assert writer.serve(lambda: counted(tmp_path) > before + 50)
    second.send("stop")
    assert writer.serve(lambda: second.poll() is not None)
    assert len({path.parent for path in spooled(state)}) == 2
    writer.full = False
    third = start(numbers_job(tmp_path))
    assert writer.serve(lambda: writer.rows("tank/n") > before + 100)
    third.send("stop")
    assert writer.serve(lambda: third.poll() is not None)
    assert writer.column("tank/n", 1) == list(range(counted(tmp_path)))


def test_beyond_spool_bytes_rows_are_lost_and_counted(tmp_path, state, writer, start):
    writer.full = True
    job = numbers_job(tmp_path, width=500, buffer_bytes=50_000, spool_bytes=200_000)
    worker = start(job)
    assert writer.serve(lambda: full(writer)["counts"].get("spool-full", 0) > 20)
    assert "spool_bytes" in full(writer)["message"]
    writer.full = False
    worker.send("stop")
    assert writer.serve(lambda: worker.poll() is not None)
    kept, lost = writer.rows("tank/n"), writer.statuses[-1]["counts"]["spool-full"]
    assert kept + lost == counted(tmp_path)
    assert writer.column("tank/n", 1) == sorted(set(writer.column("tank/n", 1)))


def full(writer):
    return writer.statuses[-1] if writer.statuses else {"counts": {}}


def test_without_a_state_directory_memory_is_all(tmp_path, state, writer, start):
    state.write_text("in the way")
    writer.full = True
    job = numbers_job(tmp_path, width=500, buffer_bytes=50_000)
    worker = start(job)
    assert writer.serve(lambda: counted(tmp_path) > 50)
    assert writer.serve(lambda: "spool-failed" in full(writer).get("message", ""))
    writer.full = False
    worker.send("stop")
    assert writer.serve(lambda: worker.poll() is not None)
    assert len([one for one in writer.logs if "spool can't" in one["text"]]) == 1
    lost = writer.skips["overflow"] + writer.statuses[-1]["counts"]["overflow"]
    assert writer.rows("tank/n") + lost == counted(tmp_path)


def test_with_never_nothing_touches_the_disk(tmp_path, state, writer, start):
    writer.full = True
    worker = start(numbers_job(tmp_path, spool="never"), drain_timeout=0.2)
    assert writer.serve(lambda: counted(tmp_path) > 20)
    worker.send("stop")
    assert writer.serve(lambda: worker.poll() is not None)
    assert worker.poll() == HELD
    assert not state.exists()


def test_a_run_with_a_worker_that_is_killed_has_every_number_once(tmp_path, state, wait_until):
    job = numbers_job(tmp_path, spool="always", read_period=0.005)
    with h5daq.DAQDaemon(job, directory=tmp_path / "data") as daemon:
        wait_until(lambda: daemon.job_rows("tank/n") > 50)
        status = daemon.status()
        os.kill(status["writer"]["pid"], signal.SIGSTOP)
        try:
            sent = counted(tmp_path)
            wait_until(lambda: counted(tmp_path) > sent + 100)
            (tmp_path / "halt").touch()
            ask_in_vain(tmp_path, wait_until)
            os.kill(status["jobs"]["tank/n"]["pid"], signal.SIGKILL)
        finally:
            os.kill(status["writer"]["pid"], signal.SIGCONT)
        held = counted(tmp_path)
        (tmp_path / "halt").unlink()
        wait_until(lambda: daemon.job_rows("tank/n") > held + 50)
        job_status = daemon.status()["jobs"]["tank/n"]
        assert job_status["restarts"] == 1
        assert job_status["lost"] == {}
    with h5py.File(daemon.file_name) as file:
        numbers = file["tank/n/n"][:].astype(int)
    assert np.array_equal(numbers, np.arange(counted(tmp_path)))


def ask_in_vain(directory, wait_until, times=10):
    """Wait until the getter has given nothing for so often that its last row is on disk."""
    for _ in range(times):
        (directory / "halted").unlink(missing_ok=True)
        wait_until((directory / "halted").exists)


def test_what_several_dead_workers_left_is_sent_in_their_order_whatever_their_clocks_said(state):
    for turn, (inc, time_said) in enumerate([(3, 2e9), (1, 1e9), (2, 3e9)]):
        hello = encode("hello", job="tank/n", inc=inc, schema=[], time=time_said, spooled=True)
        about = About("tank/n", inc, "data", hello, turn)
        spool = Spool(place_of("run", "tank/n", inc), about, 1 << 20)
        assert not spool.append(Piece(0, 1, b"row"))
        spool.close(keep=True)
    relics = find_relics("tank/n", "data")
    assert [relic.spool.about.inc for relic in relics] == [3, 1, 2]
    for relic in relics:
        relic.spool.close(keep=False)
