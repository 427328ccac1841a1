"""Whatever comes over a socket is a message or one `WireError`, counted; nothing else happens."""

import itertools
import random
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.fuzz_mutate import HOSTILE, Mutator, Pairs, damage, pack
from benchmarks.fuzz_seeds import PUBLISHED, REQUESTS, WorkerMessages
from benchmarks.fuzz_twin import Twin
from h5daq.errors import RequestError, WireError
from h5daq.flow.requests import ErrorCode, decode_answer, decode_request, encode_failure
from h5daq.flow.topics import topic
from h5daq.flow.wire import decode, decode_head, decode_signal, encode
from h5daq.transports.base import Asked
from h5daq.writer.answers import Answers
from h5daq.writer.replies import Replies

SEEDS = st.integers(0, 2**32)


def right_messages(dice, position=lambda _job, _inc: 0):
    return WorkerMessages(dice, time.time, position)


def outcome(read, *given):
    """ "" or the cause for which it was refused."""
    try:
        read(*given)
    except WireError as error:
        return error.cause
    return ""


@pytest.mark.parametrize("kind", ["hello", "rows", "skip", "status", "log", "bye"])
def test_the_messages_that_are_mutated_are_right(kind):
    messages = right_messages(random.Random(1))
    for job in ("fuzz/a", "fuzz/b", "fuzz/c/d", "fuzz/text"):
        assert decode_head(pack(getattr(messages, kind)(job, 1))).k == kind


def test_the_signals_and_requests_that_are_mutated_are_right():
    assert [decode(pack(signal))["k"] for signal in PUBLISHED]
    assert [decode_request([pack(request)]).verb for request in REQUESTS]


@given(SEEDS)
@settings(max_examples=200)
def test_an_intake_takes_a_mutated_message_or_counts_it_once(seed):
    dice, twin = random.Random(seed), Twin()
    messages = right_messages(dice, twin.position)
    mutator = Mutator(dice)
    for message in [messages.hello("fuzz/a", 1), messages.hello("fuzz/text", 1)]:
        twin.take(pack(message))
    for _ in range(10):
        before = twin.refused.total()
        message = mutator.mutate(messages.any())
        refused = outcome(decode_head, message)
        twin.take(message)
        assert twin.refused.total() - before in ((1,) if refused else (0, 1))


@given(SEEDS)
@settings(max_examples=200)
def test_a_mutated_signal_is_a_signal_or_no_message(seed):
    dice = random.Random(seed)
    for signal in PUBLISHED:
        made = Mutator(dice).mutate(signal)
        heading = dice.choice((topic(signal["k"], "tank"), damage(topic(signal["k"]), dice)))
        outcome(decode_signal, heading, made)
        outcome(decode_answer, [made])


class Port:
    """Gives out one request, and keeps what is answered."""

    def __init__(self, frames):
        self.requests, self.answers = [Asked(b"client", frames)], []

    def receive_requests(self):
        taken, self.requests = self.requests, []
        return taken

    def reply(self, _identity, frames):
        self.answers.append(decode_answer(frames))
        return True


class Desk:
    """A desk behind which everything goes well."""

    def __init__(self):
        self.endpoints = {"data": "d"}

    def __getattr__(self, name):
        return lambda *_: ["fuzz/a", "fuzz/text"] if name == "job_names" else {"done": True}


@given(SEEDS)
@settings(max_examples=200)
def test_each_mutated_request_is_answered_once(seed):
    dice, twin = random.Random(seed), Twin()
    for request in REQUESTS:
        port = Port([Mutator(dice).mutate(request)])
        answers = Answers(Desk(), lambda *_: None, lambda: True)
        replies = Replies(port, answers, twin.requests)
        replies.receive()
        replies.send_ready()
        assert len(port.answers) == 1


@pytest.mark.parametrize("kind", ["hello", "rows", "skip", "status", "log", "bye"])
def test_no_hostile_value_in_any_field_brings_the_intake_down(kind):
    twin = Twin()
    messages = right_messages(random.Random(1), twin.position)
    twin.take(pack(messages.hello("fuzz/a", 1)))
    right = getattr(messages, kind)("fuzz/a", 1)
    for name, value in itertools.product(right, HOSTILE):
        twin.take(pack({**right, name: value}))
        twin.take(pack(Pairs([*right.items(), (name, value), (value, name)])))
    assert twin.refused.total() > len(right) * len(HOSTILE)
    assert twin.position("fuzz/a", 1) >= 0


def test_an_error_is_never_too_long_to_be_told():
    long = "\x01" * 1_000_000
    assert len(encode_failure(1, ErrorCode.BAD_ARGUMENT, long)[0]) < 5000
    assert len(str(WireError(long))) == 1000
    with pytest.raises(RequestError, match="must be a number") as failed:
        Answers(Desk(), lambda *_: None, lambda: True).answer("set_write_period", {"period": long})
    assert len(str(failed.value)) < 200
    assert len(encode("refused", cause=str(WireError(long)))) < 2000
