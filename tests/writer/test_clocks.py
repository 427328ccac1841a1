"""What hosts tell of their clocks is recorded beside their rows, and known to the status."""

import pytest

from h5daq.errors import JobValueError
from h5daq.writer.clocks import ClockRows
from h5daq.writer.ownrows import OwnRows

TOLD = {"job": "tank", "host": "pi1", "offset": 0.2, "error": 0.001, "delay": 0.002}


class Seconds:
    """A clock that goes when it is told to."""

    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Seconds()


@pytest.fixture
def own(front):
    return OwnRows(front.intake, lambda: front.now)


@pytest.fixture
def rows(front, own, clock):
    return ClockRows(front.intake.ledger, own, clock)


def recorded(front, own, host="pi1"):
    own.flush()
    job = front.intake.ledger.jobs.get(f"h5daq/clocks/{host}")
    return job.rows if job else 0


def test_a_clock_gets_a_row_now_and_then_and_at_once_when_it_was_set(
    front, worker, own, rows, clock
):
    tank = worker()
    front.take(tank.hello(), tank.rows(11.0))
    counts = []
    for clock.now, offset in ((0, 0.2), (2, 0.2), (4, 5.2), (6, 5.2), (14, 5.2)):
        rows.take({**TOLD, "offset": offset})
        counts.append(recorded(front, own))
    assert counts == [1, 1, 2, 2, 3]
    assert rows.status() == {"pi1": {"offset": 5.2, "error": 0.001, "delay": 0.002, "age": 0}}


def test_a_run_without_rows_gets_none_for_a_clock_either(front, worker, own, rows):
    rows.take(TOLD)
    tank = worker()
    front.take(tank.hello())
    rows.take(TOLD)
    assert recorded(front, own) == 0
    front.take(tank.rows(11.0))
    rows.take(TOLD)
    assert recorded(front, own) == 1


def test_who_has_found_nothing_yet_says_nothing(rows):
    rows.take({"job": "tank", "host": "pi1"})
    assert rows.status() == {}


@pytest.mark.parametrize("wrong", [{"host": "a/b"}, {"error": None}, {"offset": "1"}])
def test_what_makes_no_sense_is_refused(rows, wrong):
    with pytest.raises(JobValueError):
        rows.take({**TOLD, **wrong})
