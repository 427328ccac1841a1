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

from collections.abc import Sequence

from h5daq.transports.memory_links import MemoryClientLink, MemorySubscriberLink, MemoryWorkerLink
from h5daq.transports.memory_port import MemoryWriterPort, Net

__all__ = ["MemoryTransport"]


class MemoryTransport:
    """A network of its own: ends of two transports never meet."""

    def __init__(self) -> None:
        self._net = Net()

    def writer(self, data: str, requests: str, signals: str) -> MemoryWriterPort:
        """The writer's end, listening."""
        return MemoryWriterPort(self._net, data, requests, signals)

    def worker(self, data: str, signals: str, job: str) -> MemoryWorkerLink:
        """A worker's end."""
        return MemoryWorkerLink(self._net, data, signals, job)

    def client(self, requests: str) -> MemoryClientLink:
        """A client's end."""
        return MemoryClientLink(self._net, requests)

    def subscriber(self, signals: str, prefixes: Sequence[bytes]) -> MemorySubscriberLink:
        """A listener's end."""
        return MemorySubscriberLink(self._net, signals, prefixes)
