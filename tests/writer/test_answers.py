"""Requests: each is answered, whatever it asks for, and an answer that must wait comes later."""

import math

import pytest

from h5daq.errors import RequestError
from h5daq.flow.requests import (
    ErrorCode,
    Failure,
    Reply,
    Request,
    decode_answer,
    encode_request,
)
from h5daq.writer import answers as module
from h5daq.writer.answers import Answers, Later
from h5daq.writer.replies import Replies


class Desk:
    """What the answers ask, without a writer behind it."""

    def __init__(self):
        self.endpoints = {"data": "d", "requests": "r", "signals": "s"}
        self.orders, self.period, self.done = [], None, False
        self.peeked = {"T": 1.0}
        self.wrong = ""

    def trouble(self):
        return self.wrong

    def job_names(self):
        return ["a", "b"]

    def order(self, job, verb, n):
        self.orders.append((job, verb, n))

    def set_write_period(self, period, jitter):
        self.period = (period, jitter)

    def request_flush(self):
        return 7

    def flushed(self, lsn):
        return self.done and lsn == 7

    def newest(self, job):
        return self.peeked

    def glimpse(self, job, label):
        return {"of": label}

    def file_state(self):
        return {"file": "x.h5"}

    def status(self):
        return {"jobs": {}}

    def stop_report(self):
        return {"files": [], "held": {}}


class Bench:
    def __init__(self):
        self.desk, self.stops, self.stopped = Desk(), [], False
        self.answers = Answers(self.desk, self.begin_stop, lambda: self.stopped)

    def begin_stop(self, timeout, gone):
        self.stops.append((timeout, gone))


@pytest.fixture
def bench():
    return Bench()


def refusal(bench, verb, **args):
    with pytest.raises(RequestError) as caught:
        bench.answers.answer(verb, args)
    return caught.value


def test_an_unknown_verb_is_refused_with_those_that_are_known(bench):
    error = refusal(bench, "fly")
    assert error.code == ErrorCode.UNKNOWN_VERB
    assert "flush" in str(error)


@pytest.mark.parametrize("jobs", [5, "a", {"a": 1}, ["c"], [["a"]], [None]])
def test_orders_for_what_is_no_list_of_known_jobs_are_refused(bench, jobs):
    assert refusal(bench, "pause", jobs=jobs).code == ErrorCode.BAD_ARGUMENT
    assert bench.desk.orders == []


@pytest.mark.parametrize("n", [0, -1, math.nan, math.inf, 1 << 62, "2", True, None])
def test_a_senseless_count_of_triggers_is_refused(bench, n):
    assert refusal(bench, "trigger", jobs=["a"], n=n).code == ErrorCode.BAD_ARGUMENT


def test_an_order_without_jobs_is_for_all(bench):
    assert bench.answers.answer("pause", {}) == {"jobs": ["a", "b"]}
    assert bench.desk.orders == [("a", "pause", 1), ("b", "pause", 1)]


@pytest.mark.parametrize(
    ("period", "jitter"), [(1, 1), (0, 0), (math.inf, 0), (math.nan, 0), (2, -1)]
)
def test_a_senseless_write_period_is_refused(bench, period, jitter):
    error = refusal(bench, "set_write_period", period=period, jitter=jitter)
    assert error.code == ErrorCode.BAD_ARGUMENT
    assert bench.desk.period is None


def test_a_flush_is_answered_when_its_rows_are_in_the_files(bench):
    later = bench.answers.answer("flush", {})
    assert isinstance(later, Later)
    assert not later.ready()
    bench.desk.done = True
    assert later.ready()
    assert later.result() == {"file": "x.h5"}


def test_a_flush_on_a_disk_that_takes_nothing_is_refused_with_what_it_says(bench, monkeypatch):
    monkeypatch.setattr(module, "_TRIED_SECONDS", 0.0)
    later = bench.answers.answer("flush", {})
    assert not later.ready()
    bench.desk.wrong = "no space left"
    assert later.ready()
    with pytest.raises(RequestError, match="no space left") as caught:
        later.result()
    assert caught.value.code == ErrorCode.STORAGE


@pytest.mark.parametrize("gone", [5, "a"])
def test_a_stop_whose_list_is_none_is_refused(bench, gone):
    assert refusal(bench, "stop", gone=gone).code == ErrorCode.BAD_ARGUMENT
    assert bench.stops == []


def test_a_stop_says_who_need_not_be_waited_for(bench):
    later = bench.answers.answer("stop", {"drain_timeout": 2, "gone": ["a"]})
    assert bench.stops == [(2.0, ["a"])]
    assert not later.ready()


# -- over the sockets ------------------------------------------------------------------------


@pytest.fixture
def asked(bench, net, port):
    """Send a request, let the writer serve, and give what comes back, if anything."""
    bench.replies = Replies(port, bench.answers, refused={})
    link = net.client("memory://requests")

    def ask(request):
        link.send(encode_request(request) if isinstance(request, Request) else request)
        bench.replies.receive()
        return answer()

    def answer():
        frames = link.receive(0.0)
        return None if frames is None else decode_answer(frames)

    ask.answer = answer
    return ask


def test_bytes_that_are_no_request_are_answered_too(asked, bench):
    bench.replies._refused.update({"truncated": 0, "malformed": 0, "version": 0})
    answer = asked([b"\xc1"])
    assert isinstance(answer, Failure)
    assert answer.code == ErrorCode.BAD_REQUEST


def test_an_answer_that_waits_does_not_keep_others_waiting(asked, bench):
    assert asked(Request(1, "flush")) is None
    assert isinstance(asked(Request(2, "ping")), Reply)
    bench.desk.done = True
    bench.replies.send_ready()
    assert asked.answer() == Reply(1, {"file": "x.h5"})


def test_a_glimpse_is_of_one_column(asked):
    assert asked(Request(1, "glimpse", {"job": "a", "column": "im"})).result == {"of": "im"}
    for args in ({"job": "a"}, {"job": "a", "column": 7}, {"job": "c", "column": "im"}):
        assert asked(Request(2, "glimpse", args)).code == ErrorCode.BAD_ARGUMENT


def test_an_answer_that_has_no_form_on_the_wire_is_a_failure_and_no_harm(asked, bench):
    bench.desk.peeked = {"T": object()}
    answer = asked(Request(1, "peek", {"job": "a"}))
    assert isinstance(answer, Failure)
    assert answer.code == ErrorCode.INTERNAL
    assert asked(Request(2, "ping")).id == 2
