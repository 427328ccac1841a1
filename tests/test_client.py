"""The client: asks over real sockets, and says clearly when nobody answers."""

import itertools
import json
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from h5daq.client import Client, Subscription, _reachable, connect, subscribe
from h5daq.errors import NoAnswer, RequestError
from h5daq.flow import wire
from h5daq.flow.requests import ErrorCode, decode_request, encode_failure, encode_reply
from h5daq.flow.topics import topic
from h5daq.transports.zmq import WriterPort


class Echo(threading.Thread):
    """A writer that answers every request with its verb and arguments."""

    def __init__(self, port):
        super().__init__(daemon=True)
        self.port = port
        self.ending = False

    def run(self):
        while not self.ending:
            self.port.poll(1.0)
            for identity, frames, _ in self.port.receive_requests():
                self.answer(identity, decode_request(frames))

    def answer(self, identity, request):
        if request.verb == "fail":
            failure = encode_failure(request.id, ErrorCode.BAD_ARGUMENT, "no such job")
            self.port.reply(identity, failure)
        elif request.verb != "silence":
            result = {"verb": request.verb, "signals": self.port.endpoints.signals, **request.args}
            self.port.reply(identity, encode_reply(request.id, result))

    def end(self):
        self.ending = True
        self.port.wake()
        self.join()


@pytest.fixture
def port():
    # Not tmp_path: the path of a socket may not be longer than some hundred characters.
    with (
        tempfile.TemporaryDirectory(prefix="h5_") as folder,
        WriterPort(*(f"ipc://{folder}/{name}" for name in "drs")) as port,
    ):
        echo = Echo(port)
        echo.start()
        yield port
        echo.end()


@pytest.fixture
def client(port):
    with Client(port.endpoints.requests) as client:
        yield client


def test_a_request_brings_its_answer(client):
    answer = client.request("flush", timeout=60.0, depth=2)
    assert (answer["verb"], answer["depth"]) == ("flush", 2)


def test_a_refusal_is_raised_with_code_and_text(client):
    with pytest.raises(RequestError, match="no such job") as caught:
        client.request("fail", timeout=60.0)
    assert caught.value.code == ErrorCode.BAD_ARGUMENT


def test_silence_is_an_error_that_names_verb_and_endpoint(client):
    with pytest.raises(NoAnswer, match=r"silence: no answer from ipc://"):
        client.request("silence", timeout=0.01)
    assert client.request("ping", timeout=60.0)["verb"] == "ping"


def test_several_threads_get_each_their_own_answer(client):
    def ask(number):
        return client.request("ping", timeout=60.0, number=number)["number"]

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(ask, range(40))) == list(range(40))


def test_the_signals_endpoint_is_asked_for_once(client, port):
    assert client.signals_endpoint == port.endpoints.signals
    assert client.signals_endpoint == port.endpoints.signals


@pytest.mark.parametrize(
    ("bound", "reached"),
    [
        ("tcp://0.0.0.0:5571", "tcp://daq0:5571"),
        ("tcp://[::]:5571", "tcp://daq0:5571"),
        ("tcp://10.0.0.1:5571", "tcp://10.0.0.1:5571"),
        ("ipc:///run/x", "ipc:///run/x"),
    ],
)
def test_a_wildcard_address_is_seen_from_where_the_writer_is_reached(bound, reached):
    assert _reachable(bound, "tcp://daq0:5570") == reached


def test_a_writer_is_found_by_its_directory(tmp_path, port):
    file = tmp_path / ".h5daq" / "endpoints.json"
    file.parent.mkdir()
    file.write_text(json.dumps(port.endpoints._asdict()))
    with connect(directory=tmp_path) as client:
        assert client.request("ping", timeout=60.0)["verb"] == "ping"
        assert client.signals_endpoint == port.endpoints.signals


def test_a_directory_without_a_writer_is_named_with_the_way_out(tmp_path: Path):
    with pytest.raises(NoAnswer, match=r"no writer is running in .*--connect"):
        connect(directory=tmp_path)


def test_signals_come_in_order_and_only_those_asked_for(port):
    with subscribe(port.endpoints.signals, path="tank", timeout=60.0) as signals:
        until_heard(port, signals)
        for number in range(3):
            publish(port, "tank2/T", -1)
            publish(port, "tank/T", number)
        told = [signal.payload["total"] for signal in itertools.islice(signals, 3)]
    assert told == [0, 1, 2]


def until_heard(port, signals):
    """Publish until a subscription, which takes its time, is in effect; then take all of that."""
    heard = []
    while not heard:
        publish(port, "tank/T", 100)
        with suppress(NoAnswer):
            heard = signals.receive(0.01)
    publish(port, "tank/T", 101)
    while heard[-1].payload["total"] != 101:
        heard = signals.receive(60.0)


def publish(port, path, total):
    message = wire.encode("data-available", path=path, total=total)
    port.publish(topic("data-available", path), message)


def test_no_signal_in_time_is_an_error(port):
    with Subscription(port.endpoints.signals, timeout=0.01) as signals, pytest.raises(NoAnswer):
        next(signals)
