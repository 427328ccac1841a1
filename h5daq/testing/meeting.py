"""What the exam of the transports is made of: ends that meet, waits with a deadline, messages."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

from h5daq.errors import ConfigError
from h5daq.flow.requests import Note, Request, decode_request, encode_note, encode_reply
from h5daq.flow.topics import topic
from h5daq.flow.wire import encode
from h5daq.transports.base import (
    Endpoints,
    Frame,
    Signal,
    SubscriberLink,
    Transport,
    WorkerLink,
    WriterPort,
)

__all__ = [
    "DEADLINE",
    "SOON",
    "again",
    "asked",
    "deaf",
    "for_worker",
    "heard_names",
    "hears",
    "heartbeat",
    "mark",
    "new_dir",
    "other",
    "position",
    "positions",
    "quick",
    "raises",
    "receive",
    "running",
    "send",
    "serve",
    "serving",
    "subscriber",
    "until",
    "vacant",
    "worker",
    "writer",
]

DEADLINE = 120.0
"""Seconds after which what should happen will not."""

SOON = 10.0
"""Seconds that a call which must not block may take on a machine under load."""

T = TypeVar("T")


def writer(transport: Transport, at: Endpoints) -> WriterPort:
    return transport.writer(at.data, at.requests, at.signals)


def vacant(transport: Transport, at: Endpoints) -> Endpoints:
    """Real endpoints where nobody listens."""
    with writer(transport, at) as port:
        return port.endpoints


def again(transport: Transport, at: Endpoints) -> WriterPort:
    """A writer where one has just closed: the system may take a moment to free its ports."""

    def attempt() -> WriterPort | None:
        try:
            return writer(transport, at)
        except ConfigError:
            return None

    return until(attempt)


def for_worker(port: WriterPort) -> tuple[str, str]:
    return port.endpoints.data, port.endpoints.signals


def worker(transport: Transport, port: WriterPort) -> WorkerLink:
    return transport.worker(*for_worker(port), "tank")


def subscriber(transport: Transport, port: WriterPort, at: Sequence[bytes]) -> SubscriberLink:
    return transport.subscriber(port.endpoints.signals, at)


def other(endpoint: str) -> str:
    """Another endpoint of the same kind; one with a free port stays as it is."""
    return endpoint if endpoint.endswith("*") else endpoint + "-other"


def until(attempt: Callable[[], T | None], port: WriterPort | None = None) -> T:
    """What `attempt` gives once it gives something; a port is polled in between."""
    deadline = time.monotonic() + DEADLINE
    pause = threading.Event()
    while not (result := attempt()):
        assert time.monotonic() < deadline, "it did not happen in time"
        if port is None or not any(port.poll(0.005)):
            pause.wait(0.005)
    return result


def quick(call: Callable[[], T]) -> T:
    start = time.monotonic()
    result = call()
    assert time.monotonic() - start < SOON, "a call that must not block did"
    return result


def raises(kind: type[Exception], call: Callable[[], object]) -> Exception:
    try:
        call()
    except kind as error:
        return error
    raise AssertionError(f"no {kind.__name__}")


@contextmanager
def running(work: Callable[[], None]) -> Iterator[None]:
    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        thread.join(DEADLINE)
        assert not thread.is_alive(), "a thread did not end"


@contextmanager
def serving(port: WriterPort, *, notes: int = 0, count: int = 1) -> Iterator[None]:
    """Answer `count` requests, each with its verb and frames, after `notes` notes."""

    def work() -> None:
        served = 0
        deadline = time.monotonic() + DEADLINE
        while served < count and time.monotonic() < deadline:
            port.poll(0.05)
            for asked in port.receive_requests():
                serve(port, asked.identity, decode_request(asked.frames), notes)
                served += 1

    with running(work):
        yield


def serve(port: WriterPort, identity: bytes, request: Request, notes: int) -> None:
    for mid in range(notes):
        assert port.reply(identity, encode_note(Note(0, "new", mid)))
    assert port.reply(identity, encode_reply(request.id, request.verb, request.frames))


def asked(port: WriterPort) -> bool:
    port.poll(0.02)
    return bool(port.receive_requests())


def send(link: WorkerLink, message: bytes | memoryview) -> None:
    until(lambda: link.send(message))


def receive(port: WriterPort, count: int) -> list[bytes]:
    got: list[Frame] = []

    def read() -> bool:
        got.extend(port.receive_data(100, 1 << 30))
        return len(got) >= count

    until(read, port)
    return [bytes(frame.buffer) for frame in got]


def hears(
    port: WriterPort, listener: WorkerLink | SubscriberLink, topic: bytes, payload: bytes
) -> None:
    """A signal reaches a listener; it is repeated, as a new subscription takes a moment."""

    def tell() -> bool:
        port.publish(topic, payload)
        return any(heard == topic for heard, _ in listener.receive(0.02))

    until(tell)


def deaf(port: WriterPort, listener: SubscriberLink) -> bool:
    """Whether a listener that hears alarms no longer hears of the directory."""
    port.publish(topic("new-dir", "tank"), new_dir("tank"))
    port.publish(topic("alarm"), encode("alarm"))
    heard: set[bytes] = set()
    while topic("alarm") not in heard:
        heard |= {t for t, _ in listener.receive(0.1)}
    return topic("new-dir", "tank") not in heard


def heard_names(listener: SubscriberLink, heard: list[str]) -> list[str]:
    heard += [fields["name"] for _, fields in listener.receive(0.1)]
    return heard


def positions(signals: list[Signal]) -> list[int]:
    return [fields["next"] for _, fields in signals if "next" in fields]


def mark(number: int, message: bytes) -> bytes:
    return b"%08d" % number + message


def position(following: int) -> bytes:
    return encode("position", boot="b", run="r", inc=1, next=following, window=1)


def heartbeat() -> bytes:
    return encode("heartbeat", boot="b", run="r", time=0.0, positions={})


def new_dir(name: str) -> bytes:
    return encode("new-dir", path="", name=name)
