"""The exam that every transport takes.

Each check opens a writer's port at fresh endpoints and lets the other ends meet it. They check
what the delivery and the clients rely on: whole messages in order, no call that blocks, slow and
dead peers that harm nobody else, ends that find a restarted writer again.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from h5daq.errors import ConfigError, NoAnswer
from h5daq.flow.requests import (
    Note,
    Reply,
    Request,
    decode_answer,
    decode_request,
    encode_note,
    encode_reply,
    encode_request,
)
from h5daq.flow.topics import prefixes, topic
from h5daq.flow.wire import encode
from h5daq.transports.base import (
    DATA_QUEUE,
    SEND_QUEUE,
    SIGNAL_QUEUE,
    Endpoints,
    Frame,
    Signal,
    SubscriberLink,
    Transport,
    WorkerLink,
    WriterPort,
)

__all__ = ["TRANSPORT_CHECKS", "check_transport"]

DEADLINE = 30.0
"""Seconds after which what should happen will not."""

SOON = 2.0
"""Seconds that a call which must not block may take on a machine under load."""

T = TypeVar("T")
Check = Callable[[Transport, Endpoints], None]


def check_transport(transport: Transport, endpoints: Callable[[], Endpoints]) -> None:
    """Put a transport to every check.

    Parameters
    ----------
    transport : Transport
        The transport.
    endpoints : callable
        Gives endpoints to listen on that nobody uses, new ones at each call.

    Raises
    ------
    AssertionError
        At the first check that it fails.
    """
    for check in TRANSPORT_CHECKS:
        check(transport, endpoints())


# -- the checks -----------------------------------------------------------------------------------


def messages_arrive_whole_and_in_order(transport: Transport, at: Endpoints) -> None:
    """Whatever their size, as bytes and as views."""
    sizes = [1, 100, 65_535, 65_536, 1 << 20, 0, 7]
    messages = [bytes([i]) * size for i, size in enumerate(sizes)]
    with _writer(transport, at) as port, _worker(transport, port) as link:
        for message in messages:
            _send(link, memoryview(message))
        assert _receive(port, len(messages)) == messages


def a_read_stops_at_its_limits(transport: Transport, at: Endpoints) -> None:
    """Of messages or of bytes, whichever comes first; the rest stays."""
    with _writer(transport, at) as port, _worker(transport, port) as link:
        for _ in range(20):
            _send(link, b"x" * 1000)
        assert len(_until(lambda: port.receive_data(1, 1 << 20), port)) == 1
        assert len(_until(lambda: port.receive_data(100, 1500), port)) <= 2
        assert len(_receive(port, 17)) >= 17


def a_send_without_a_writer_says_so(transport: Transport, at: Endpoints) -> None:
    """And never waits."""
    at = _vacant(transport, at)
    with transport.worker(at.data, at.signals, "tank") as link:
        assert _quick(lambda: [link.send(b"x") for _ in range(10)]) == [False] * 10


def a_writer_that_does_not_read_stops_the_sender(transport: Transport, at: Endpoints) -> None:
    """Queues are finite; when it reads again, all that was taken arrives, in order."""
    with _writer(transport, at) as port, _worker(transport, port) as link:
        message, most = b"x" * 50_000, DATA_QUEUE + SEND_QUEUE + 10_000
        taken = _quick(lambda: next(i for i in range(most) if not link.send(_mark(i, message))))
        got = [int(m[:8]) for m in _receive(port, taken)]
        assert got == list(range(taken))


def threads_may_send_at_once(transport: Transport, at: Endpoints) -> None:
    """Each thread's messages arrive whole and in its order."""
    with _writer(transport, at) as port, _worker(transport, port) as link:

        def feed(name: bytes) -> None:
            for i in range(200):
                _send(link, b"%b %d" % (name, i))

        threads = [threading.Thread(target=feed, args=(name,)) for name in (b"a", b"b")]
        for thread in threads:
            thread.start()
        got = _receive(port, 400)
        for thread in threads:
            thread.join()
        for name in (b"a", b"b"):
            assert [m for m in got if m[:1] == name] == [b"%b %d" % (name, i) for i in range(200)]


def a_worker_hears_what_is_for_its_job(transport: Transport, at: Endpoints) -> None:
    """And heartbeats; nothing for a job whose name begins like its own."""
    with _writer(transport, at) as port, transport.worker(*_for_worker(port), "tank") as link:
        _hears(port, link, topic("heartbeat"), _heartbeat())
        port.publish(topic("position", "tank2"), _position(1))
        port.publish(topic("position", "tank/top"), _position(2))
        port.publish(topic("position", "tank"), _position(3))
        got = _until(lambda: _positions(link.receive(0.1)), port)
        assert got[-1] == (b"position tank/", 3)
        assert (b"position tank2/", 1) not in got


def a_subscriber_hears_its_prefixes(transport: Transport, at: Endpoints) -> None:
    """Those it has now: they can be changed."""
    kinds = prefixes(["new-dir"], "tank")
    with _writer(transport, at) as port, _subscriber(transport, port, kinds) as listener:
        _hears(port, listener, topic("new-dir", "tank"), _new_dir("tank"))
        listener.subscribe(b"alarm/")
        _hears(port, listener, topic("alarm"), encode("alarm"))
        listener.unsubscribe(kinds[0])
        _until(lambda: _deaf(port, listener), port)


def a_subscriber_that_does_not_read_harms_nobody(transport: Transport, at: Endpoints) -> None:
    """It misses signals; publishing never waits, and others hear all that they read."""
    everything = prefixes(["new-dir"])
    with (
        _writer(transport, at) as port,
        _subscriber(transport, port, everything) as slow,
        _subscriber(transport, port, everything) as brisk,
    ):
        _hears(port, slow, topic("new-dir", "warm"), _new_dir("up"))
        _hears(port, brisk, topic("new-dir", "warm"), _new_dir("up"))
        payload = encode("new-dir", path="x" * 10_000, name="y")

        def flood() -> None:
            for _ in range(5 * SIGNAL_QUEUE):
                port.publish(b"new-dir x/", payload)

        _quick(flood)
        _hears(port, brisk, topic("new-dir", "after"), _new_dir("after"))


def what_is_no_message_is_counted(transport: Transport, at: Endpoints) -> None:
    """And passed over: what follows is heard."""
    everything = prefixes(["new-dir"])
    with _writer(transport, at) as port, _subscriber(transport, port, everything) as listener:
        _hears(port, listener, topic("new-dir", "a"), _new_dir("a"))
        port.publish(b"new-dir a/", b"\xc1 no msgpack")
        _hears(port, listener, topic("new-dir", "b"), _new_dir("b"))
        assert listener.rejected.total() == 1


def publishing_from_a_thread_is_safe(transport: Transport, at: Endpoints) -> None:
    """While another one polls and reads."""
    everything = prefixes(["new-dir"])
    with _writer(transport, at) as port, _subscriber(transport, port, everything) as listener:
        _hears(port, listener, topic("new-dir", "a"), _new_dir("a"))
        names = [str(i) for i in range(300)]

        def tell() -> None:
            for name in names:
                port.publish(b"new-dir t/", _new_dir(name))

        with _worker(transport, port) as link, _running(tell):
            _send(link, b"row")
            assert _receive(port, 1) == [b"row"]
            heard: list[str] = []
            _until(lambda: _names(listener, heard)[-1:] == names[-1:], port)
        assert heard[-300:] == names


def a_bell_ends_a_wait(transport: Transport, at: Endpoints) -> None:
    """Of the writer, a worker and a subscriber, from another thread and before the wait."""
    with (
        _writer(transport, at) as port,
        transport.worker(*_for_worker(port), "tank") as link,
        _subscriber(transport, port, [b"alarm/"]) as listener,
    ):
        waits: list[tuple[Callable[[], None], Callable[[float], Any]]] = [
            (port.wake, port.poll),
            (link.wake, link.receive),
            (listener.wake, listener.receive),
        ]
        for wake, wait in waits:
            wake()
            _quick(lambda wait=wait: wait(DEADLINE))  # type: ignore[misc]
            with _running(wake):
                _quick(lambda wait=wait: wait(DEADLINE))  # type: ignore[misc]
        assert port.poll(0.0) == (False, False)


def an_iteration_ends_when_told(transport: Transport, at: Endpoints) -> None:
    """From another thread, and what came before is given out."""
    with _writer(transport, at) as port, _subscriber(transport, port, [b"alarm/"]) as listener:
        heard: list[Signal] = []

        def follow() -> None:
            heard.extend(listener)

        def tell() -> bool:
            port.publish(b"alarm/", encode("alarm"))
            return bool(heard)

        with _running(follow):
            _until(tell, port)
            listener.stop()
        assert heard[0][0] == b"alarm/"


def a_request_gets_its_reply_after_the_notes(transport: Transport, at: Endpoints) -> None:
    """On one line, in the order in which they were sent."""
    with _writer(transport, at) as port, transport.client(port.endpoints.requests) as client:
        with _serving(port, notes=2):
            answer = client.request(encode_request(Request(1, "echo", frames=(b"abc",))), DEADLINE)
        assert decode_answer(answer) == Reply(1, "echo", (b"abc",))
        assert [decode_answer(note) for note in client.notes()] == [
            Note(0, "new", 0),
            Note(0, "new", 1),
        ]


def a_request_without_an_answer_ends_in_time(transport: Transport, at: Endpoints) -> None:
    """Also where nobody listens; a later answer to it isn't taken for another's."""
    with transport.client(_vacant(transport, at).requests) as client:
        _raises(NoAnswer, lambda: client.request(encode_request(Request(1, "echo")), 0.05))
    with _writer(transport, at) as port, transport.client(port.endpoints.requests) as client:
        _raises(NoAnswer, lambda: client.request(encode_request(Request(1, "late")), 0.05))
        with _serving(port, count=2):
            answer = client.request(encode_request(Request(2, "echo")), DEADLINE)
        assert decode_answer(answer) == Reply(2, "echo")


def a_reply_to_nobody_says_so(transport: Transport, at: Endpoints) -> None:
    """A client that has gone, or never was."""
    with _writer(transport, at) as port:
        assert not port.reply(b"nobody", encode_reply(1))
        with transport.client(port.endpoints.requests) as client:
            client.send(encode_request(Request(1, "echo")))
            [(identity, _)] = _until(port.receive_requests, port)
            assert port.reply(identity, encode_reply(1))
            assert client.receive(DEADLINE) is not None
        _until(lambda: not port.reply(identity, encode_reply(1)), port)


def a_taken_endpoint_is_named(transport: Transport, at: Endpoints) -> None:
    """And what was opened by then is closed again."""
    with _writer(transport, at) as port:
        error = _raises(ConfigError, lambda: transport.writer(*port.endpoints))
        assert port.endpoints.data in str(error)


def a_restarted_writer_is_found_again(transport: Transport, at: Endpoints) -> None:
    """By workers, clients and subscribers, with nothing done by them."""
    with _writer(transport, at) as port:
        real = port.endpoints
        link = transport.worker(real.data, real.signals, "tank")
        client = transport.client(real.requests)
        _send(link, b"before")
        _receive(port, 1)
    with link, client, _again(transport, real) as port:
        _send(link, b"after")
        assert _receive(port, 1) == [b"after"]
        _hears(port, link, topic("heartbeat"), _heartbeat())
        with _serving(port):
            assert client.request(encode_request(Request(3, "echo")), DEADLINE)


def a_link_that_moves_on_leaves_nothing_behind(transport: Transport, at: Endpoints) -> None:
    """What the old writer has not read does not come to the new one."""
    with _writer(transport, at) as old:
        link = transport.worker(*_for_worker(old), "tank")
        for _ in range(5):
            _send(link, b"old")
        with link, transport.writer(*(_other(e) for e in at)) as new:
            link.reconnect(*_for_worker(new))
            _send(link, b"new")
            assert _receive(new, 1) == [b"new"]
            _hears(new, link, topic("heartbeat"), _heartbeat())


def closing_is_quick_and_may_be_repeated(transport: Transport, at: Endpoints) -> None:
    """Also with messages that nobody has read."""
    with _writer(transport, at) as port:
        link, client = _worker(transport, port), transport.client(port.endpoints.requests)
        _send(link, b"x" * 1000)
        client.send(encode_request(Request(1, "echo")))
        for end in (link, client):
            _quick(end.close)
            end.close()
        assert not link.send(b"x")


TRANSPORT_CHECKS: tuple[Check, ...] = (
    messages_arrive_whole_and_in_order,
    a_read_stops_at_its_limits,
    a_send_without_a_writer_says_so,
    a_writer_that_does_not_read_stops_the_sender,
    threads_may_send_at_once,
    a_worker_hears_what_is_for_its_job,
    a_subscriber_hears_its_prefixes,
    a_subscriber_that_does_not_read_harms_nobody,
    what_is_no_message_is_counted,
    publishing_from_a_thread_is_safe,
    a_bell_ends_a_wait,
    an_iteration_ends_when_told,
    a_request_gets_its_reply_after_the_notes,
    a_request_without_an_answer_ends_in_time,
    a_reply_to_nobody_says_so,
    a_taken_endpoint_is_named,
    a_restarted_writer_is_found_again,
    a_link_that_moves_on_leaves_nothing_behind,
    closing_is_quick_and_may_be_repeated,
)
"""All of them; each takes a transport and endpoints that nobody uses."""


# -- what they are made of ------------------------------------------------------------------------


def _writer(transport: Transport, at: Endpoints) -> WriterPort:
    return transport.writer(at.data, at.requests, at.signals)


def _vacant(transport: Transport, at: Endpoints) -> Endpoints:
    """Real endpoints where nobody listens."""
    with _writer(transport, at) as port:
        return port.endpoints


def _again(transport: Transport, at: Endpoints) -> WriterPort:
    """A writer where one has just closed: the system may take a moment to free its ports."""

    def attempt() -> WriterPort | None:
        try:
            return _writer(transport, at)
        except ConfigError:
            return None

    return _until(attempt)


def _for_worker(port: WriterPort) -> tuple[str, str]:
    return port.endpoints.data, port.endpoints.signals


def _worker(transport: Transport, port: WriterPort) -> WorkerLink:
    return transport.worker(*_for_worker(port), "tank")


def _subscriber(transport: Transport, port: WriterPort, at: Sequence[bytes]) -> SubscriberLink:
    return transport.subscriber(port.endpoints.signals, at)


def _other(endpoint: str) -> str:
    """Another endpoint of the same kind; one with a free port stays as it is."""
    return endpoint if endpoint.endswith("*") else endpoint + "-other"


def _until(attempt: Callable[[], T | None], port: WriterPort | None = None) -> T:
    """What `attempt` gives once it gives something; a port is polled in between."""
    deadline = time.monotonic() + DEADLINE
    pause = threading.Event()
    while not (result := attempt()):
        assert time.monotonic() < deadline, "it did not happen in time"
        if port is None or not any(port.poll(0.005)):
            pause.wait(0.005)
    return result


def _quick(call: Callable[[], T]) -> T:
    start = time.monotonic()
    result = call()
    assert time.monotonic() - start < SOON, "a call that must not block did"
    return result


def _raises(kind: type[Exception], call: Callable[[], object]) -> Exception:
    try:
        call()
    except kind as error:
        return error
    raise AssertionError(f"no {kind.__name__}")


@contextmanager
def _running(work: Callable[[], None]) -> Iterator[None]:
    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        thread.join(DEADLINE)
        assert not thread.is_alive(), "a thread did not end"


@contextmanager
def _serving(port: WriterPort, *, notes: int = 0, count: int = 1) -> Iterator[None]:
    """Answer `count` requests, each with its verb and frames, after `notes` notes."""

    def serve() -> None:
        served = 0
        deadline = time.monotonic() + DEADLINE
        while served < count and time.monotonic() < deadline:
            port.poll(0.05)
            for identity, frames in port.receive_requests():
                _serve(port, identity, decode_request(frames), notes)
                served += 1

    with _running(serve):
        yield


def _serve(port: WriterPort, identity: bytes, request: Request, notes: int) -> None:
    for mid in range(notes):
        assert port.reply(identity, encode_note(Note(0, "new", mid)))
    assert port.reply(identity, encode_reply(request.id, request.verb, request.frames))


def _send(link: WorkerLink, message: bytes | memoryview) -> None:
    _until(lambda: link.send(message))


def _receive(port: WriterPort, count: int) -> list[bytes]:
    got: list[Frame] = []

    def read() -> bool:
        got.extend(port.receive_data(100, 1 << 30))
        return len(got) >= count

    _until(read, port)
    return [bytes(frame.buffer) for frame in got]


def _hears(
    port: WriterPort, listener: WorkerLink | SubscriberLink, topic: bytes, payload: bytes
) -> None:
    """A signal reaches a listener; it is repeated, as a new subscription takes a moment."""

    def tell() -> bool:
        port.publish(topic, payload)
        return any(heard == topic for heard, _ in listener.receive(0.02))

    _until(tell)


def _deaf(port: WriterPort, listener: SubscriberLink) -> bool:
    """Whether a listener that hears alarms no longer hears of the directory."""
    port.publish(topic("new-dir", "tank"), _new_dir("tank"))
    port.publish(topic("alarm"), encode("alarm"))
    heard: set[bytes] = set()
    while topic("alarm") not in heard:
        heard |= {t for t, _ in listener.receive(0.1)}
    return topic("new-dir", "tank") not in heard


def _names(listener: SubscriberLink, heard: list[str]) -> list[str]:
    heard += [fields["name"] for _, fields in listener.receive(0.1)]
    return heard


def _positions(signals: list[Signal]) -> list[tuple[bytes, int]]:
    return [(heard, fields["next"]) for heard, fields in signals if "next" in fields]


def _mark(number: int, message: bytes) -> bytes:
    return b"%08d" % number + message


def _position(following: int) -> bytes:
    return encode("position", boot="b", run="r", inc=1, next=following, window=1)


def _heartbeat() -> bytes:
    return encode("heartbeat", boot="b", run="r", time=0.0, positions={})


def _new_dir(name: str) -> bytes:
    return encode("new-dir", path="", name=name)
