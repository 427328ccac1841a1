"""A writer that comes back at another place: the daemon tells its workers, and nothing is lost."""

import os
import signal
import socket
import threading

import h5py
import pytest

import h5daq
from h5daq.daemon import fleet
from h5daq.daemon.writer_child import WriterChild
from h5daq.errors import ConfigError
from h5daq.testing.writer import PlayedWriter
from h5daq.transports.zmq import WorkerLink

pytestmark = pytest.mark.processes


def counting():
    state = {"n": -1}

    def count():
        state["n"] += 1
        return state["n"]

    return count


def taken(endpoint):
    """The port, as another program has it; None while somebody else still does."""
    blocker = socket.socket()
    blocker.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        blocker.bind(("127.0.0.1", int(endpoint.rpartition(":")[2])))
        blocker.listen()
    except OSError:
        blocker.close()
        return None
    return blocker


@pytest.fixture
def gate(monkeypatch):
    """No writer is started again before it is open."""
    opened = threading.Event()

    def start(settings):
        assert opened.wait(120)
        return WriterChild(settings)

    yield lambda: monkeypatch.setattr(fleet, "WriterChild", start) or opened
    opened.set()


def test_a_writer_whose_ports_were_taken_goes_on_at_others_with_every_row(
    tmp_path, wait_until, gate
):
    ports = dict.fromkeys(("data", "requests", "signals"), "tcp://127.0.0.1:*")
    jobs = [h5daq.DAQJob(g, "n", counting(), read_period=0.005, dtype="i8") for g in "ab"]
    daemon = h5daq.DAQDaemon(jobs, directory=tmp_path, insecure=True, **ports)
    with daemon:
        wait_until(lambda: daemon.job_rows("a") > 10)
        before = daemon.endpoints
        opened = gate()
        os.kill(daemon.status()["writer"]["pid"], signal.SIGKILL)
        with wait_until(lambda: taken(before["data"])):
            opened.set()
            wait_until(lambda: daemon.endpoints["data"] != before["data"])
            came = {job.group: daemon.job_rows(job.group) for job in jobs}
            wait_until(lambda: all(daemon.job_rows(g) > n + 10 for g, n in came.items()))
        assert daemon.status()["writer"]["restarts"] == 1
    with h5py.File(daemon.file_name) as file:
        for group in "ab":
            numbers = file[group]["n"][:].tolist()
            assert numbers == list(range(len(numbers)))
            assert len(numbers) > came[group]
            assert not [name for name in file[group].attrs if name.startswith("lost")]


def test_a_worker_told_of_no_place_stays_with_the_writer_that_it_has(tmp_path, wait_until):
    writer = PlayedWriter(tmp_path)
    link = WorkerLink(writer.data, writer.signals, "j")
    try:
        for data, signals in (("nonsense", writer.signals), (writer.data, "tcp://x:99999")):
            with pytest.raises(ConfigError):
                link.reconnect(data, signals)
        wait_until(lambda: link.send(b"still here"))
        assert wait_until(lambda: writer.port.receive_data(1, 1000))
    finally:
        link.close()
        writer.close()
