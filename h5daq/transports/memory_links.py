"""The ends of the memory transport that come to a writer: worker, subscriber, client."""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Iterator, Sequence

from h5daq.errors import WireError
from h5daq.flow.audience import Audience
from h5daq.flow.packing import Buffer
from h5daq.flow.topics import topic
from h5daq.flow.wire import decode_signal
from h5daq.transports.base import DATA_QUEUE, JOB_SIGNALS, REQUEST_QUEUE, SIGNAL_QUEUE, Signal
from h5daq.transports.exchange import Exchange
from h5daq.transports.memory_port import Answers, End, Net

__all__ = ["MemoryClientLink", "MemorySubscriberLink", "MemoryWorkerLink"]

_STOP_SECONDS = 1.0
"""How long an iteration waits at a time, in case its bell was heard by another call."""


class MemorySubscription(End):
    """The listening half of a worker and of a subscriber."""

    def __init__(self, net: Net, endpoint: str, prefixes: Sequence[bytes]) -> None:
        super().__init__(net)
        self.endpoint = endpoint
        self.rejected: Counter[str] = Counter()
        self.prefixes = list(prefixes)
        self.queue: deque[tuple[bytes, bytes]] = deque()
        with net.changed:
            net.listeners.append(self)

    @property
    def audience(self) -> Audience:
        """What it subscribes to. Lock held."""
        audience = Audience()
        for prefix in self.prefixes:
            audience.add(prefix)
        return audience

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
        return [
            (topic, decoded) for topic, payload in raw for decoded in self._decode(topic, payload)
        ]

    def _decode(self, topic: bytes, payload: bytes) -> Iterator[dict[str, object]]:
        try:
            yield decode_signal(topic, payload)
        except WireError as error:
            self.rejected[error.cause] += 1

    def close(self) -> None:
        """Let go."""
        with self._net.changed:
            if self in self._net.listeners:
                self._net.listeners.remove(self)


class MemoryWorkerLink(MemorySubscription):
    """A worker's end."""

    def __init__(self, net: Net, data: str, signals: str, job: str) -> None:
        self._heard = [*(topic(kind, job) for kind in JOB_SIGNALS), topic("heartbeat")]
        super().__init__(net, signals, self._heard)
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

    def receive(self, timeout: float) -> list[Signal]:
        """Signals that have come; waits up to `timeout` seconds for the first."""
        # A job's topic is also the beginning of those of jobs below it.
        return [signal for signal in super().receive(timeout) if signal[0] in self._heard]

    def refusal(self) -> str:
        """Nobody is refused: within one process there are no keys."""
        return ""

    def reconnect(self, data: str, signals: str) -> None:
        """Leave the writer at hand, dropping what is not read, and go to another."""
        with self._net.changed:
            port = self._net.ports.get(self._data)
            if port is not None:
                port.data.pop(self._number, None)
            self._data, self.endpoint = data, signals
            self.queue.clear()

    def renew(self) -> None:
        """Make the connections to the writer at hand anew, dropping what is not read."""
        self.reconnect(self._data, self.endpoint)

    def close(self, linger: float = 0.0) -> None:  # noqa: ARG002 - nothing is ever under way
        """Let go."""
        self._closed = True
        super().close()


class MemorySubscriberLink(MemorySubscription):
    """A listener's end."""

    def __init__(self, net: Net, signals: str, prefixes: Sequence[bytes]) -> None:
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


class MemoryClientLink(End):
    """A client's end."""

    def __init__(self, net: Net, requests: str) -> None:
        super().__init__(net)
        self.endpoint = requests
        self.answers: Answers = deque()
        self._identity = b"client-%d" % next(net.numbers)
        self._exchange = Exchange(self)

    def send(self, frames: Sequence[Buffer]) -> bool:
        """Hand over a request without waiting; False if there is no room, or no writer."""
        with self._net.changed:
            port = self._net.ports.get(self.endpoint)
            if port is None or len(port.requests) >= REQUEST_QUEUE:
                return False
            port.clients[self._identity] = self.answers
            port.requests.append((self._identity, [bytes(frame) for frame in frames]))
            self._net.changed.notify_all()
            return True

    def receive(self, timeout: float) -> list[Buffer] | None:
        """The next answer or note; None after `timeout` seconds without one, or when woken."""
        with self._net.changed:
            self._wait(timeout, lambda: bool(self.answers))
            return self.answers.popleft() if self.answers else None

    def request(self, frames: Sequence[Buffer], timeout: float) -> list[Buffer]:
        """Send a request and wait for the answer with its id. Notes that come are kept.

        Raises
        ------
        NoAnswer
            After `timeout` seconds.
        """
        return self._exchange.request(frames, timeout)

    def refusal(self) -> str:
        """Why the writer lets nobody in: here it lets everybody in."""
        return ""

    def notes(self) -> list[list[Buffer]]:
        """What came beside the answers, in order: notes to the client's contexts."""
        return self._exchange.notes()

    def close(self) -> None:
        """Let go."""
        with self._net.changed:
            for port in self._net.ports.values():
                port.clients.pop(self._identity, None)
