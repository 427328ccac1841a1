"""What a transport is: four ends of links, and who may call what from where.

A worker has a `WorkerLink`, the writer a `WriterPort`, clients a `ClientLink`, and whoever listens
a `SubscriberLink`. They move whole messages and know nothing of rows, positions or verbs. A
transport may lose messages, and does when a peer dies or is slow; it never blocks the caller
beyond the timeout given, and it never alters or invents one. `h5daq.testing.check_transport` is
the exam that every transport takes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Any, NamedTuple, Protocol, Self

from h5daq.flow.packing import Buffer

__all__ = [
    "DATA_QUEUE",
    "JOB_SIGNALS",
    "REQUEST_QUEUE",
    "SEND_QUEUE",
    "SIGNAL_QUEUE",
    "Asked",
    "ClientLink",
    "Endpoints",
    "Events",
    "Frame",
    "Signal",
    "SubscriberLink",
    "Transport",
    "WorkerLink",
    "WriterPort",
]

DATA_QUEUE = 64
"""Messages that wait for a writer that does not read, per worker."""

SEND_QUEUE = 1000
"""Messages that wait in a worker or client for the network."""

SIGNAL_QUEUE = 1000
"""Signals that wait for a subscriber; what is more is dropped for it."""

REQUEST_QUEUE = 1000
"""Requests and answers that wait per client."""

JOB_SIGNALS = ("position", "command", "refused")
"""Kinds of signals that a worker hears for its own job."""

Signal = tuple[bytes, dict[str, Any]]
"""A topic and the map that came with it."""


class Endpoints(NamedTuple):
    """Where a writer can be reached."""

    data: str
    requests: str
    signals: str


class Events(NamedTuple):
    """What a writer's port has to read."""

    data: bool
    requests: bool


class Asked(NamedTuple):
    """A request that has come: whom to answer, its frames, and the public key that it came by."""

    identity: bytes
    frames: Sequence[Buffer]
    user: str = ""


class Frame(Protocol):
    """A message where the transport put it."""

    @property
    def buffer(self) -> memoryview:
        """Its bytes."""


class _Closing(Protocol):
    def close(self) -> None:
        """Let go of the sockets; what is not sent is dropped. Twice does no harm."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
        /,
    ) -> None: ...


class WorkerLink(Protocol):
    """A worker's end: rows out, positions and commands in.

    `send` may be called from any thread. All else belongs to one thread, but for `wake`.
    """

    @property
    def rejected(self) -> Counter[str]:
        """Signals that were no messages of ours, by cause."""

    def send(self, message: Buffer) -> bool:
        """Hand over a message without waiting; False if there is no room, or no writer."""

    def receive(self, timeout: float) -> list[Signal]:
        """Signals that have come; waits up to `timeout` seconds for the first."""

    def refusal(self) -> str:
        """Why the writer lets nobody in by this end's keys, if that is known; else empty."""

    def wake(self) -> None:
        """Make `receive` return early. From any thread."""

    def reconnect(self, data: str, signals: str) -> None:
        """Leave the writer at hand, dropping what is not sent, and go to another."""

    def renew(self) -> None:
        """Make the connections to the writer at hand anew, dropping what is not sent."""

    def close(self, linger: float = 0.0) -> None:
        """Let go; `linger` seconds are given to what is not sent yet."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
        /,
    ) -> None: ...


class WriterPort(_Closing, Protocol):
    """The writer's end.

    `publish`, `is_heard` and `wake` may be called from any thread, all else from one.
    """

    @property
    def endpoints(self) -> Endpoints:
        """The real addresses, ports filled in."""

    def poll(self, timeout: float, *, data: bool = True) -> Events:
        """What there is to read; waits up to `timeout` seconds for something.

        Without `data` the workers' messages are left where they are.
        """

    def receive_data(self, max_messages: int, max_bytes: int) -> list[Frame]:
        """Messages of workers that have come, without waiting, up to either limit."""

    def user_of(self, frame: Frame) -> str:
        """The public key by which a message came; empty where there are no keys."""

    def receive_requests(self) -> list[Asked]:
        """Requests that have come, without waiting: whose they are, and their frames."""

    def reply(self, identity: bytes, frames: Sequence[Buffer]) -> bool:
        """Send to one client without waiting; False if it is gone or does not read."""

    def publish(self, topic: bytes, payload: bytes) -> None:
        """Tell all that subscribe to the topic. Slow ones miss it."""

    def is_heard(self, kind: str) -> bool:
        """Whether anybody may be listening to signals of a kind: False if surely nobody is."""

    def wake(self) -> None:
        """Make `poll` return early. From any thread."""


class ClientLink(_Closing, Protocol):
    """A client's end, for one thread, but for `wake`."""

    def send(self, frames: Sequence[Buffer]) -> bool:
        """Hand over a request without waiting; False if there is no room."""

    def receive(self, timeout: float) -> list[Buffer] | None:
        """The next answer or note; None after `timeout` seconds without one, or when woken."""

    def wake(self) -> None:
        """Make `receive` return early. From any thread."""

    def request(self, frames: Sequence[Buffer], timeout: float) -> list[Buffer]:
        """Send a request and wait for the answer with its id. Notes that come are kept.

        Raises
        ------
        NoAnswer
            After `timeout` seconds.
        """

    def refusal(self) -> str:
        """Why the writer lets nobody in by these keys, as far as can be known; else empty."""

    def notes(self) -> list[list[Buffer]]:
        """What came beside the answers, in order: notes to the client's contexts."""


class SubscriberLink(_Closing, Protocol):
    """A listener's end, for one thread, but for `wake` and the end of an iteration."""

    @property
    def rejected(self) -> Counter[str]:
        """Signals that were no messages of ours, by cause."""

    def subscribe(self, prefix: bytes) -> None:
        """Hear signals whose topic begins so as well."""

    def unsubscribe(self, prefix: bytes) -> None:
        """Undo a `subscribe`."""

    def receive(self, timeout: float) -> list[Signal]:
        """Signals that have come; waits up to `timeout` seconds for the first."""

    def __iter__(self) -> Iterator[Signal]:
        """Signals as they come, until `stop`."""

    def stop(self) -> None:
        """End the iteration. From any thread."""

    def wake(self) -> None:
        """Make `receive` return early. From any thread."""


class Transport(Protocol):
    """A way of moving messages between processes."""

    def writer(self, data: str, requests: str, signals: str) -> WriterPort:
        """Open the writer's end at these endpoints.

        Raises
        ------
        ConfigError
            If an endpoint can't be had; the text names it and what would mend it.
        """

    def worker(self, data: str, signals: str, job: str) -> WorkerLink:
        """A worker's end; it hears what is for `job`, and heartbeats."""

    def client(self, requests: str) -> ClientLink:
        """A client's end."""

    def subscriber(self, signals: str, prefixes: Sequence[bytes]) -> SubscriberLink:
        """A listener's end, for topics that begin with one of `prefixes`."""
