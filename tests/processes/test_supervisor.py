"""The supervisor: hears its children, starts again what dies, gives up what keeps dying."""

import socket
import threading
import time

import pytest

from h5daq.daemon.supervisor import Child, Supervisor
from h5daq.daemon.writer_child import cause_of_death
from h5daq.errors import ConfigError
from h5daq.flow.backoff import Backoff
from h5daq.flow.control import ControlDecoder, encode_control

SECONDS = 120.0


class Played:
    """A process that lives and dies as the test says; its pipe is real."""

    def __init__(self, pid):
        self.pid = pid
        self.pipe, self.far_end = socket.socketpair()
        self.closed, self.status, self.orders = False, None, []
        self._decoder = ControlDecoder()

    def fileno(self):
        return self.pipe.fileno()

    def send(self, kind, **fields):
        self.orders.append(kind)
        return True

    def messages(self, timeout=0.0):
        self.pipe.setblocking(False)
        try:
            data = self.pipe.recv(1 << 16)
        except BlockingIOError:
            return []
        self.closed = not data
        return list(self._decoder.feed(data))

    def poll(self):
        return self.status

    def wait(self, timeout):
        return self.status

    def kill(self):
        self.die(-9)

    def close(self):
        self.pipe.close()
        self.far_end.close()

    # -- what the test does ------------------------------------------------------------------

    def report(self, kind, **fields):
        self.far_end.sendall(encode_control(kind, **fields))

    def die(self, status):
        self.status = status
        self.far_end.close()


class Nursery:
    """Starts played processes, and remembers them and why they were started."""

    def __init__(self):
        self.born, self.causes, self.heard, self.refusals = [], [], [], []
        self.changed = threading.Condition()

    def start(self, cause):
        with self.changed:
            self.causes.append(cause)
            self.changed.notify_all()
            if self.refusals:
                raise self.refusals.pop()
            self.born.append(Played(100 + len(self.born)))
            return self.born[-1]

    def hear(self, child, message):
        with self.changed:
            self.heard.append((child.name, message["k"]))
            child.finished = child.finished or message["k"] == "done"
            self.changed.notify_all()

    def wait_until(self, holds):
        with self.changed:
            assert self.changed.wait_for(holds, SECONDS)


@pytest.fixture
def nursery():
    return Nursery()


@pytest.fixture
def child(nursery):
    child = Child("worker a", nursery.start, nursery.hear, Backoff(first=0.001, limit=2))
    child.launch()
    yield child
    child.dismiss()


@pytest.fixture
def supervisor(child):
    supervisor = Supervisor([child], cause_of_death)
    supervisor.start()
    yield supervisor
    supervisor.end()


def settled(supervisor, holds):
    """Wait for what the supervisor's thread does without telling anybody."""
    deadline, pause = time.monotonic() + SECONDS, threading.Event()
    while not holds():
        assert supervisor.is_alive()
        assert time.monotonic() < deadline
        pause.wait(0.005)
    return True


def test_what_a_child_reports_is_heard(supervisor, nursery):
    nursery.born[0].report("ready")
    nursery.wait_until(lambda: nursery.heard == [("worker a", "ready")])


def test_a_child_that_dies_is_started_again_and_told_the_cause(supervisor, nursery, child):
    nursery.born[0].die(-9)
    nursery.wait_until(lambda: len(nursery.born) == 2)
    assert nursery.causes == ["", "killed by signal 9 (SIGKILL)"]
    assert child.restarts == 1


def test_a_child_that_keeps_dying_is_given_up(supervisor, nursery, child):
    for count in (1, 2, 3):
        nursery.wait_until(lambda count=count: len(nursery.born) == count)
        nursery.born[-1].die(1)
    assert settled(supervisor, lambda: child.given_up)
    assert len(nursery.born) == 3


@pytest.mark.parametrize("error", [OSError("no more processes"), ConfigError("the port is taken")])
def test_a_start_that_fails_is_tried_again(supervisor, nursery, error):
    nursery.refusals = [error]
    nursery.born[0].die(1)
    nursery.wait_until(lambda: len(nursery.born) == 2)
    assert nursery.causes[-1] == str(error)


def test_a_child_that_is_done_is_not_started_again(supervisor, nursery, child):
    nursery.born[0].report("done")
    nursery.born[0].die(0)
    assert settled(supervisor, lambda: child.process is None)
    assert (len(nursery.born), child.start_at) == (1, None)


def test_last_words_are_heard_before_the_death_counts(nursery, child):
    supervisor = Supervisor([child], cause_of_death)
    nursery.born[0].report("done")
    nursery.born[0].die(0)
    supervisor._look(child)
    assert nursery.heard == [("worker a", "done")]
    assert child.finished


def test_a_retired_child_is_told_to_stop_and_never_started_again(nursery, child):
    child.bury("killed", time.monotonic())
    child.retire()
    assert child.start_at is None
    child.launch()
    child.retire()
    assert nursery.born[-1].orders == ["stop"]


def test_ending_leaves_the_children_as_they_are(supervisor, child):
    supervisor.end()
    assert child.alive
