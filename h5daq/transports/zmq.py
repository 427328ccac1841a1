"""The ZeroMQ transport: tcp between hosts, ipc within one.

Rows go PUSH to PULL, requests DEALER to ROUTER, and all that the writer says PUB to SUB. Each of
them drops messages when a peer dies or is slow; numbers, positions and request ids, which are
`h5daq.flow`'s affair, make that harmless.
"""

from __future__ import annotations

from collections.abc import Sequence

from h5daq.transports.zmq_client import ClientLink, SubscriberLink
from h5daq.transports.zmq_worker import WorkerLink
from h5daq.transports.zmq_writer import WriterPort

__all__ = ["ClientLink", "SubscriberLink", "WorkerLink", "WriterPort", "ZmqTransport"]


class ZmqTransport:
    """The ends of ZeroMQ links, as `h5daq.transports.base.Transport` asks for them."""

    def writer(self, data: str, requests: str, signals: str) -> WriterPort:
        """The writer's end, listening."""
        return WriterPort(data, requests, signals)

    def worker(self, data: str, signals: str, job: str) -> WorkerLink:
        """A worker's end."""
        return WorkerLink(data, signals, job)

    def client(self, requests: str) -> ClientLink:
        """A client's end."""
        return ClientLink(requests)

    def subscriber(self, signals: str, prefixes: Sequence[bytes]) -> SubscriberLink:
        """A listener's end."""
        return SubscriberLink(signals, prefixes)
