"""The writer's end of the memory transport, and the net that all its ends share.

The net is a lock and a table of who listens where. Queues have the bounds of the sockets that they
stand for.
"""

from __future__ import annotations

import itertools
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from h5daq.errors import ConfigError
from h5daq.flow.audience import Audience
from h5daq.flow.closing import Closing
from h5daq.flow.packing import Buffer
from h5daq.transports.base import REQUEST_QUEUE, Asked, Endpoints, Events, Frame

__all__ = ["Answers", "End", "MemoryWriterPort", "Net"]

Answers = deque[list[Buffer]]
"""What waits for a client."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class MemoryFrame:
    """A message as a writer's port gives it."""

    message: bytes

    @property
    def buffer(self) -> memoryview:
        """Its bytes."""
        return memoryview(self.message)


class Listener(Protocol):
    """Who hears signals."""

    endpoint: str

    @property
    def audience(self) -> Audience:
        """What it subscribes to. Lock held."""

    def offer(self, topic: bytes, payload: bytes) -> None:
        """Take a signal if it is asked for and there is room. Lock held."""


class Net:
    """Who listens where; `changed` guards all that the ends hold."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.ports: dict[str, MemoryWriterPort] = {}
        self.listeners: list[Listener] = []
        self.numbers = itertools.count(1)


class End(Closing):
    """What all ends have in common."""

    def __init__(self, net: Net) -> None:
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


class MemoryWriterPort(End):
    """The writer's end."""

    def __init__(self, net: Net, data: str, requests: str, signals: str) -> None:
        super().__init__(net)
        self.data: dict[int, deque[bytes]] = {}  # by worker link
        self.requests: deque[tuple[bytes, list[bytes]]] = deque()
        self.clients: dict[bytes, Answers] = {}
        with net.changed:
            self.endpoints = Endpoints(*(self._listen(e) for e in (data, requests, signals)))

    def _listen(self, endpoint: str) -> str:
        endpoint = endpoint.replace("*", str(next(self._net.numbers)))
        if endpoint in self._net.ports:
            raise ConfigError(f"can't listen on {endpoint}: another writer has it; close that one")
        self._net.ports[endpoint] = self
        return endpoint

    def poll(self, timeout: float, *, data: bool = True) -> Events:
        """What there is to read; waits up to `timeout` seconds for something.

        Without `data` the workers' messages are left where they are.
        """

        def ready() -> Events:
            return Events(data and any(self.data.values()), bool(self.requests))

        with self._net.changed:
            self._wait(timeout, lambda: any(ready()))
            return ready()

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

    def user_of(self, frame: Frame) -> str:  # noqa: ARG002 - there are no keys within a process
        """Nobody: within one process there are no keys."""
        return ""

    def receive_requests(self) -> list[Asked]:
        """Requests that have come, without waiting: whose they are, and their frames."""
        with self._net.changed:
            requests = [Asked(*request) for request in self.requests]
            self.requests.clear()
            return requests

    def reply(self, identity: bytes, frames: Sequence[Buffer]) -> bool:
        """Send to one client without waiting; False if it is gone or does not read."""
        with self._net.changed:
            answers = self.clients.get(identity)
            if answers is None or len(answers) >= REQUEST_QUEUE:
                return False
            answers.append([bytes(frame) for frame in frames])
            self._net.changed.notify_all()
            return True

    def publish(self, topic: bytes, payload: bytes) -> None:
        """Tell all that subscribe to the topic. Slow ones miss it."""
        with self._net.changed:
            for listener in self._net.listeners:
                if listener.endpoint == self.endpoints.signals:
                    listener.offer(topic, payload)
            self._net.changed.notify_all()

    def is_heard(self, kind: str) -> bool:
        """Whether anybody may be listening to signals of a kind."""
        with self._net.changed:
            here = [one for one in self._net.listeners if one.endpoint == self.endpoints.signals]
            return any(one.audience.hears(kind) for one in here)

    def close(self, linger: float = 0.0) -> None:  # noqa: ARG002 - nothing is ever under way
        """Let go."""
        with self._net.changed:
            for endpoint, port in list(self._net.ports.items()):
                if port is self:
                    del self._net.ports[endpoint]
