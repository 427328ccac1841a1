"""The daemon's look at a worker: silence is counted fairly, and what hangs is killed in time."""

import os
import signal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from h5daq.daemon.watch import LOST_SECONDS, SILENT_SECONDS, Watch
from h5daq.jobs.pulse import Pulse


class Victim:
    """A process that is looked at; it is this one, and nothing happens to it."""

    pid = os.getpid()

    def __init__(self):
        self.killed, self.signals = 0, []

    def signal(self, number):
        self.signals.append(number)

    def kill(self):
        self.killed += 1


class Played:
    """A worker whose pulse the test marks, looked at by a clock that the test moves."""

    def __init__(self, path, hang_timeout=None):
        self.watch, self.victim = Watch("job", hang_timeout, path), Victim()
        self.pulse, self.now = Pulse(path), 100.0
        self.pulse.beat(self.now)

    def passes(self, seconds, beats=False, step=0.5):
        for _ in range(round(seconds / step)):
            self.now += step
            if beats:
                self.pulse.beat(self.now)
            self.watch.look(self.victim, self.now)


@pytest.fixture
def play(tmp_path):
    begun = []

    def begin(hang_timeout=None):
        begun.append(Played(tmp_path / f"pulse-{len(begun)}", hang_timeout))
        return begun[-1]

    yield begin
    for played in begun:
        played.watch.close()


def test_a_worker_that_beats_is_never_silent(play):
    worker = play(hang_timeout=5.0)
    worker.passes(60, beats=True)
    assert worker.watch.trouble(0) == ""
    assert not worker.victim.killed


def test_one_that_does_not_is_silent_then_lost_and_heard_again(play):
    worker = play()
    worker.passes(SILENT_SECONDS + 2)
    assert "no sign of life for 5 s" in worker.watch.trouble(worker.victim.pid)
    assert not worker.watch.lost
    worker.passes(LOST_SECONDS)
    assert worker.watch.lost
    worker.passes(1, beats=True)
    assert worker.watch.trouble(worker.victim.pid) == ""
    assert not worker.victim.killed


def test_a_getter_that_hangs_is_killed_once_after_its_timeout(play):
    worker = play(hang_timeout=8.0)
    worker.pulse.begin(worker.now)
    worker.passes(7)
    assert not worker.victim.killed
    worker.passes(5)
    assert worker.victim.killed == 1
    assert worker.watch.cause(-9).startswith("hung for 8 s: ")


def test_one_that_gets_no_share_of_a_processor_is_not_killed(play):
    worker = play(hang_timeout=5.0)
    worker.passes(60)
    assert not worker.victim.killed


def test_time_in_which_the_daemon_itself_was_stopped_does_not_count(play):
    worker = play(hang_timeout=5.0)
    worker.pulse.begin(worker.now)
    worker.passes(1)
    worker.now += 3600.0
    worker.passes(1)
    assert worker.watch.trouble(0) == ""
    assert not worker.victim.killed


def test_who_has_said_the_last_word_may_take_its_time(play):
    worker = play(hang_timeout=5.0)
    worker.watch.over = True
    worker.passes(60)
    assert worker.watch.trouble(0) == ""


@given(
    st.lists(st.tuples(st.floats(0.5, 3.0), st.booleans()), max_size=40),
    st.floats(4.0, 12.0),
)
def test_nobody_is_killed_before_the_timeout_and_everybody_soon_after(
    tmp_path_factory, told, limit
):
    worker = Played(tmp_path_factory.mktemp("pulse") / "p", limit)
    worker.pulse.begin(worker.now)
    silent = 0.0
    for seconds, beats in told:
        worker.passes(seconds, beats)
        steps = round(seconds / 0.5) * 0.5
        silent = 0.0 if beats and steps else silent + steps
        if worker.victim.killed:
            break
        assert silent < max(limit, SILENT_SECONDS) + 2.0
    assert worker.victim.killed <= 1
    worker.watch.close()


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (7, "exited with code 7 in its getter: by os._exit(), or by a library"),
        (0, "exited with code 0 in its getter: by os._exit(), or by a library"),
        (-signal.SIGSEGV, "killed by signal 11 (SIGSEGV) in its getter"),
        (
            -signal.SIGABRT,
            "killed by signal 6 (SIGABRT) in a thread of a library: "
            "its getter closed file descriptors that are not its own?",
        ),
        (-signal.SIGKILL, "killed by signal 9 (SIGKILL)"),
        (-40, "killed by signal 40 (unknown)"),
    ],
)
def test_a_death_in_the_getter_is_said_to_be_one(play, status, said):
    worker = play()
    assert "in its getter" not in worker.watch.cause(status)
    worker.pulse.begin(1.0)
    assert worker.watch.cause(status) == said
