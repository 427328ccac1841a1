"""What one connection may ask, and how often: floods are refused, and nobody else notices."""

from collections import Counter

import pytest

from h5daq.errors import NotAllowed, TooManyRequests
from h5daq.flow.ratelimit import KEY_SHARE, MAX_WAITING, RateLimit
from h5daq.flow.requests import Failure, Reply, Request, decode_answer, encode_request
from h5daq.flow.roles import Role
from h5daq.keys import KeyDirectory
from h5daq.transports.base import Asked
from h5daq.writer.answers import Later
from h5daq.writer.guard import Guard
from h5daq.writer.replies import Replies


class Desk:
    """Port and answers in one: requests are put in, answers kept; a flush waits until `done`."""

    def __init__(self):
        self.requests, self.said, self.done = [], [], False

    def receive_requests(self):
        taken, self.requests = self.requests, []
        return taken

    def reply(self, identity, frames):
        self.said.append((identity, decode_answer([bytes(frame) for frame in frames])))
        return True

    def answer(self, verb, args):
        return Later(lambda: self.done, lambda: "flushed") if verb == "flush" else verb

    def ask(self, who, verb, times=1, user=""):
        frames = [bytes(frame) for frame in encode_request(Request(1, verb))]
        self.requests += [Asked(who, frames, user)] * times


@pytest.fixture
def desk():
    return Desk()


def test_a_flood_is_refused_and_the_others_are_answered(desk):
    refused = Counter()
    replies = Replies(desk, desk, refused, limit=RateLimit(1.0, 3.0), clock=lambda: 0.0)
    desk.ask(b"flood", "ping", 10)
    desk.ask(b"other", "ping")
    replies.receive()
    kinds = Counter((who, type(answer)) for who, answer in desk.said)
    assert kinds == {(b"flood", Reply): 3, (b"flood", Failure): 7, (b"other", Reply): 1}
    error = next(answer for _, answer in desk.said if isinstance(answer, Failure)).error()
    assert isinstance(error, TooManyRequests)
    assert "too many requests" in str(error)
    assert refused == {"rate": 7}


def test_one_connection_waits_for_so_many_answers_at_most(desk):
    replies = Replies(desk, desk, Counter())
    desk.ask(b"a", "flush", MAX_WAITING + 5)
    desk.ask(b"b", "flush")
    replies.receive()
    assert [who for who, _ in desk.said] == [b"a"] * 5
    desk.done = True
    replies.send_ready()
    told = Counter(who for who, answer in desk.said if isinstance(answer, Reply))
    assert told == {b"a": MAX_WAITING, b"b": 1}


def test_the_connections_of_one_key_together_have_a_limit_too(desk):
    refused = Counter()
    replies = Replies(desk, desk, refused, limit=RateLimit(1.0, 3.0), clock=lambda: 0.0)
    for number in range(10):
        desk.ask(b"%d" % number, "ping", 3, user="anna's")
    desk.ask(b"ben", "ping", 3, user="ben's")
    replies.receive()
    kinds = Counter((who == b"ben", type(answer)) for who, answer in desk.said)
    most = 3 * KEY_SHARE
    assert kinds == {(False, Reply): most, (False, Failure): 30 - most, (True, Reply): 3}
    assert any("one key may ask" in str(a.error()) for _, a in desk.said if isinstance(a, Failure))


def test_the_connections_of_one_key_together_wait_for_so_many_answers_at_most(desk):
    replies = Replies(desk, desk, Counter())
    for number in range(KEY_SHARE + 1):
        desk.ask(b"%d" % number, "flush", MAX_WAITING, user="anna's")
    desk.ask(b"ben", "flush", user="ben's")
    replies.receive()
    assert [who for who, _ in desk.said] == [b"%d" % KEY_SHARE] * MAX_WAITING


def test_an_answer_to_a_key_that_was_revoked_meanwhile_is_not_sent(desk, tmp_path):
    keys = KeyDirectory(tmp_path / "keys")
    keys.make()
    anna = keys.add("anna", Role.OPERATOR)
    guard = Guard(str(keys.path))
    replies = Replies(desk, desk, Counter(), guard)
    desk.ask(b"a", "flush", user=anna.public)
    replies.receive()
    keys.revoke("anna")
    assert guard.refresh()
    desk.done = True
    replies.send_ready()
    assert desk.said == []
    desk.ask(b"a", "ping", user=anna.public)
    replies.receive()
    error = desk.said[0][1].error()
    assert isinstance(error, NotAllowed)
    assert "'anna'" in str(error)
    assert anna.public not in str(error)
