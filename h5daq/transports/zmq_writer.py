"""The writer's end on ZeroMQ: PULL for rows, ROUTER for requests, PUB for signals.

One thread reads PULL and ROUTER; `zmq_signals` has the PUB socket, for all threads. With locks all
three let in only who shows a key that is on the list, and each message says whose it is.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from contextlib import suppress

import zmq

from h5daq.errors import ConfigError
from h5daq.flow.closing import Closing
from h5daq.flow.packing import Buffer
from h5daq.transports.base import (
    DATA_QUEUE,
    REQUEST_QUEUE,
    Asked,
    Endpoints,
    Events,
    Frame,
)
from h5daq.transports.locks import Locks
from h5daq.transports.wake import Bell
from h5daq.transports.zmq_curve import Door, lock, user_of
from h5daq.transports.zmq_signals import SignalSocket
from h5daq.transports.zmq_sockets import (
    Context,
    Socket,
    bind,
    content_of,
    make_socket,
    milliseconds,
)

__all__ = ["WriterPort"]

_REQUESTS_AT_ONCE, _REQUESTS_AT_LEAST = 256, 16
_TURN_SECONDS = 3e-3
_FEW = 4
_LARGE_BYTES = 256 << 10
_MORE = zmq.NOBLOCK | zmq.SNDMORE
_POLLIN = int(zmq.POLLIN)

_BRISK_SECONDS = 200e-6
"""A client that asks again within this time after its answer is waited for awake, as long as it
does: it is one that does nothing but wait for answers."""


class WriterPort(Closing):
    """Where workers, clients and subscribers come to.

    `publish`, `is_heard` and `wake` may be called from any thread, all else from one.

    Parameters
    ----------
    data, requests, signals : str
        Endpoints to listen on; a port of ``*`` asks for a free one.
    locks : Locks, optional
        Who may come in; without, everybody who can reach the endpoints.

    Raises
    ------
    ConfigError
        If an endpoint can't be had; the text names it and what would mend it.
    """

    def __init__(
        self, data: str, requests: str, signals: str, *, locks: Locks | None = None
    ) -> None:
        self._context: Context = zmq.Context()
        self._bell = Bell()
        self._replied, self._brisk = 0.0, False
        self._most, self._taken, self._taken_at = _REQUESTS_AT_ONCE, 0, 0.0
        self._closed, self._locks = False, locks
        self._signals = SignalSocket(self._context, locks)
        self._door = None if locks is None else Door(self._context, locks, self._signals)
        self._pull = self._socket(zmq.PULL, DATA_QUEUE)
        self._router = self._socket(zmq.ROUTER, REQUEST_QUEUE)
        self._router.router_mandatory = True
        try:
            self.endpoints = Endpoints(
                bind(self._pull, data), bind(self._router, requests), self._signals.bind(signals)
            )
        except ConfigError:
            self.close()
            raise
        if self._door is not None:
            self._door.start()
        self._requests_only, self._poller = zmq.Poller(), zmq.Poller()
        for readable in (self._router, self._bell.fileno()):
            self._requests_only.register(readable, zmq.POLLIN)
            self._poller.register(readable, zmq.POLLIN)
        self._poller.register(self._pull, zmq.POLLIN)

    def poll(self, timeout: float, *, data: bool = True) -> Events:
        """What there is to read; waits up to `timeout` seconds for something.

        Without `data` the workers' messages are left where they are.
        """
        if self._brisk and self._listen(min(timeout, _BRISK_SECONDS)):
            events = Events(data and _readable(self._pull), requests=True)
        else:
            events = self._wait(timeout, self._poller if data else self._requests_only)
        soon = time.monotonic() < self._replied + _BRISK_SECONDS
        self._brisk = soon and events.requests and not events.data
        return events

    def _wait(self, timeout: float, poller: zmq.Poller) -> Events:
        ready = dict(poller.poll(milliseconds(timeout)))
        if self._bell.fileno() in ready:
            self._bell.hear()
        return Events(self._pull in ready, self._router in ready)

    def _listen(self, seconds: float) -> bool:
        """Wait for a request without sleeping: to be woken takes longer than to answer one."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if _readable(self._router):
                return True
            # Where there is but one core, the client needs it.
            _give_way()
        return False

    def receive_data(self, max_messages: int, max_bytes: int) -> list[Frame]:
        """Messages of workers that have come, without waiting, up to either limit."""
        frames: list[Frame] = []
        receive, no_block, more, size = self._pull.recv, zmq.NOBLOCK, _has_more, 0
        with suppress(zmq.Again):
            while len(frames) < max_messages and size < max_bytes and more(self._pull, len(frames)):
                frame = receive(no_block, copy=False)
                frames.append(frame)
                size += len(frame)
        return frames

    def user_of(self, frame: Frame) -> str:
        """The public key by which a message came; empty without locks."""
        return user_of(frame)  # type: ignore[arg-type]  # all frames of this port are ZeroMQ's

    def receive_requests(self) -> list[Asked]:
        """Requests that have come, without waiting: whose they are, and their frames."""
        requests: list[Asked] = []
        most = self._most_requests()
        with suppress(zmq.Again):
            while len(requests) < most and _has_more(self._router, len(requests)):
                requests.append(self._receive_request())
        self._taken, self._taken_at = len(requests), time.monotonic()
        return requests

    def _most_requests(self) -> int:
        """As many as are answered soon: answers go out when all that were taken are done."""
        if self._taken >= self._most:
            slow = time.monotonic() > self._taken_at + _TURN_SECONDS
            self._most = self._most // 2 if slow else 2 * self._most
            self._most = min(max(self._most, _REQUESTS_AT_LEAST), _REQUESTS_AT_ONCE)
        return self._most

    def _receive_request(self) -> Asked:
        receive = self._router.recv
        identity = part = receive(zmq.NOBLOCK, copy=False)
        parts = []
        while part.more:
            part = receive(zmq.NOBLOCK, copy=False)
            parts.append(part)
        user = user_of(parts[0]) if self._locks is not None and parts else ""
        return Asked(identity.bytes, [content_of(part) for part in parts], user)

    def reply(self, identity: bytes, frames: Sequence[Buffer]) -> bool:
        """Send to one client without waiting; False if it is gone or does not read."""
        send, last = self._router.send, len(frames) - 1
        try:
            send(identity, _MORE if frames else zmq.NOBLOCK)
            for place, frame in enumerate(frames):
                # A large one is not copied: it must not change until it is on its way.
                large = len(frame) >= _LARGE_BYTES
                send(frame, _MORE if place < last else zmq.NOBLOCK, copy=not large)
        except zmq.ZMQError as error:
            if error.errno in (zmq.EHOSTUNREACH, zmq.EAGAIN):
                return False
            raise
        self._replied = time.monotonic()
        return True

    def publish(self, topic: bytes, payload: bytes) -> None:
        """Tell all that subscribe to the topic. Slow ones miss it."""
        self._signals.publish(topic, payload)

    def is_heard(self, kind: str) -> bool:
        """Whether anybody may be listening to signals of a kind. From any thread."""
        return self._signals.is_heard(kind)

    def cut_subscribers(self) -> bool:
        """End all connections for signals; whoever may comes back by itself.

        False if the endpoint can't be had again yet: to be called once more.
        """
        return self._signals.cut()

    def wake(self) -> None:
        """Make `poll` return early. From any thread."""
        self._bell.ring()

    def close(self, linger: float = 0.0) -> None:
        """Let go; `linger` seconds are given to answers and signals not sent yet."""
        if self._closed:
            return
        self._closed = True
        if self._door is not None:
            self._door.close()
        for socket in (self._pull, self._router):
            socket.close(linger=milliseconds(linger))
        self._signals.close(linger)
        self._bell.close()
        self._context.term()

    def _socket(self, kind: int, queue: int) -> Socket:
        socket = make_socket(self._context, kind, send=queue, receive=queue)
        if self._locks is not None:
            lock(socket, self._locks)
        return socket


def _has_more(socket: Socket, taken: int) -> bool:
    # The first is known to be there. To ask costs less than a vain try, of which there is one.
    return not 0 < taken < _FEW or _readable(socket)


def _readable(socket: Socket) -> bool:
    return bool(int(socket.getsockopt(zmq.EVENTS)) & _POLLIN)


def _give_way() -> None:
    if sys.platform != "win32":
        os.sched_yield()
