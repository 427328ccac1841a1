"""The transport within one process: the public twin of ZeroMQ, for tests and for trying things out.

All ends of one `MemoryTransport` share a lock and a table of who listens where. Queues have the
same bounds as the sockets they stand for, messages to a writer that is gone are gone, and slow
subscribers miss signals.

Examples
--------
>>> transport = MemoryTransport()
>>> port = transport.writer("memory://data", "memory://requests", "memory://signals")
>>> link = transport.worker("memory://data", "memory://signals", "tank")
>>> link.send(b"rows")
True
>>> [bytes(frame.buffer) for frame in port.receive_data(10, 1000)]
[b'rows']
"""

from __future__ import annotations

import itertools
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self, TypeVar

from h5daq.errors import ConfigError, WireError
from h5daq.flow.packing import Buffer
from h5daq.flow.topics import topic
from h5daq.flow.wire import decode
from h5daq.transports.base import (
    DATA_QUEUE,
    REQUEST_QUEUE,
    SIGNAL_QUEUE,
    Endpoints,
    Events,
    Frame,
    Signal,
)
from h5daq.transports.exchange import Exchange

__all__ = ["MemoryTransport"]

_STOP_SECONDS = 1.0

E = TypeVar("E")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class MemoryFrame:
    """A message as a writer's port gives it."""

    message: bytes

    @property
    def buffer(self) -> memoryview:
        """Its bytes."""
        return memoryview(self.message)


class MemoryTransport:
    """A network of its own: ends of two transports never meet."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.ports: dict[str, MemoryWriterPort] = {}
        self.listeners: list[MemorySubscription] = []
        self.numbers = itertools.count(1)

    def writer(self, data: str, requests: str, signals: str) -> MemoryWriterPort:
        """The writer's end, listening."""
        return MemoryWriterPort(self, data, requests, signals)

    def worker(self, data: str, signals: str, job: str) -> MemoryWorkerLink:
        """A worker's end."""
        return MemoryWorkerLink(self, data, signals, job)

    def client(self, requests: str) -> MemoryClientLink:
        """A client's end."""
        return MemoryClientLink(self, requests)

    def subscriber(self, signals: str, prefixes: Sequence[bytes]) -> MemorySubscriberLink:
        """A listener's end."""
        return MemorySubscriberLink(self, signals, prefixes)


class _Closing:
    """What all ends have in common."""

    def __init__(self, net: MemoryTransport) -> None:
        self._net = net
        self._woken = False

    def wake(self) -> None:
        """Make whoever waits on this end return early. From any thread."""
        with self._net.changed:
            self._woken = True
            self._net.changed.notify_all()

    def _wait(self, timeout: float, ready: Callable[[], T]) -> T:
        """What `ready` says once that is true, or it is woken, or time is up. Lock held."""
        self._net.changed.wait_for(lambda: self._woken or ready(), timeout)
        self._woken = False
        return ready()

    def close(self) -> None:
        """Let go."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class MemoryWriterPort(_Closing):
    """The writer's end."""

    def __init__(self, net: MemoryTransport, data: str, requests: str, signals: str) -> None:
        super().__init__(net)
        self.data: dict[int, deque[bytes]] = {}  # by worker link
        self.requests: deque[tuple[bytes, list[bytes]]] = deque()
        self.clients: dict[bytes, MemoryClientLink] = {}
        with net.changed:
            self.endpoints = Endpoints(*(self._listen(e) for e in (data, requests, signals)))

    def _listen(self, endpoint: str) -> str:
        endpoint = endpoint.replace("*", str(next(self._net.numbers)))
        if endpoint in self._net.ports:
            raise ConfigError(f"can't listen on {endpoint}: another writer has it; close that one")
        self._net.ports[endpoint] = self
        return endpoint

    def poll(self, timeout: float) -> Events:
        """What there is to read; waits up to `timeout` seconds for something."""
        with self._net.changed:
            self._wait(timeout, lambda: bool(any(self.data.values()) or self.requests))
            return Events(any(self.data.values()), bool(self.requests))

    def receive_data(self, max_messages: int, max_bytes: int) -> list[Frame]:
        """Messages of workers that have come, without waiting, up to either limit."""
        frames: list[Frame] = []
        size = 0
        with self._net.changed:
            for queue in self.data.values():
                while queue and len(frames) < max_messages and size < max_bytes:
                    frames.append(MemoryFrame(queue.popleft()))
                    size += len(frames[-1].buffer)
            self.data = {number: queue for number, queue in self.data.items() if queue}
        return frames

    def receive_requests(self) -> list[tuple[bytes, list[bytes]]]:
        """Requests that have come, without waiting: whose they are, and their frames."""
        with self._net.changed:
            requests = list(self.requests)
            self.requests.clear()
            return requests

    def reply(self, identity: bytes, frames: Sequence[Buffer]) -> bool:
        """Send to one client without waiting; False if it is gone or does not read."""
        with self._net.changed:
            client = self.clients.get(identity)
            if client is None or len(client.answers) >= REQUEST_QUEUE:
                return False
            client.answers.append([bytes(frame) for frame in frames])
            self._net.changed.notify_all()
            return True

    def publish(self, topic: bytes, payload: bytes) -> None:
        """Tell all that subscribe to the topic. Slow ones miss it."""
        with self._net.changed:
            for listener in self._net.listeners:
                if listener.endpoint == self.endpoints.signals:
                    listener.offer(topic, payload)
            self._net.changed.notify_all()

    def close(self, linger: float = 0.0) -> None:  # noqa: ARG002 - nothing is ever under way
        """Let go."""
        with self._net.changed:
            for endpoint, port in list(self._net.ports.items()):
                if port is self:
                    del self._net.ports[endpoint]


class MemorySubscription(_Closing):
    """The listening half of a worker and of a subscriber."""

    def __init__(self, net: MemoryTransport, endpoint: str, prefixes: Sequence[bytes]) -> None:
        super().__init__(net)
        self.endpoint = endpoint
        self.rejected: Counter[str] = Counter()
        self.prefixes = list(prefixes)
        self.queue: deque[tuple[bytes, bytes]] = deque()
        with net.changed:
            net.listeners.append(self)

    def offer(self, topic: bytes, payload: bytes) -> None:
        """Take a signal if it is asked for and there is room. Lock held."""
        if len(self.queue) < SIGNAL_QUEUE and topic.startswith(tuple(self.prefixes)):
            self.queue.append((topic, payload))

    def receive(self, timeout: float) -> list[Signal]:
        """Signals that have come; waits up to `timeout` seconds for the first."""
        with self._net.changed:
            self._wait(timeout, lambda: len(self.queue))
            raw = list(self.queue)
            self.queue.clear()
        return [(topic, decoded) for topic, payload in raw for decoded in self._decode(payload)]

    def _decode(self, payload: bytes) -> Iterator[dict[str, object]]:
        try:
            yield decode(payload)
        except WireError as error:
            self.rejected[error.cause] += 1

    def close(self) -> None:
        """Let go."""
        with self._net.changed:
            if self in self._net.listeners:
                self._net.listeners.remove(self)


class MemoryWorkerLink(MemorySubscription):
    """A worker's end."""

    def __init__(self, net: MemoryTransport, data: str, signals: str, job: str) -> None:
        heard = [topic(kind, job) for kind in ("position", "command", "refused")]
        super().__init__(net, signals, [*heard, topic("heartbeat")])
        self._data, self._closed = data, False
        self._number = next(net.numbers)

    def send(self, message: Buffer) -> bool:
        """Hand over a message without waiting; False if there is no room, or no writer."""
        with self._net.changed:
            port = self._net.ports.get(self._data)
            if port is None or self._closed:
                return False
            queue = port.data.setdefault(self._number, deque())
            if len(queue) >= DATA_QUEUE:
                return False
            queue.append(bytes(message))
            self._net.changed.notify_all()
            return True

    def reconnect(self, data: str, signals: str) -> None:
        """Leave the writer at hand, dropping what is not read, and go to another."""
        with self._net.changed:
            port = self._net.ports.get(self._data)
            if port is not None:
                port.data.pop(self._number, None)
            self._data, self.endpoint = data, signals
            self.queue.clear()

    def close(self, linger: float = 0.0) -> None:  # noqa: ARG002 - nothing is ever under way
        """Let go."""
        self._closed = True
        super().close()


class MemorySubscriberLink(MemorySubscription):
    """A listener's end."""

    def __init__(self, net: MemoryTransport, signals: str, prefixes: Sequence[bytes]) -> None:
        super().__init__(net, signals, prefixes)
        self._stopped = threading.Event()

    def subscribe(self, prefix: bytes) -> None:
        """Hear signals whose topic begins so as well."""
        with self._net.changed:
            self.prefixes.append(prefix)

    def unsubscribe(self, prefix: bytes) -> None:
        """Undo a `subscribe`."""
        with self._net.changed:
            if prefix in self.prefixes:
                self.prefixes.remove(prefix)

    def __iter__(self) -> Iterator[Signal]:
        """Signals as they come, until `stop`."""
        while not self._stopped.is_set():
            yield from self.receive(_STOP_SECONDS)

    def stop(self) -> None:
        """End the iteration. From any thread."""
        self._stopped.set()
        self.wake()


class MemoryClientLink(_Closing):
    """A client's end."""

    def __init__(self, net: MemoryTransport, requests: str) -> None:
        super().__init__(net)
        self.endpoint = requests
        self.answers: deque[list[bytes]] = deque()
        self._identity = b"client-%d" % next(net.numbers)
        self._exchange = Exchange(self)

    def send(self, frames: Sequence[Buffer]) -> bool:
        """Hand over a request without waiting; False if there is no room, or no writer."""
        with self._net.changed:
            port = self._net.ports.get(self.endpoint)
            if port is None or len(port.requests) >= REQUEST_QUEUE:
                return False
            port.clients[self._identity] = self
            port.requests.append((self._identity, [bytes(frame) for frame in frames]))
            self._net.changed.notify_all()
            return True

    def receive(self, timeout: float) -> list[bytes] | None:
        """The next answer or note; None after `timeout` seconds without one."""
        with self._net.changed:
            self._wait(timeout, lambda: bool(self.answers))
            return self.answers.popleft() if self.answers else None

    def request(self, frames: Sequence[Buffer], timeout: float) -> list[bytes]:
        """Send a request and wait for the answer with its id. Notes that come are kept.

        Raises
        ------
        NoAnswer
            After `timeout` seconds.
        """
        return self._exchange.request(frames, timeout)

    def notes(self) -> list[list[bytes]]:
        """What came beside the answers, in order: notes to the client's contexts."""
        return self._exchange.notes()

    def close(self) -> None:
        """Let go."""
        with self._net.changed:
            for port in self._net.ports.values():
                port.clients.pop(self._identity, None)
