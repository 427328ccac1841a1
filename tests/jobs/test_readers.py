"""The loop of a worker, on a clock that is moved by waiting for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from h5daq.flow.batch import Batch
from h5daq.jobs import DAQJob
from h5daq.jobs.collector import Collector
from h5daq.jobs.orders import Orders
from h5daq.jobs.readers import Reader
from h5daq.jobs.tally import Failure, Tally


class WaitingClock(Orders):
    """Orders, and a clock on which waiting takes no time."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0

    def wait(self, timeout: float) -> None:
        self.now += timeout

    def __call__(self) -> float:
        return self.now


class Bench:
    """A job with all that a worker has around it, but for sockets and processes."""

    def __init__(self, getter: Callable[[], Any], **arguments: Any) -> None:
        self.batches: list[Batch] = []
        self.failures: list[Failure] = []
        self.orders = WaitingClock()
        self.job = DAQJob("job", "x", getter, **arguments)
        self.tally = Tally(self.job.error_count_limit, self.failures.append)
        self.collector = Collector(self.job, 1, self._ship, self.tally)
        self.reader = Reader(
            self.job, self.job.make_reading(), self.collector, self.tally, self.orders,
            clock=self.orders, wall=self.orders,
        )  # fmt: skip

    def _ship(self, batch: Batch) -> bool:
        self.batches.append(batch)
        return True

    def steps(self, n: int) -> None:
        for _ in range(n):
            self.reader.step()

    @property
    def rows(self) -> list[float]:
        return [float(x) for batch in self.batches for x in batch.columns[1]]


def counter() -> Callable[[], int]:
    numbers = iter(range(1_000_000))
    return lambda: next(numbers)


def test_a_slow_jobs_row_leaves_at_once() -> None:
    bench = Bench(counter(), read_period=1.0)
    bench.steps(1)
    assert bench.rows == [0.0]


@pytest.mark.parametrize("period", [0.02, 0.03, 0.05, 0.1])
def test_two_rows_share_a_message_where_none_waits_long_for_it(period: float) -> None:
    bench = Bench(counter(), read_period=period)
    bench.steps(41)
    assert {batch.n for batch in bench.batches} == {2}


@pytest.mark.parametrize(
    "more", [{"batch_interval": 0}, {"spool": "always"}, {"read_period": 0.11}]
)
def test_a_row_waits_for_no_other_where_that_is_not_wanted(more: dict[str, Any]) -> None:
    bench = Bench(counter(), **{"read_period": 0.1, **more})
    bench.steps(21)
    assert {batch.n for batch in bench.batches} == {1}


def test_a_fast_jobs_rows_leave_by_the_dozen() -> None:
    bench = Bench(counter(), read_period=0.001, batch_interval=0.02)
    bench.steps(400)
    assert len(bench.rows) > 150
    assert 10 <= bench.batches[3].n <= 20


def test_batches_are_numbered_without_gaps() -> None:
    bench = Bench(counter(), read_period=0.001)
    bench.steps(300)
    firsts = [batch.first for batch in bench.batches]
    assert firsts == [0, *(batch.end for batch in bench.batches[:-1])]


def test_a_batch_that_is_refused_gives_its_numbers_back() -> None:
    bench = Bench(counter(), read_period=1.0)
    taken: list[Batch] = []
    bench.collector._ship = lambda batch: bool(taken.append(batch)) or len(taken) > 1
    bench.steps(3)
    assert [batch.first for batch in taken] == [0, 0]


def test_nothing_is_torn_by_a_bad_reading() -> None:
    answers = iter([1, (1, 2), "x", 2])
    bench = Bench(lambda: next(answers), read_period=1.0)
    bench.steps(7)
    assert bench.rows == [1.0, 2.0]
    assert dict(bench.tally.counts) == {"shape": 1, "value": 1}


def test_none_and_an_empty_list_skip_a_reading_and_zero_does_not() -> None:
    answers = iter([None, [], 0])
    bench = Bench(lambda: next(answers), read_period=1.0)
    bench.steps(5)
    assert bench.rows == [0.0]
    assert not bench.tally.counts


def test_whatever_a_getter_raises_costs_one_reading() -> None:
    errors = iter([ValueError("dry"), SystemExit(3), KeyError("x")])

    def fail() -> float:
        raise next(errors)

    bench = Bench(fail, read_period=1.0)
    bench.steps(5)
    assert bench.tally.counts["getter"] == 3
    assert "ValueError: dry" in bench.failures[0].text
    assert "test_readers.py" in bench.failures[0].text


def test_the_handler_is_asked_for_from_the_limit_on_until_a_good_reading() -> None:
    answers = iter(["x", "x", "x", 1, "x", "x"])
    bench = Bench(lambda: next(answers), read_period=1.0, error_count_limit=2)
    bench.steps(11)
    assert [failure.handle for failure in bench.failures] == [False, True, True, False, True]


def test_constant_mode_waits_after_a_failure_and_after_none() -> None:
    answers = iter([None, "x", None])
    bench = Bench(lambda: next(answers), read_mode="constant", constant_read_error_delay=2.0)
    bench.steps(5)
    assert bench.orders.now == 1004.0


def test_a_trigger_is_one_reading_each_in_schedule_mode_too() -> None:
    bench = Bench(counter(), read_period=1.0)
    bench.orders.take(1, "trigger", 3)
    bench.steps(3)
    assert bench.rows == [0.0, 1.0, 2.0]
    assert bench.orders.now == 1000.0


def test_a_trigger_in_constant_mode_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench(counter(), read_mode="constant")
    bench.orders.take(1, "trigger")
    bench.steps(1)
    assert "no effect" in caplog.text


def test_an_order_that_comes_twice_is_done_once() -> None:
    bench = Bench(counter(), read_mode="trigger")
    assert bench.orders.take(5, "trigger", 1)
    assert not bench.orders.take(5, "trigger", 1)
    assert not bench.orders.take(4, "trigger", 1)
    bench.steps(3)
    assert bench.rows == [0.0]


def test_readings_that_were_asked_for_before_the_stop_are_taken() -> None:
    bench = Bench(counter(), read_mode="trigger")
    bench.orders.take(1, "trigger", 2)
    bench.orders.take(2, "stop")
    bench.reader.run()
    assert bench.rows == [0.0, 1.0]


def test_a_pause_gives_out_no_rows_and_keeps_the_grid() -> None:
    bench = Bench(counter(), read_period=1.0)
    bench.steps(1)
    bench.orders.take(1, "pause")
    bench.orders.wait = lambda _: setattr(bench.orders, "paused", False)  # type: ignore[method-assign]
    bench.orders.now += 7.5
    bench.steps(1)
    assert bench.reader.pace.due == 1008.0
    assert bench.reader.pace.overruns == 0


def test_folding_keeps_the_first_and_the_last_of_a_stretch() -> None:
    answers = iter([0, 0, 0, 1, 1, 2])
    bench = Bench(lambda: next(answers), read_period=1.0, compress=True)
    bench.steps(11)
    assert bench.rows == [0.0, 0.0, 1.0, 1.0, 2.0]


@pytest.mark.parametrize("end", ["stop", "release", "pause"])
def test_the_row_held_back_for_folding_is_given_out_when_asked_for(end: str) -> None:
    bench = Bench(lambda: 1, read_period=1.0, compress=True)
    bench.steps(5)
    assert bench.rows == [1.0]
    bench.orders.take(1, end)
    if end == "stop":
        bench.reader.run()
    else:
        bench.orders.wait = lambda _: setattr(bench.orders, "paused", False)  # type: ignore[method-assign]
        bench.steps(1)
    assert bench.rows == [1.0, 1.0]


def test_nan_equals_nan_when_folding() -> None:
    bench = Bench(lambda: float("nan"), read_period=1.0, compress=True)
    bench.steps(9)
    assert len(bench.rows) == 1


def test_a_constant_getter_fills_batches() -> None:
    bench = Bench(counter(), read_mode="constant", initial_buffer_length=100)
    bench.steps(5)
    assert [batch.n for batch in bench.batches] == [100] * 5


def test_rows_that_have_waited_are_shipped_while_a_getter_hangs() -> None:
    bench = Bench(counter(), read_period=0.001)
    bench.steps(1)
    bench.collector.expire(bench.orders.now)
    bench.collector.expire(bench.orders.now + 1.0)
    assert bench.rows == [0.0]
