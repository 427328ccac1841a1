"""Options of sockets: how soon a healed network is found again, and what outlives a stall."""

import subprocess
import sys
import threading

import pytest
import zmq

from h5daq.flow.topics import topic
from h5daq.flow.wire import encode
from h5daq.transports import zmq_subscription, zmq_writer
from h5daq.transports.zmq_client import SubscriberLink
from h5daq.transports.zmq_sockets import make_socket

HEAD = """
import sys, subprocess, threading
from h5daq.transports import zmq_sockets, zmq_subscription, zmq_writer
away = threading.Event().wait
"""
LARGE = 500_000

WRITER_THAT_IS_BEHIND = """
port = zmq_writer.WriterPort(*["tcp://127.0.0.1:*"] * 3)
end = sys.argv[1]
peer = subprocess.Popen([sys.executable, "-c", sys.argv[2], getattr(port.endpoints, end)],
                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
peer.stdout.readline()  # no more goes in
peer.kill()
peer.wait()
away(2.5)
print(len(port.receive_data(1000, 1 << 30)) + len(port.receive_requests()) > 0)
"""

PEER = f"""
import sys, zmq
from h5daq.transports import zmq_sockets
socket = zmq_sockets.make_socket(zmq.Context(), KIND, send=10, receive=10)
zmq_sockets.connect(socket, sys.argv[1])
frames = [b"x"] * 300 if KIND == zmq.DEALER else [bytes({LARGE})]
while socket.poll(1000, zmq.POLLOUT):
    socket.send_multipart(frames)
print("full", flush=True)
sys.stdin.read()  # no longer than its parent
"""

SLOW_SUBSCRIBER = """
from h5daq.flow.topics import topic
from h5daq.flow.wire import encode
from h5daq.transports.zmq_client import SubscriberLink
zmq_subscription.SIGNAL_QUEUE = 4
port = zmq_writer.WriterPort(*["tcp://127.0.0.1:*"] * 3)
link = SubscriberLink(port.endpoints.signals, [b""])
beat, over = encode("log", text="x" * 50_000), threading.Event()
def publish():
    while not over.wait(0.0005):
        port.publish(topic("log"), beat)
thread = threading.Thread(target=publish)
thread.start()
heard = 0
for n in range(8):
    while not link.receive(1.0):
        pass
    away(0.3)
    for _ in range(5):
        heard += len(link.receive(0.1))
over.set()
thread.join()
print(heard > 0)
"""


def run(script, *words):
    done = subprocess.run(
        [sys.executable, "-c", HEAD + script, *words], capture_output=True, text=True, timeout=100
    )
    assert (done.stdout, done.stderr, done.returncode) == ("True\n", "", 0)


def test_a_connection_that_gets_no_answer_is_given_up_and_begun_anew_within_seconds():
    with (
        zmq.Context() as context,
        make_socket(context, zmq.PUSH, send=1, receive=0) as socket,
    ):
        # The system's own tries to connect are up to a minute apart after some minutes, and a
        # handshake may take half of one: whoever waits for them misses a network that is back.
        assert 0 < socket.connect_timeout <= 5_000
        assert 0 < socket.handshake_ivl <= 10_000
        # The system notices a peer without power, and ZeroMQ's own beats abort the process.
        probes = socket.tcp_keepalive_idle + socket.tcp_keepalive_intvl * socket.tcp_keepalive_cnt
        assert 0 < probes <= 10
        assert 0 < socket.tcp_maxrt <= 10_000
        assert socket.heartbeat_ivl == 0


@pytest.mark.processes
def test_a_writer_that_is_behind_outlives_a_worker_that_is_killed():
    run(WRITER_THAT_IS_BEHIND, "data", PEER.replace("KIND", "zmq.PUSH"))


@pytest.mark.processes
def test_a_writer_that_is_behind_outlives_a_client_that_is_killed():
    run(WRITER_THAT_IS_BEHIND, "requests", PEER.replace("KIND", "zmq.DEALER"))


@pytest.mark.processes
def test_a_subscriber_that_looks_away_outlives_a_flood_of_signals():
    run(SLOW_SUBSCRIBER)


def test_a_subscriber_connects_anew_to_a_writer_that_has_fallen_silent(monkeypatch, wait_until):
    monkeypatch.setattr(zmq_subscription, "_SILENT_SECONDS", 0.3)
    with zmq.Context() as context, context.socket(zmq.XPUB) as writer:
        writer.linger, writer.xpub_verbose = 0, True
        port = writer.bind_to_random_port("tcp://127.0.0.1")
        with SubscriberLink(f"tcp://127.0.0.1:{port}", [topic("log")]) as link:
            wishes = [writer.recv(), writer.recv()]
            assert {b"\1log/", b"\1heartbeat/"} == set(wishes)
            writer.send_multipart([topic("heartbeat"), encode("heartbeat", boot="b", run="r")])
            # What it has not asked for it does not get, nor is its time cut short by it.
            wait_until(lambda: link.receive(0.05) or writer.poll(0))
            news = [writer.recv() for _ in range(2)]
            assert set(news) <= {b"\1log/", b"\1heartbeat/", b"\0log/", b"\0heartbeat/"}


def test_a_subscriber_that_does_not_look_does_not_take_that_for_silence(monkeypatch):
    monkeypatch.setattr(zmq_subscription, "_SILENT_SECONDS", 0.0)
    with zmq.Context() as context, context.socket(zmq.XPUB) as writer:
        writer.linger = 0
        port = writer.bind_to_random_port("tcp://127.0.0.1")
        with SubscriberLink(f"tcp://127.0.0.1:{port}", [topic("log")]) as link:
            assert {writer.recv(), writer.recv()} == {b"\1log/", b"\1heartbeat/"}
            threading.Event().wait(0.05)
            # Nor one who was never told a beat: an older writer, or another program.
            assert link.receive(0.05) == []
            assert not writer.poll(50)


def test_who_asks_again_at_once_keeps_no_other_from_being_heard(wait_until):
    with zmq_writer.WriterPort(*["tcp://127.0.0.1:*"] * 3) as port, zmq.Context() as context:
        client, worker = context.socket(zmq.DEALER), context.socket(zmq.PUSH)
        client.connect(port.endpoints.requests)
        worker.connect(port.endpoints.data)

        def data_came_beside_a_request():
            client.send(b"again")
            while not (events := port.poll(1.0)).requests:
                pass
            (asked,) = port.receive_requests()
            assert port.reply(asked.identity, asked.frames)
            assert client.recv() == b"again"
            return events.data

        assert not any(data_came_beside_a_request() for _ in range(50))
        worker.send(b"row")
        wait_until(data_came_beside_a_request)
        assert [bytes(frame.buffer) for frame in port.receive_data(10, 1000)] == [b"row"]
        worker.send(b"row")
        wait_until(lambda: port.poll(1.0).data)
        port.wake()
        assert port.poll(3600.0, data=False) == port.poll(0.0, data=False) == (False, False)
        context.destroy(linger=0)
