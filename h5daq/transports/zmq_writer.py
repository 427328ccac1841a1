"""The writer's end on ZeroMQ: PULL for rows, ROUTER for requests, PUB for signals.

One thread reads PULL and ROUTER. PUB has a lock of its own, since commits are announced by the
thread that made them, and the others must not wait for it.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence

import zmq

from h5daq.errors import ConfigError
from h5daq.flow.closing import Closing
from h5daq.flow.packing import Buffer
from h5daq.transports.base import (
    DATA_QUEUE,
    REQUEST_QUEUE,
    SIGNAL_QUEUE,
    Endpoints,
    Events,
    Frame,
)
from h5daq.transports.wake import Bell
from h5daq.transports.zmq_sockets import Context, Socket, bind, make_socket, milliseconds

__all__ = ["WriterPort"]

_REQUESTS_AT_ONCE = 64


class WriterPort(Closing):
    """Where workers, clients and subscribers come to.

    `publish` and `wake` may be called from any thread, all else from one.

    Parameters
    ----------
    data, requests, signals : str
        Endpoints to listen on; a port of ``*`` asks for a free one.

    Raises
    ------
    ConfigError
        If an endpoint can't be had; the text names it and what would mend it.
    """

    def __init__(self, data: str, requests: str, signals: str) -> None:
        self._context: Context = zmq.Context()
        self._bell = Bell()
        self._pub_lock = threading.Lock()
        self._closed = False
        self._pull = self._socket(zmq.PULL, DATA_QUEUE)
        self._router = self._socket(zmq.ROUTER, REQUEST_QUEUE)
        self._router.router_mandatory = True
        self._pub = self._socket(zmq.PUB, SIGNAL_QUEUE)
        try:
            self.endpoints = Endpoints(
                bind(self._pull, data), bind(self._router, requests), bind(self._pub, signals)
            )
        except ConfigError:
            self.close()
            raise
        self._poller = zmq.Poller()
        for readable in (self._pull, self._router, self._bell.fileno()):
            self._poller.register(readable, zmq.POLLIN)

    def poll(self, timeout: float) -> Events:
        """What there is to read; waits up to `timeout` seconds for something."""
        ready = dict(self._poller.poll(milliseconds(timeout)))
        if self._bell.fileno() in ready:
            self._bell.hear()
        return Events(self._pull in ready, self._router in ready)

    def receive_data(self, max_messages: int, max_bytes: int) -> list[Frame]:
        """Messages of workers that have come, without waiting, up to either limit."""
        frames: list[Frame] = []
        receive, no_block, size = self._pull.recv, zmq.NOBLOCK, 0
        while len(frames) < max_messages and size < max_bytes:
            try:
                frame = receive(no_block, copy=False)
            except zmq.Again:
                break
            frames.append(frame)
            size += len(frame)
        return frames

    def receive_requests(self) -> list[tuple[bytes, list[bytes]]]:
        """Requests that have come, without waiting: whose they are, and their frames."""
        requests = []
        for _ in range(_REQUESTS_AT_ONCE):
            try:
                identity, *frames = self._router.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                break
            requests.append((identity, frames))
        return requests

    def reply(self, identity: bytes, frames: Sequence[Buffer]) -> bool:
        """Send to one client without waiting; False if it is gone or does not read."""
        try:
            self._router.send_multipart([identity, *frames], zmq.NOBLOCK)
        except zmq.ZMQError as error:
            if error.errno in (zmq.EHOSTUNREACH, zmq.EAGAIN):
                return False
            raise
        return True

    def publish(self, topic: bytes, payload: bytes) -> None:
        """Tell all that subscribe to the topic. Slow ones miss it."""
        with self._pub_lock:
            if not self._closed:
                # A PUB socket never blocks: it drops for those whose queue is full.
                self._pub.send(topic, zmq.SNDMORE)
                self._pub.send(payload)

    def wake(self) -> None:
        """Make `poll` return early. From any thread."""
        self._bell.ring()

    def close(self, linger: float = 0.0) -> None:
        """Let go; `linger` seconds are given to answers and signals not sent yet."""
        with self._pub_lock:
            if self._closed:
                return
            self._closed = True
            for socket in (self._pull, self._router, self._pub):
                socket.close(linger=milliseconds(linger))
        self._bell.close()
        self._context.term()

    def _socket(self, kind: int, queue: int) -> Socket:
        return make_socket(self._context, kind, send=queue, receive=queue)
