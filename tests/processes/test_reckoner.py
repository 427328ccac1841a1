"""What dead workers had read is told until it is counted, and by nobody else's jobs."""

import tempfile
import threading

import pytest

from h5daq.daemon.reckoner import Reckoner, Reckoning
from h5daq.errors import NoAnswer, NotAllowed
from h5daq.flow.requests import ErrorCode
from h5daq.jobs.spool_places import place_of
from h5daq.jobs.toll import Owner, Toll, left


@pytest.fixture(autouse=True)
def _place(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setattr(tempfile, "tempdir", None)


class Writer:
    """Answers each death with the next of `states`, or raises it, and with the last ever after."""

    def __init__(self, *states):
        self.states, self.heard = list(states), []
        self.asked = threading.Semaphore(0)

    def request(self, verb, timeout, **args):
        assert verb == "death"
        self.heard.append((args["job"], args["inc"], args["produced"], args["cause"]))
        self.asked.release()
        state = self.states.pop(0) if len(self.states) > 1 else self.states[0]
        if isinstance(state, Exception):
            raise state
        return {"state": state}


def die(job="tank", inc=1, rows=5):
    toll = Toll(Owner(job, inc, "run", "/data"))
    toll.count.add(rows)
    toll.let_go()


def test_a_death_is_told_until_it_is_counted_and_then_forgotten():
    die()
    writer = Writer("waiting", "waiting", "counted")
    assert Reckoning("/data", writer.request).settle(60.0)
    assert writer.heard == [("tank", 1, 5, "killed")] * 3
    assert not list(left("/data"))


@pytest.mark.parametrize(
    "state", ["unknown", NotAllowed(ErrorCode.NOT_ALLOWED, "not allowed", "no")]
)
def test_what_can_not_be_told_now_holds_nobody_up_and_is_kept(state):
    die()
    assert Reckoning("/data", Writer(state).request).settle(60.0)
    assert len(list(left("/data"))) == 1


def test_a_silent_writer_is_asked_once_for_all_and_waited_for_at_an_end():
    for inc in range(1, 6):
        die(inc=inc)
    writer = Writer(NoAnswer("silent"), NoAnswer("silent"), "counted")
    reckoning = Reckoning("/data", writer.request)
    assert reckoning.report() == "unanswered"
    assert len(writer.heard) == 1
    assert reckoning.settle(60.0)
    assert not list(left("/data"))


def test_rows_in_a_spool_are_waited_for_and_a_worker_without_rows_is_no_news():
    die()
    die(inc=2, rows=0)
    place = place_of("run", "tank", 1)
    place.mkdir(parents=True)
    (place / "about").touch()
    writer = Writer("counted")
    Reckoning("/data", writer.request).report()
    assert (writer.heard, [toll.owner.inc for toll in left("/data")]) == ([], [1])


def test_only_jobs_that_one_may_speak_for_are_told_of():
    die("tank", 1)
    die("other", 2)
    writer = Writer("counted")
    Reckoning("/data", writer.request, ["tank"]).report()
    assert [job for job, *_ in writer.heard] == ["tank"]


def test_a_thread_tells_of_those_that_were_dead_before_and_of_those_that_die():
    die(inc=1)
    writer = Writer("counted")
    with Reckoner(Reckoning("/data", writer.request)) as reckoner:
        reckoner.start()
        assert writer.asked.acquire(timeout=60)
        die(inc=2)
        reckoner.wake()
        assert writer.asked.acquire(timeout=60)
    assert [inc for _, inc, *_ in writer.heard] == [1, 2]
