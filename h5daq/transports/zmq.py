"""The ZeroMQ transport: tcp between hosts, ipc within one.

Rows go PUSH to PULL, requests DEALER to ROUTER, and all that the writer says PUB to SUB. Each of
them drops messages when a peer dies or is slow; numbers, positions and request ids, which are
`h5daq.flow`'s affair, make that harmless.
"""

from __future__ import annotations

from collections.abc import Sequence

from h5daq.transports.locks import ClientKeys, Locks
from h5daq.transports.zmq_client import ClientLink, SubscriberLink
from h5daq.transports.zmq_worker import WorkerLink
from h5daq.transports.zmq_writer import WriterPort

__all__ = ["ClientLink", "SubscriberLink", "WorkerLink", "WriterPort", "ZmqTransport"]


class ZmqTransport:
    """The ends of ZeroMQ links, as `h5daq.transports.base.Transport` asks for them.

    Parameters
    ----------
    keys : ClientKeys, optional
        What all ends but the writer's show.
    locks : Locks, optional
        Whom the writer's end lets in.
    """

    def __init__(self, keys: ClientKeys | None = None, locks: Locks | None = None) -> None:
        self._keys, self._locks = keys, locks

    def writer(self, data: str, requests: str, signals: str) -> WriterPort:
        """The writer's end, listening."""
        return WriterPort(data, requests, signals, locks=self._locks)

    def worker(self, data: str, signals: str, job: str) -> WorkerLink:
        """A worker's end."""
        return WorkerLink(data, signals, job, self._keys)

    def client(self, requests: str) -> ClientLink:
        """A client's end."""
        return ClientLink(requests, self._keys)

    def subscriber(self, signals: str, prefixes: Sequence[bytes]) -> SubscriberLink:
        """A listener's end."""
        return SubscriberLink(signals, prefixes, self._keys)
