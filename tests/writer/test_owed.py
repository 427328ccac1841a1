"""What is on its way counts until the socket is done with it, for its connection and its key."""

import tempfile

import pytest

from h5daq.errors import RequestError
from h5daq.transports.zmq import ClientLink, WriterPort
from h5daq.writer.owed import Owed

MIB = 1 << 20


def test_the_connections_of_a_key_are_owed_four_times_as_much_as_one():
    owed, frames = Owed(most=MIB), []
    for connection in (b"a", b"b", b"c", b"d"):
        owed.check(connection, "key")
        frames += owed.note(connection, "key", [b"head", bytes(MIB)])
    with pytest.raises(RequestError, match="this key"):
        owed.check(b"e", "key")
    owed.check(b"e", "another")
    with pytest.raises(RequestError, match="this connection"):
        owed.check(b"a", "another")
    frames.clear()
    owed.check(b"a", "key")


def test_short_answers_do_not_count():
    owed = Owed(most=1)
    frames = [owed.note(b"a", "", [b"head", bytes(1000)]) for _ in range(100)]
    owed.check(b"a", "")
    assert len(frames) == 100


def test_a_page_counts_until_its_bytes_have_left(wait_until):
    with (
        tempfile.TemporaryDirectory(prefix="h5_") as folder,
        WriterPort(*(f"ipc://{folder}/{name}" for name in "drs")) as port,
        ClientLink(port.endpoints.requests) as client,
    ):
        assert client.send([b"question"])
        wait_until(lambda: port.poll(1.0).requests, what="the request")
        (asked,) = port.receive_requests()
        owed = Owed(most=8 * MIB)
        assert port.reply(asked.identity, owed.note(asked.identity, "", [b"", bytes(8 * MIB)]))
        answer = wait_until(lambda: client.receive(1.0), what="the answer")
        assert len(answer[1]) == 8 * MIB
        wait_until(lambda: free(owed, asked.identity), what="the end of what it was sent from")


def free(owed, identity):
    try:
        owed.check(identity, "")
    except RequestError:
        return False
    return True
